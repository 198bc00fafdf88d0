//! Plain HTTP/1.1 on the same port: enough to serve a page and a small API.
//!
//! Supports GET, HEAD, POST with a Content-Length, and keep-alive. Handles one request at a time: pipelined requests
//! wait until the response is given. Does not support chunked or streamed bodies.

use std::{borrow::Cow, io::Write as _, net::SocketAddr, time::Duration};

use crate::{
    HandshakeError, HeadError, HttpVersion, InvalidHeader, Rejection, RequestHead, RequestReader, ServerHandshake,
    reactor::Tick, reason_phrase, server::Config,
};

/// A complete plain HTTP request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method, target and header fields.
    pub head: &'a RequestHead,
    /// The body; empty if the request has none.
    pub body: &'a [u8],
    /// The address of the other end of the TCP connection.
    pub peer: SocketAddr,
}

/// A response to a plain HTTP request. The server adds Content-Length, Connection and Keep-Alive.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// Creates a response with a status of 200 to 599 and without a body. Another status becomes 500 when it is sent.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Cow::Borrowed(b"") }
    }

    /// Creates a response with a plain text.
    #[must_use]
    pub fn text(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        let body = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new(status).header("Content-Type", "text/plain; charset=utf-8").body(body)
    }

    /// Adds a header field. An invalid or reserved field (Connection, Content-Length, Keep-Alive, Transfer-Encoding)
    /// turns the response into 500 when it is sent.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the bytes that the response takes until it is written, about.
    pub(super) fn weight(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Returns the response as bytes for the wire. After it, the connection is kept without a request for `keep_alive`;
    /// `None` closes it.
    pub(super) fn encode(&self, keep_alive: Option<Duration>, head_only: bool) -> Vec<u8> {
        if !(200..=599).contains(&self.status) {
            log::error!("a response cannot be written: {}", InvalidHeader::Status(self.status));
            return Self::text(500, "internal error\n").encode(keep_alive, head_only);
        }
        for (name, value) in &self.headers {
            let reserved = ["connection", "content-length", "keep-alive", "transfer-encoding"];
            let checked = if reserved.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                Err(InvalidHeader::Reserved(name.to_string()))
            } else {
                InvalidHeader::check(name, value)
            };
            if let Err(error) = checked {
                log::error!("a response cannot be written: {error}");
                return Self::text(500, "internal error\n").encode(keep_alive, head_only);
            }
        }
        let mut out = Vec::with_capacity(256 + self.body.len());
        let Self { status, headers, body } = self;
        // Writing to a Vec does not fail.
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason_phrase(*status));
        for (name, value) in headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        // RFC 9110 §8.6: 204 has no Content-Length; 304 has no body to give the length of.
        if !matches!(status, 204 | 304) {
            let _ = write!(out, "Content-Length: {}\r\n", body.len());
        }
        let _ = match keep_alive {
            Some(time) => match time.as_secs() {
                seconds @ 1..=MAX_TOLD_SECONDS => {
                    write!(out, "Connection: keep-alive\r\nKeep-Alive: timeout={seconds}\r\n\r\n")
                }
                _ => write!(out, "Connection: keep-alive\r\n\r\n"),
            },
            None => write!(out, "Connection: close\r\n\r\n"),
        };
        if !head_only && !matches!(status, 204 | 304) {
            out.extend_from_slice(body);
        }
        out
    }
}

/// Reads requests from a connection that speaks HTTP.
#[derive(Debug)]
pub(super) struct RequestStream {
    /// The client's address.
    from: SocketAddr,
    /// When the deadline of the request began; `None` until its first byte, except for the first request of a
    /// connection.
    begun: Option<Tick>,
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

/// A complete request of a client.
#[derive(Debug)]
pub(super) enum Incoming {
    Plain { head: RequestHead, body: Vec<u8> },
    WebSocket { head: RequestHead, handshake: ServerHandshake },
}

impl RequestStream {
    /// Reads the first request of a connection, which counts from the connection's start.
    pub(super) fn first(config: &Config, from: SocketAddr, now: Tick) -> Self {
        Self { begun: Some(now), ..Self::next(config, from) }
    }

