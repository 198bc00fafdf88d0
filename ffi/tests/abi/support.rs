//! The functions with pointers, as safe ones for the tests.

use std::{
    ffi::{CStr, CString},
    mem::MaybeUninit,
    slice,
};

use switchboard_ffi::*;

/// What one call of `switchboard_connection_receive` has returned, with its payload copied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) outcome: Outcome,
    pub(crate) used: usize,
    pub(crate) kind: EventKind,
    pub(crate) close_code: u16,
    pub(crate) data: Option<Vec<u8>>,
}

/// Gives `bytes` to the connection, once.
pub(crate) fn receive(connection: &mut Connection, bytes: &mut [u8]) -> Received {
    let (mut used, mut event) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let (data, length) = (bytes.as_mut_ptr(), bytes.len());
    // SAFETY: `data` and `length` are of a slice. Both results are written, since their pointers are not null.
    unsafe {
        let outcome = switchboard_connection_receive(Some(connection), data, length, Some(&mut used), Some(&mut event));
        let event = event.assume_init();
        let used = used.assume_init();
        Received { outcome, used, kind: event.kind, close_code: event.close_code, data: copy(event.data) }
    }
}

/// Gives `bytes` to the connection until there is no event, and returns the events.
pub(crate) fn events(connection: &mut Connection, bytes: &mut [u8]) -> Vec<Received> {
    let (mut events, mut from) = (Vec::new(), 0);
    loop {
        let received = receive(connection, &mut bytes[from..]);
        from += received.used;
        if received.kind == EventKind::None && received.outcome == Outcome::Ok {
            assert_eq!(from, bytes.len(), "without an event all bytes are read");
            return events;
        }
        let is_over = received.outcome != Outcome::Ok;
        events.push(received);
        if is_over {
            return events;
        }
    }
}

/// Copies bytes of the library; `None` for NULL.
pub(crate) fn copy(bytes: Bytes) -> Option<Vec<u8>> {
    // SAFETY: the library's bytes are valid until the next call that changes their connection.
    (!bytes.data.is_null()).then(|| unsafe { slice::from_raw_parts(bytes.data, bytes.length) }.to_vec())
}

/// Copies bytes of the library as text; empty for NULL.
pub(crate) fn text(bytes: Bytes) -> String {
    String::from_utf8(copy(bytes).unwrap_or_default()).expect("text")
}

/// Takes the whole output of a connection.
pub(crate) fn take_output(connection: &mut Connection) -> Vec<u8> {
    let output = copy(switchboard_connection_output(Some(connection))).expect("a connection has an output");
    assert_eq!(switchboard_connection_wrote(Some(connection), output.len()), Outcome::Ok);
    output
}

pub(crate) fn error_text(connection: &Connection) -> String {
    // SAFETY: the text ends with a NUL, and is valid until the next call.
    let text = unsafe { CStr::from_ptr(switchboard_connection_error_text(Some(connection))) };
    text.to_str().expect("text").to_owned()
}

pub(crate) fn accept(connection: &mut Connection, subprotocol: Option<&str>) -> Outcome {
    let subprotocol = subprotocol.map(c_string);
    let pointer = subprotocol.as_ref().map_or(std::ptr::null(), |name| name.as_ptr());
    // SAFETY: a pointer of a C string, or null.
    unsafe { switchboard_connection_accept(Some(connection), pointer) }
}

pub(crate) fn send_text(connection: &mut Connection, text: &[u8]) -> Outcome {
    // SAFETY: pointer and length of a slice.
    unsafe { switchboard_connection_send_text(Some(connection), text.as_ptr(), text.len()) }
}

pub(crate) fn send_binary(connection: &mut Connection, payload: &[u8]) -> Outcome {
    // SAFETY: pointer and length of a slice.
    unsafe { switchboard_connection_send_binary(Some(connection), payload.as_ptr(), payload.len()) }
}

pub(crate) fn send_close(connection: &mut Connection, code: u16, reason: &[u8]) -> Outcome {
    // SAFETY: pointer and length of a slice.
    unsafe { switchboard_connection_send_close(Some(connection), code, reason.as_ptr(), reason.len()) }
}

pub(crate) fn add_header(connection: &mut Connection, name: &str, value: &str) -> Outcome {
    let (name, value) = (c_string(name), c_string(value));
    // SAFETY: pointers of C strings.
    unsafe { switchboard_connection_add_header(Some(connection), name.as_ptr(), value.as_ptr()) }
}

pub(crate) fn header(connection: &Connection, name: &str, index: usize) -> Option<Vec<u8>> {
    let name = c_string(name);
    // SAFETY: a pointer of a C string.
    copy(unsafe { switchboard_connection_header(Some(connection), name.as_ptr(), index) })
}

pub(crate) fn reject(connection: &mut Connection, status: u16, body: &str) -> Outcome {
    // SAFETY: pointer and length of a slice.
    unsafe { switchboard_connection_reject(Some(connection), status, body.as_ptr(), body.len()) }
}

pub(crate) fn request(host: &str, target: &str) -> Box<Request> {
    let (host, target) = (c_string(host), c_string(target));
    // SAFETY: pointers of C strings.
    unsafe { switchboard_request_new(host.as_ptr(), target.as_ptr()) }.expect("the strings are UTF-8")
}

/// A new client with this request, or why there is none.
pub(crate) fn client(config: Option<&Config>, request: &Request) -> Result<Box<Connection>, Outcome> {
    let mut connection = MaybeUninit::uninit();
    let outcome = switchboard_connection_new_client(config, Some(request), Some(&mut connection));
    // SAFETY: it is written in any case.
    unsafe { connection.assume_init() }.ok_or(outcome)
}

pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).expect("the test's text has no NUL")
}

/// A server that has accepted a plain request, with no output left.
pub(crate) fn open_server(config: Option<&Config>) -> Box<Connection> {
    let mut connection = switchboard_connection_new_server(config);
    let received = receive(&mut connection, &mut REQUEST.to_vec());
    assert_eq!((received.kind, received.used), (EventKind::Request, REQUEST.len()));
    assert_eq!(accept(&mut connection, None), Outcome::Ok);
    assert!(take_output(&mut connection).starts_with(b"HTTP/1.1 101 "));
    connection
}

pub(crate) const REQUEST: &[u8] =
    b"GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat.v2, chat.v1\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";
