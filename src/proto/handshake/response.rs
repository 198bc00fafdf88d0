//! The head of an answer. Nothing that a caller supplies can break out of its line.

use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};

use super::{HandshakeError, HeadError, InvalidHeader, values::is_token};

/// An answer that ends a handshake, or any request, without opening a connection: the status, header fields and body
/// that the caller chooses. `Content-Length` and `Connection: close` are written for it.
#[derive(Clone, Debug)]
pub struct Rejection {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, str>,
}

impl Rejection {
    /// An answer with this status and nothing else.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed("") }
    }

    /// With one more header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a body, as plain text unless a `Content-Type` says otherwise.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'static, str>>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The header fields that go with it, for who writes the answer by other means: the caller's, then those that are
    /// written for it.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let content_type = (!self.body.is_empty() && !has("Content-Type")).then_some(TEXT);
        // RFC 9110 §7.8: who sends Upgrade must name it in Connection.
        let connection = if has("Upgrade") { "close, Upgrade" } else { "close" };
        let given = self.headers.iter().map(|(name, value)| (&**name, Cow::Borrowed(&**value)));
        given
            .chain(content_type.map(|value| ("Content-Type", Cow::Borrowed(value))))
            .chain([("Content-Length", Cow::Owned(self.body.len().to_string()))])
            .chain([("Connection", Cow::Borrowed(connection))])
    }

    /// The body.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.body
    }

    /// Appends the answer to `out`.
    ///
    /// # Errors
    /// [`InvalidHeader`], and nothing is appended.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), InvalidHeader> {
        if !(200..=599).contains(&self.status) {
            return Err(InvalidHeader::Status(self.status));
        }
        for (name, value) in &self.headers {
            InvalidHeader::check(name, value)?;
            if ["connection", "content-length", "transfer-encoding"]
                .iter()
                .any(|reserved| name.eq_ignore_ascii_case(reserved))
            {
                return Err(InvalidHeader::Reserved(name.to_string()));
            }
        }
        status_line(self.status, out);
        for (name, value) in self.headers() {
            header_line(name, &value, out);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.as_bytes());
        Ok(())
    }
}

impl From<&HandshakeError> for Rejection {
    fn from(error: &HandshakeError) -> Self {
        let rejection = Self::new(error.status()).body(error.to_string() + "\n");
        error.headers().iter().fold(rejection, |rejection, &(name, value)| rejection.header(name, value))
    }
}

impl From<&HeadError> for Rejection {
    fn from(error: &HeadError) -> Self {
        Self::new(error.status()).body(error.to_string() + "\n")
    }
}

impl InvalidHeader {
    /// Checks that a header field can be written to a head as it is: the name is a token, the value is visible ASCII
    /// with spaces and tabs, so that neither can end its line (RFC 9110 §5).
    ///
    /// # Errors
    /// [`InvalidHeader::Name`] or [`InvalidHeader::Value`].
    pub fn check(name: &str, value: &str) -> Result<(), Self> {
        if !is_token(name.as_bytes()) {
            return Err(Self::Name(name.into()));
        }
        if !value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(Self::Value { name: name.into() });
        }
        Ok(())
    }
}

/// Checks header fields that a caller adds to a head of a handshake: also none that the handshake itself is made of.
pub(super) fn check_added(headers: &[(&str, &str)]) -> Result<(), InvalidHeader> {
    for (name, value) in headers {
        InvalidHeader::check(name, value)?;
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("sec-websocket-")
            || matches!(&*lower, "connection" | "upgrade" | "host" | "origin" | "content-length" | "transfer-encoding")
        {
            return Err(InvalidHeader::Reserved(String::from(*name)));
        }
    }
    Ok(())
}

pub(super) fn status_line(status: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(super) fn header_line(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Returns the phrase that usually follows a status in the first line of a response (RFC 9110 §15), such as
/// `Not Found` for 404; empty for a status that this library does not know.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
