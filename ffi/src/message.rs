//! [`Message`]: a message for many connections.

use switchboard::Prepared;

use crate::{
    Connection, Outcome,
    open::Outgoing,
    outcome::{Failure, guarded},
    raw,
};

/// A message that is encoded once for any number of connections, and compressed once at most. It does not change, so
/// several threads may send it at the same time. It may be freed as soon as it is sent.
#[derive(Debug)]
pub struct Message(Prepared);

/// Returns a text message, or NULL if the text is not UTF-8, or NULL and not empty.
///
/// # Safety
/// `text` points to `length` bytes, or is NULL if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_message_new_text(text: *const u8, length: usize) -> Option<Box<Message>> {
    // SAFETY: the caller vouches for the bytes.
    let text = unsafe { raw::text(text, length) }.ok()?;
    Some(Box::new(Message(Prepared::text(text))))
}

/// Returns a binary message, or NULL if the payload is NULL and not empty.
///
/// # Safety
/// `payload` points to `length` bytes, or is NULL if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_message_new_binary(payload: *const u8, length: usize) -> Option<Box<Message>> {
    // SAFETY: the caller vouches for the bytes.
    let payload = unsafe { raw::bytes(payload, length) }.ok()?;
    Some(Box::new(Message(Prepared::binary(payload))))
}

/// Frees a message. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_message_free(message: Option<Box<Message>>) {
    drop(message);
}

/// Sends a message, as switchboard_connection_send_text. The first connection with permessage-deflate compresses it for
/// all others.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_send_message(
    connection: Option<&mut Connection>,
    message: Option<&Message>,
) -> Outcome {
    guarded(connection, |connection| {
        let Message(prepared) = message.ok_or(Failure::NULL)?;
        connection.send(Outgoing::Prepared(prepared))
    })
}
