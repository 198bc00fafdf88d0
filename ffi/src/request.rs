//! [`Request`]: what a client asks the server for.

use std::ffi::c_char;

use crate::{
    Outcome,
    outcome::{Failure, caught},
    raw,
};

/// The request of a client's opening handshake.
#[derive(Debug)]
pub struct Request {
    pub(crate) host: String,
    pub(crate) target: String,
    pub(crate) origin: Option<String>,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
}

/// Returns a request, or NULL if a string is NULL or not UTF-8.
///
/// `host` is the host, with its port if that is not the scheme's default: "example.com:8080". `target` is the path with
/// the query: "/chat?room=1". They are checked when a connection is made.
///
/// # Safety
/// Each string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_request_new(host: *const c_char, target: *const c_char) -> Option<Box<Request>> {
    // SAFETY: the caller vouches for the strings.
    let (Ok(host), Ok(target)) = (unsafe { (raw::string(host), raw::string(target)) }) else { return None };
    Some(Box::new(Request {
        host: host.to_owned(),
        target: target.to_owned(),
        origin: None,
        subprotocols: Vec::new(),
        headers: Vec::new(),
    }))
}

/// Frees a request. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn switchboard_request_free(request: Option<Box<Request>>) {
    drop(request);
}

/// Sets the Origin, which only browsers must send.
///
/// # Safety
/// The string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_request_set_origin(
    request: Option<&mut Request>,
    origin: *const c_char,
) -> Outcome {
    // SAFETY: the caller vouches for the string.
    change(request, unsafe { raw::string(origin) }, |request, origin| request.origin = Some(origin.to_owned()))
}

/// Adds a subprotocol to those that are offered, the preferred one first.
///
/// # Safety
/// The string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_request_add_subprotocol(
    request: Option<&mut Request>,
    subprotocol: *const c_char,
) -> Outcome {
    // SAFETY: the caller vouches for the string.
    change(request, unsafe { raw::string(subprotocol) }, |request, name| request.subprotocols.push(name.to_owned()))
}

/// Adds a header field, such as "Authorization" or "Cookie".
///
/// # Safety
/// Each string ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn switchboard_request_add_header(
    request: Option<&mut Request>,
    name: *const c_char,
    value: *const c_char,
) -> Outcome {
    // SAFETY: the caller vouches for the strings.
    let (name, value) = unsafe { (raw::string(name), raw::string(value)) };
    let field = name.and_then(|name| Ok((name, value?)));
    change(request, field, |request, (name, value)| request.headers.push((name.to_owned(), value.to_owned())))
}

fn change<T>(
    request: Option<&mut Request>,
    value: Result<T, Failure>,
    change: impl FnOnce(&mut Request, T),
) -> Outcome {
    caught(|| {
        change(request.ok_or(Failure::NULL)?, value?);
        Ok(())
    })
}