    /// Reads a further request, which counts from its first byte.
    pub(super) fn next(config: &Config, from: SocketAddr) -> Self {
        Self { from, begun: None, reader: RequestReader::new(config.head), body: None }
    }

    pub(super) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Returns when the deadline of the request began; `None` if no byte of it has arrived.
    pub(super) fn begun(&self) -> Option<Tick> {
        self.begun
    }

    /// Restarts the deadline of the request.
    pub(super) fn restart_deadline(&mut self, now: Tick) {
        self.begun = self.begun.map(|_| now);
    }

    /// Returns whether no byte of a request has arrived.
    pub(super) fn is_idle(&self) -> bool {
        self.reader.is_empty() && self.body.is_none()
    }

    /// Returns the heap memory of the request so far, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.head.allocated_bytes() + body.bytes.capacity());
        self.reader.allocated_bytes() + body
    }

    /// Processes the next bytes. Returns how many of them were used, and the request once it is complete. Calls
    /// `send_continue` if the client waits for 100 (Continue) before it sends its body.
    ///
    /// # Errors
    /// Returns the rejection to send if the request is invalid or too large.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        config: &Config,
        now: Tick,
        send_continue: impl FnOnce(),
    ) -> Result<(usize, Option<Incoming>), Rejection> {
        self.begun.get_or_insert(now);
        if let Some(body) = self.body.take() {
            return Ok(self.receive_body(body, bytes));
        }
        let Some((head, used)) = self.reader.receive(bytes).map_err(|error: HeadError| Rejection::from(&error))? else {
            return Ok((bytes.len(), None));
        };
        if head.version() == HttpVersion::Http11 && head.has_token("upgrade", "websocket") {
            let handshake =
                ServerHandshake::from_request(&head).map_err(|error: HandshakeError| Rejection::from(&error))?;
            return Ok((used, Some(Incoming::WebSocket { head, handshake })));
        }
        let length = check_plain(&head, config)?;
        if length == 0 {
            return Ok((used, Some(Incoming::Plain { head, body: Vec::new() })));
        }
        // RFC 9110 §10.1.1: it does not count in HTTP/1.0.
        if head.version() == HttpVersion::Http11
            && head.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
        {
            send_continue();
        }
        let body = PendingBody { head, bytes: Vec::new(), length };
        let (more, incoming) = self.receive_body(body, &bytes[used..]);
        Ok((used + more, incoming))
    }

    fn receive_body(&mut self, mut body: PendingBody, bytes: &[u8]) -> (usize, Option<Incoming>) {
        let taken = bytes.len().min(body.length - body.bytes.len());
        body.bytes.extend_from_slice(&bytes[..taken]);
        if body.bytes.len() < body.length {
            self.body = Some(body);
            return (taken, None);
        }
        (taken, Some(Incoming::Plain { head: body.head, body: body.bytes }))
    }
}

/// The longest time that a `Keep-Alive` field tells: clients read it as a number of 32 bits.
const MAX_TOLD_SECONDS: u64 = u32::MAX as u64;

/// Returns whether the client wants to keep the connection after the response (RFC 9112 §9.3).
pub(super) fn keeps_alive(head: &RequestHead) -> bool {
    let names = |token: &str| head.has_token("connection", token);
    match head.version() {
        HttpVersion::Http11 => !names("close"),
        HttpVersion::Http10 => names("keep-alive") && !names("close"),
    }
}

/// Checks the requirements of RFC 9110 and 9112 for any request. Returns the length of its body.
fn check_plain(head: &RequestHead, config: &Config) -> Result<usize, Rejection> {
    let refuse = |status: u16, why: &'static str| Err(Rejection::new(status).body(why));
    let hosts = head.values("host").count();
    if hosts > 1 || (hosts == 0 && head.version() == HttpVersion::Http11) {
        return refuse(400, "a request needs exactly one Host\n");
    }
    if !matches!(head.method(), "GET" | "HEAD" | "POST") {
        return Err(Rejection::new(405)
            .header("Allow", "GET, HEAD, POST")
            .body("only GET, HEAD and POST are supported\n"));
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
        return refuse(400, "Content-Length is not a number\n");
    }
    // A number that does not fit is larger than any limit.
    let length = core::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX);
    if length > config.max_body_bytes {
        return refuse(413, "the body is too large\n");
    }
    Ok(length)
}
