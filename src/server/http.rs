//! Plain HTTP/1.1 on the same port: enough to serve a page and a small API.
//!
//! GET, HEAD, and POST with a Content-Length; connections are kept alive. One request at a time: what a client sends
//! ahead waits until the answer is given. Bodies are neither chunked nor streamed.

use std::{borrow::Cow, io::Write as _, net::SocketAddr};

use crate::{
    HandshakeError, HeadError, HttpVersion, InvalidHeader, Rejection, RequestHead, RequestReader, ServerHandshake,
    reason_phrase, server::Config,
};

/// A plain HTTP request, whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// Method, target, header fields.
    pub head: &'a RequestHead,
    /// The body; empty where none was announced.
    pub body: &'a [u8],
    /// Where it came from: the other end of the TCP connection.
    pub peer: SocketAddr,
}

/// An answer to a plain HTTP request. Content-Length and Connection are written for it.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// A plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new(status).header("Content-Type", "text/plain; charset=utf-8").body(body)
    }

    /// With one more header field. A field that cannot be written turns the answer into 500.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer as it goes onto the wire.
    pub(super) fn encode(&self, keep_alive: bool, head_only: bool) -> Vec<u8> {
        if !(200..=599).contains(&self.status) {
            log::error!("an answer cannot be written: {}", InvalidHeader::Status(self.status));
            return Self::text(500, "internal error\n").encode(keep_alive, head_only);
        }
        for (name, value) in &self.headers {
            let reserved = ["connection", "content-length", "transfer-encoding"];
            let checked = if reserved.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                Err(InvalidHeader::Reserved(name.to_string()))
            } else {
                InvalidHeader::check(name, value)
            };
            if let Err(error) = checked {
                log::error!("an answer cannot be written: {error}");
                return Self::text(500, "internal error\n").encode(keep_alive, head_only);
            }
        }
        let mut out = Vec::with_capacity(256 + self.body.len());
        let Self { status, headers, body } = self;
        let connection = if keep_alive { "keep-alive" } else { "close" };
        // Writing to a Vec does not fail.
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason_phrase(*status));
        for (name, value) in headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        // RFC 9110 §8.6: no Content-Length with 204; 304 has no body that it could be the length of.
        if !matches!(status, 204 | 304) {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
        }
        let _ = write!(out, "Connection: {connection}\r\n\r\n");
        if !head_only && !matches!(status, 204 | 304) {
            out.extend_from_slice(body);
        }
        out
    }
}

/// Reads requests from a connection that speaks HTTP.
#[derive(Debug)]
pub(super) struct RequestStream {
    /// Who asks.
    from: SocketAddr,
    reader: RequestReader,
    /// The request whose body is arriving.
    body: Option<PendingBody>,
}

#[derive(Debug)]
struct PendingBody {
    head: RequestHead,
    bytes: Vec<u8>,
    length: usize,
}

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Asked {
    Plain { head: RequestHead, body: Vec<u8> },
    WebSocket { head: RequestHead, handshake: ServerHandshake },
}

impl RequestStream {
    pub(super) fn new(config: &Config, from: SocketAddr) -> Self {
        Self { from, reader: RequestReader::new(config.head), body: None }
    }

    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Whether nothing of a request has come.
    pub(super) fn is_idle(&self) -> bool {
        self.reader.is_empty() && self.body.is_none()
    }

    /// Takes the next bytes; gives how many of them were used, and the request once it is whole. `go_on` is called
    /// where the client waits for a word before it sends its body.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        config: &Config,
        go_on: impl FnOnce(),
    ) -> Result<(usize, Option<Asked>), Rejection> {
        if let Some(body) = self.body.take() {
            return Ok(self.receive_body(body, bytes));
        }
        let Some((head, used)) = self.reader.receive(bytes).map_err(|error: HeadError| Rejection::from(&error))? else {
            return Ok((bytes.len(), None));
        };
        if head.version() == HttpVersion::Http11 && head.has_token("upgrade", "websocket") {
            let handshake =
                ServerHandshake::from_request(&head).map_err(|error: HandshakeError| Rejection::from(&error))?;
            return Ok((used, Some(Asked::WebSocket { head, handshake })));
        }
        let length = check_plain(&head, config)?;
        if length == 0 {
            return Ok((used, Some(Asked::Plain { head, body: Vec::new() })));
        }
        if head.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue")) {
            go_on();
        }
        let body = PendingBody { head, bytes: Vec::new(), length };
        let (more, asked) = self.receive_body(body, &bytes[used..]);
        Ok((used + more, asked))
    }

    fn receive_body(&mut self, mut body: PendingBody, bytes: &[u8]) -> (usize, Option<Asked>) {
        let taken = bytes.len().min(body.length - body.bytes.len());
        body.bytes.extend_from_slice(&bytes[..taken]);
        if body.bytes.len() < body.length {
            self.body = Some(body);
            return (taken, None);
        }
        (taken, Some(Asked::Plain { head: body.head, body: body.bytes }))
    }
}

/// Whether a client wants to go on with this connection after the answer (RFC 9112 §9.3).
pub(super) fn keeps_alive(head: &RequestHead) -> bool {
    let names = |token: &str| head.has_token("connection", token);
    match head.version() {
        HttpVersion::Http11 => !names("close"),
        HttpVersion::Http10 => names("keep-alive") && !names("close"),
    }
}

/// Checks what RFC 9110 and 9112 demand of any request; gives the length of its body.
fn check_plain(head: &RequestHead, config: &Config) -> Result<usize, Rejection> {
    let refuse = |status: u16, why: &'static str| Err(Rejection::new(status).body(why));
    let hosts = head.values("host").count();
    if hosts > 1 || (hosts == 0 && head.version() == HttpVersion::Http11) {
        return refuse(400, "exactly one Host is needed\n");
    }
    if !matches!(head.method(), "GET" | "HEAD" | "POST") {
        return Err(Rejection::new(405).header("Allow", "GET, HEAD, POST").body("only GET, HEAD and POST here\n"));
    }
    if head.values("transfer-encoding").next().is_some() {
        return refuse(411, "a body needs a Content-Length\n");
    }
    let mut lengths = head.values("content-length");
    let length = match (lengths.next(), lengths.next()) {
        (None, _) if head.method() == "POST" => return refuse(411, "a POST needs a Content-Length\n"),
        (None, _) => return Ok(0),
        (Some(_), Some(_)) => return refuse(400, "more than one Content-Length\n"),
        (Some(value), None) => value,
    };
    if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
        return refuse(400, "Content-Length is no number\n");
    }
    // A number that does not fit is larger than any limit.
    let length = core::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX);
    if length > config.max_body_bytes {
        return refuse(413, "the body is too large\n");
    }
    Ok(length)
}
