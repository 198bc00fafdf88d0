//! The responses of the API.

use std::borrow::Cow;

use serde::Serialize;
use switchboard::Response;

use super::super::{
    credentials,
    device::DeviceCookie,
    interface::{Limited, SignInError, SignedIn, You},
    site::Site,
    wire::{self, EventError},
};

/// An error response.
pub(super) struct ErrorResponse {
    pub(super) status: u16,
    pub(super) error: EventError,
    /// An HTTP field that tells the client how to go on.
    pub(super) field: Option<(&'static str, String)>,
}

#[derive(Serialize)]
struct SignedInView {
    you: You,
    expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    error: &'a EventError,
}

/// Returns the response to a client that has signed in.
pub(super) fn signed_in_response(
    status: u16,
    signed_in: SignedIn,
    as_token: bool,
    site: &Site,
    lifetime: u64,
) -> Response {
    let SignedIn { you, token, expires, device_cookie } = signed_in;
    let view = SignedInView { you, expires, token: as_token.then(|| token.to_string()) };
    let response = json(status, &view);
    if as_token {
        return response;
    }
    let response = response.header("Set-Cookie", credentials::session_cookie(site, &token, lifetime));
    with_device_cookie(response, site, device_cookie)
}

/// Adds the new cookie of a device, if there is one.
pub(super) fn with_device_cookie(response: Response, site: &Site, cookie: Option<DeviceCookie>) -> Response {
    match cookie {
        Some(cookie) => response.header("Set-Cookie", credentials::device_cookie(site, &cookie)),
        None => response,
    }
}

/// Returns a response with this value as its body.
pub(super) fn json(status: u16, value: &impl Serialize) -> Response {
    Response::new(status)
        .header("Content-Type", "application/json")
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
        .body(wire::json(value).into_bytes())
}

/// Returns an error response.
pub(super) fn error_response(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> ErrorResponse {
    ErrorResponse { status, error: EventError::new(code, message), field: None }
}

impl ErrorResponse {
    /// Returns the response to a method that is not one of those `allowed`.
    pub(super) fn method(allowed: &'static str) -> Self {
        let message = format!("Use the method {allowed}.");
        Self { field: Some(("Allow", allowed.to_owned())), ..error_response(405, "bad_method", message) }
    }

    pub(super) fn response(self) -> Response {
        let response = json(self.status, &ErrorView { error: &self.error });
        match self.field {
            Some((name, value)) => response.header(name, value),
            None => response,
        }
    }
}

impl From<Limited> for ErrorResponse {
    fn from(limited: Limited) -> Self {
        SignInError::from(limited).into()
    }
}

impl From<SignInError> for ErrorResponse {
    fn from(error: SignInError) -> Self {
        let (status, field) = match error {
            SignInError::NameTaken => (409, None),
            SignInError::BadCredentials => (401, None),
            SignInError::Limited(limited) => (429, Some(("Retry-After", limited.seconds().to_string()))),
            SignInError::Overloaded | SignInError::Storage | SignInError::Unknown => {
                (503, Some(("Retry-After", RETRY_AFTER.to_owned())))
            }
        };
        Self { status, error: error.event_error(), field }
    }
}

/// Seconds after which a client may retry when the server is overloaded or cannot write.
const RETRY_AFTER: &str = "2";
