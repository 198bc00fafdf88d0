//! The functions that send. Each appends whole frames to the output, or fails and changes nothing.

use switchboard::{CloseCode, CloseFrame};

use crate::{Connection, Outcome, open::Outgoing, outcome::guarded, raw};

/// Sends a text message. It is compressed if that is negotiated and the configuration says so.
///
/// An invalid argument is a text that is not UTF-8. The wrong state is a connection that is not open, or whose Close is
/// sent.
///
/// # Safety
/// `text` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_text(
    connection: Option<&mut Connection>,
    text: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let text = unsafe { raw::text(text, length) };
    guarded(connection, |connection| connection.send(Outgoing::Text { text: text?, may_compress: true }))
}

/// Sends a binary message, as switchboard_connection_send_text.
///
/// # Safety
/// `payload` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_binary(
    connection: Option<&mut Connection>,
    payload: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) };
    guarded(connection, |connection| connection.send(Outgoing::Binary { payload: payload?, may_compress: true }))
}

/// Sends a text message that is never compressed: one with a secret beside text that somebody else has chosen, since
/// the length would tell about the secret.
///
/// # Safety
/// As of switchboard_connection_send_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_text_uncompressed(
    connection: Option<&mut Connection>,
    text: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let text = unsafe { raw::text(text, length) };
    guarded(connection, |connection| connection.send(Outgoing::Text { text: text?, may_compress: false }))
}

/// Sends a binary message that is never compressed.
///
/// # Safety
/// As of switchboard_connection_send_binary.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_binary_uncompressed(
    connection: Option<&mut Connection>,
    payload: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) };
    guarded(connection, |connection| connection.send(Outgoing::Binary { payload: payload?, may_compress: false }))
}

/// Sends the next fragment of a text message, for a message whose end is not known yet. `fin` says that it is the last
/// one. Each fragment is UTF-8 by itself. Until the last one no other message may be sent.
///
/// # Safety
/// As of switchboard_connection_send_text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_text_fragment(
    connection: Option<&mut Connection>,
    text: *const u8,
    length: usize,
    fin: bool,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let text = unsafe { raw::text(text, length) };
    guarded(connection, |connection| connection.send(Outgoing::TextFragment { text: text?, fin }))
}

/// Sends the next fragment of a binary message, as switchboard_connection_send_text_fragment.
///
/// # Safety
/// As of switchboard_connection_send_binary.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_binary_fragment(
    connection: Option<&mut Connection>,
    payload: *const u8,
    length: usize,
    fin: bool,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) };
    guarded(connection, |connection| connection.send(Outgoing::BinaryFragment { payload: payload?, fin }))
}

/// Sends a Ping of at most 125 bytes.
///
/// # Safety
/// As of switchboard_connection_send_binary.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_ping(
    connection: Option<&mut Connection>,
    payload: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) };
    guarded(connection, |connection| connection.send(Outgoing::Ping(payload?)))
}

/// Sends a Pong of at most 125 bytes that answers no Ping. Those that do are sent by themselves.
///
/// # Safety
/// As of switchboard_connection_send_binary.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_pong(
    connection: Option<&mut Connection>,
    payload: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) };
    guarded(connection, |connection| connection.send(Outgoing::Pong(payload?)))
}

/// Starts the closing handshake: sends a Close with this code, and a reason of at most 123 bytes. 1005 is a Close
/// without code, which has no reason. Messages of the peer may still arrive, until its own Close.
///
/// An invalid argument is a code that must not be sent, such as 1006, or a longer reason.
///
/// # Safety
/// `reason` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_send_close(
    connection: Option<&mut Connection>,
    code: u16,
    reason: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let reason = unsafe { raw::text(reason, length) };
    guarded(connection, |connection| {
        let frame = match (CloseCode::new(code), reason?) {
            (CloseCode::NO_STATUS_RECEIVED, "") => None,
            (code, reason) => Some(CloseFrame { code, reason }),
        };
        connection.send(Outgoing::Close(frame))
    })
}

/// Fails the connection for a reason outside of the protocol, such as a deadline: sends a Close as
/// switchboard_connection_send_close, unless one is sent, and drops what the peer still sends.
///
/// # Safety
/// As of switchboard_connection_send_close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_fail(
    connection: Option<&mut Connection>,
    code: u16,
    reason: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let reason = unsafe { raw::text(reason, length) };
    guarded(connection, |connection| connection.fail(CloseFrame { code: CloseCode::new(code), reason: reason? }))
}
