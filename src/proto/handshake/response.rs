//! Writes the head of a response. Header fields from the caller are checked, so that they cannot end their line.

use alloc::{
    borrow::Cow,
    string::{String, ToString},
    vec::Vec,
};

use super::{InvalidHeader, RequestError, values::is_token};

/// A response that opens no connection, to a handshake or to any other request.
///
/// The caller chooses the status, header fields and body. `Content-Length` and `Connection: close` are added. A status
/// that has no body (204, 205, 304) is written without one. Header fields are checked when they are written: a value
/// cannot end its line. The engine has no clock, so it adds no `Date`; the server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, str>,
}

impl Rejection {
    /// Returns about the heap memory of the response, in bytes.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let fields = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.body.len() + fields.sum::<usize>()
    }

    /// Makes a response with this status, without header fields or body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed("") }
    }

    /// Makes a response with a plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(status).body(text)
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body. It is plain text unless there is a `Content-Type`.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'static, str>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the header fields: the caller's, then the added ones. For callers that do not use
    /// [`write`](Self::write).
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let has = |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let content_type = (!self.body_text().is_empty() && !has("Content-Type")).then_some(TEXT);
        // RFC 9110 §8.6: 204 has no Content-Length; 304 has no body to give the length of.
        let length = (!matches!(self.status, 204 | 304)).then(|| self.body_text().len().to_string());
        // RFC 9110 §7.8: the sender of Upgrade must list it in Connection.
        let connection = if has("Upgrade") { "close, Upgrade" } else { "close" };
        let given = self.headers.iter().map(|(name, value)| (&**name, Cow::Borrowed(&**value)));
        given
            .chain(content_type.map(|value| ("Content-Type", Cow::Borrowed(value))))
            .chain(length.map(|length| ("Content-Length", Cow::Owned(length))))
            .chain([("Connection", Cow::Borrowed(connection))])
    }

    /// Returns the header fields for a response of HTTP/2 or HTTP/3, which must have none that concern the connection
    /// (RFC 9113 §8.2.2).
    pub fn http2_headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let of_connection = |name: &str| ["connection", "upgrade"].iter().any(|own| name.eq_ignore_ascii_case(own));
        self.headers().filter(move |(name, _)| !of_connection(name))
    }

    /// Returns the body that is written; empty if the status has none: 204, 205 or 304 (RFC 9110 §15).
    #[must_use]
    pub fn body_text(&self) -> &str {
        if matches!(self.status, 204 | 205 | 304) { "" } else { &self.body }
    }

    /// Appends the response to `out`.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the status or a header field must not be written. Nothing is appended.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), InvalidHeader> {
        self.write_head(out)?;
        out.extend_from_slice(self.body_text().as_bytes());
        Ok(())
    }

    /// Appends the response without its body to `out`: the response to a HEAD request (RFC 9110 §9.3.2).
    ///
    /// # Errors
    /// [`InvalidHeader`] if the status or a header field must not be written. Nothing is appended.
    pub fn write_head(&self, out: &mut Vec<u8>) -> Result<(), InvalidHeader> {
        self.check()?;
        status_line(self.status, out);
        for (name, value) in self.headers() {
            header_line(name, &value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Checks the status and the caller's header fields.
    pub(super) fn check(&self) -> Result<(), InvalidHeader> {
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
        Ok(())
    }
}

/// The response to an error of a request: a [`RequestError`], or any error that converts into one.
impl<E: Into<RequestError>> From<E> for Rejection {
    fn from(error: E) -> Self {
        let error = error.into();
        let body = match error {
            RequestError::Response(_) => Cow::Borrowed("internal error\n"),
            RequestError::Head(_) | RequestError::Body(_) | RequestError::Handshake(_) => {
                Cow::Owned(error.to_string() + "\n")
            }
        };
        let rejection = Self::new(error.status()).body(body);
        error.headers().iter().fold(rejection, |rejection, &(name, value)| rejection.header(name, value))
    }
}

impl InvalidHeader {
    /// Checks that a header field may be written: the name is a token, and the value consists of visible ASCII, spaces
    /// and tabs, so that neither can end the line (RFC 9110 §5).
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

/// Checks the header fields that a caller adds to a handshake. Those of the handshake itself are refused.
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
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
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
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
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
