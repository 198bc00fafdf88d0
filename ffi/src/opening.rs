//! The functions for the opening handshake, of both ends.

use std::{ffi::c_char, mem::MaybeUninit};

use switchboard::RequestHead;

use crate::{
    Bytes, Config, Connection, Outcome, Request,
    outcome::{Failure, caught, guarded, read},
    raw,
};

/// Returns a server's end of a new connection, which awaits the client's request. Never NULL.
///
/// `config` may be NULL, for the defaults without compression.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_new_server(config: Option<&Config>) -> Box<Connection> {
    Box::new(Connection::server(config.unwrap_or(&Config::default())))
}

/// Makes a client's end of a new connection, with the request in its output.
///
/// `config` may be NULL, for the defaults without compression. If it fails, `connection` is set to NULL: the request
/// holds something that must not be sent, or the system has no random bytes.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_new_client(
    config: Option<&Config>,
    request: Option<&Request>,
    connection: Option<&mut MaybeUninit<Option<Box<Connection>>>>,
) -> Outcome {
    let Some(connection) = connection else { return Outcome::NullPointer };
    let connection = connection.write(None);
    caught(|| {
        let request = request.ok_or(Failure::NULL)?;
        let made = Connection::client(config.unwrap_or(&Config::default()), request)?;
        *connection = Some(Box::new(made));
        Ok(())
    })
}

/// Frees a connection, whatever its state. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_free(connection: Option<Box<Connection>>) {
    drop(connection);
}

/// Returns the target of the request that waits for an answer, as it was sent: almost always a path with a query.
///
/// Like all parts of the request, it is valid until the request is answered; without one it is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_target(connection: Option<&Connection>) -> Bytes {
    of_request(connection, |head| Some(head.target()))
}

/// Returns the path of the request, without its query.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_path(connection: Option<&Connection>) -> Bytes {
    of_request(connection, |head| Some(head.path()))
}

/// Returns the query of the request, without the "?" and not decoded; NULL if there is no "?".
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_query(connection: Option<&Connection>) -> Bytes {
    of_request(connection, RequestHead::query)
}

/// Returns the host that the request is for, with its port if it has one.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_host(connection: Option<&Connection>) -> Bytes {
    of_request(connection, RequestHead::host)
}

/// Returns the Origin: the page that opens the connection, as browsers send it; NULL if there is none.
///
/// A server that identifies users by cookies must check it, because browsers send cookies for any page:
/// switchboard_connection_is_same_origin.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_origin(connection: Option<&Connection>) -> Bytes {
    read(connection, Bytes::NONE, |connection| connection.handshake().and_then(|request| request.origin()).into())
}

/// Returns whether the request may use the cookies of a user: it has no Origin, so no browser sent it, or one with the
/// request's own host. False if there is no request.
///
/// `is_tls` says whether the connection speaks TLS: then only a page of https is of the same origin.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_is_same_origin(connection: Option<&Connection>, is_tls: bool) -> bool {
    read(connection, false, |connection| connection.is_same_origin(is_tls))
}

/// Returns the value of the request's header field with this name, ignoring case: of several, the one with this index,
/// from 0. NULL if there is none. The value may hold any bytes except NUL, CR and LF.
///
/// # Safety
/// The name ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_header(
    connection: Option<&Connection>,
    name: *const c_char,
    index: usize,
) -> Bytes {
    // SAFETY: the caller vouches for the string.
    let Ok(name) = (unsafe { raw::string(name) }) else { return Bytes::NONE };
    read(connection, Bytes::NONE, |connection| {
        let value = connection.request().and_then(|head| head.values(name).nth(index));
        value.map_or(Bytes::NONE, Bytes::from)
    })
}

/// Returns the subprotocol with this index, from 0, of those that the request offers, in the client's order of
/// preference. NULL if there are no more.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_offered_subprotocol(connection: Option<&Connection>, index: usize) -> Bytes {
    read(connection, Bytes::NONE, |connection| {
        let offered = connection.handshake().and_then(|request| request.subprotocols().get(index));
        offered.map(String::as_str).into()
    })
}

/// Adds a header field to the response, before switchboard_connection_accept or switchboard_connection_reject, which
/// check it.
///
/// # Safety
/// Each string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_add_header(
    connection: Option<&mut Connection>,
    name: *const c_char,
    value: *const c_char,
) -> Outcome {
    // SAFETY: the caller vouches for the strings.
    let (name, value) = unsafe { (raw::string(name), raw::string(value)) };
    guarded(connection, |connection| connection.add_header(name?, value?))
}

/// Accepts the request. The connection is OPEN, with the response in its output.
///
/// `subprotocol` is one of those that the request offers, or NULL for none. Of permessage-deflate the first usable
/// offer is accepted, if the configuration has it on.
///
/// An invalid argument is a subprotocol that is not offered, or a header field that must not be sent. The client then
/// gets the status 500, and the connection is CLOSED.
///
/// # Safety
/// The string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_accept(
    connection: Option<&mut Connection>,
    subprotocol: *const c_char,
) -> Outcome {
    // SAFETY: the caller vouches for the string.
    let subprotocol = unsafe { raw::optional_string(subprotocol) };
    guarded(connection, |connection| connection.accept(subprotocol?))
}

/// Rejects the request with a status of HTTP, 200 to 599, and a text of `length` bytes. The connection is CLOSED, with
/// the response in its output.
///
/// An invalid argument is another status, or a header field that must not be sent. The client then gets the status 500.
/// A text that is not UTF-8 changes nothing.
///
/// # Safety
/// `body` points to `length` bytes, or is NULL if there are none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_connection_reject(
    connection: Option<&mut Connection>,
    status: u16,
    body: *const u8,
    length: usize,
) -> Outcome {
    // SAFETY: the caller vouches for the bytes.
    let body = unsafe { raw::text(body, length) };
    guarded(connection, |connection| connection.reject(status, body?))
}

/// Returns the subprotocol that the server has chosen, as long as the connection exists; NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_connection_subprotocol(connection: Option<&Connection>) -> Bytes {
    read(connection, Bytes::NONE, |connection| connection.subprotocol().into())
}

fn of_request<'a>(connection: Option<&'a Connection>, part: impl FnOnce(&'a RequestHead) -> Option<&'a str>) -> Bytes {
    match connection {
        Some(connection) if !connection.has_panicked() => connection.request().and_then(part).into(),
        _ => Bytes::NONE,
    }
}
