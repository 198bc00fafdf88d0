//! Plain HTTP/1.1 on the same port: enough to serve a page and a small API.
//!
//! Supports GET, HEAD, OPTIONS, POST and what the app asks for, bodies with a Content-Length or in chunks, and
//! keep-alive. Handles one request at a time: pipelined requests wait until the response is given. Request bodies are
//! read whole; those of responses may be written while they are made (`response_body.rs`).

use std::{borrow::Cow, io::Write as _, net::SocketAddr, time::Duration};

use super::response_body::Framing;
use crate::{
    BodyReader, HttpVersion, InvalidHeader, Rejection, RequestHead, RequestReader, ServerHandshake, reactor::Tick,
    reason_phrase, server::Config,
};

/// A complete plain HTTP request.
#[derive(Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method, target and header fields. The method is GET, HEAD, POST, OPTIONS or one of
    /// [`Config::extra_methods`]. The server itself responds to `OPTIONS *`.
    pub head: &'a RequestHead,
    /// The body, of [`Config::max_body_bytes`] at most; empty if the request has none. That of a request in chunks is
    /// decoded, and the trailer fields are dropped.
    pub body: &'a [u8],
    /// The address of the other end of the TCP connection.
    pub peer: SocketAddr,
    /// Whether the connection speaks TLS.
    pub is_tls: bool,
    /// The names in the client's certificate, which was verified: hosts and URIs of its subjectAltName. Empty unless
    /// `TlsBuilder::client_ca` demands a certificate.
    pub client_names: &'a [String],
}

/// A response to a plain HTTP request. The server adds Content-Length, Connection and Keep-Alive, and Date unless the
/// app has set one.
///
/// A response to HEAD, and one with a status that has no body (204, 205, 304), is sent without its body.
///
/// ```rust
/// use switchboard::{Request, Responder, Response};
///
/// /// Is called by `App::request`.
/// fn respond(request: &Request<'_>, responder: Responder) {
///     responder.send(match request.head.path() {
///         "/" => Response::new(200).header("Content-Type", "text/html").body(b"<h1>Hello</h1>".as_slice()),
///         "/health" => Response::text(200, "ok\n"),
///         path => Response::text(404, format!("there is no {path}\n")),
///     });
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// Checks that the head can be written.
    pub(super) fn check(&self) -> Result<(), InvalidHeader> {
        if !(200..=599).contains(&self.status) {
            return Err(InvalidHeader::Status(self.status));
        }
        for (name, value) in &self.headers {
            let reserved = ["connection", "content-length", "keep-alive", "transfer-encoding"];
            if reserved.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
                return Err(InvalidHeader::Reserved(name.to_string()));
            }
            InvalidHeader::check(name, value)?;
        }
        Ok(())
    }

    /// Returns how the end of a body that follows is found.
    pub(super) fn framing(&self, head_only: bool, is_http10: bool) -> Framing {
        match (self.has_body() && !head_only, is_http10) {
            (false, _) => Framing::None,
            (true, true) => Framing::UntilEnd,
            (true, false) => Framing::Chunked,
        }
    }

    fn has_body(&self) -> bool {
        !matches!(self.status, 204 | 205 | 304)
    }

    /// Returns the response as bytes for the wire, with this `date`. After it, the connection is kept without a request
    /// for `keep_alive`; `None` closes it.
    pub(super) fn encode(&self, keep_alive: Option<Duration>, head_only: bool, date: Option<&str>) -> Vec<u8> {
        if let Err(error) = self.check() {
            log::error!("a response cannot be written: {error}");
            return Self::text(500, "internal error\n").encode(keep_alive, head_only, date);
        }
        let body = if self.has_body() { &*self.body } else { b"" };
        // RFC 9110 §8.6: 204 has no Content-Length; 304 has no body to give the length of.
        let length = (!matches!(self.status, 204 | 304)).then(|| format!("Content-Length: {}\r\n", body.len()));
        let mut out = self.encode_head(keep_alive, length.as_deref(), date);
        if !head_only {
            out.extend_from_slice(body);
        }
        out
    }

    /// Returns the head of a response, which [`check`](Self::check) has found right, as bytes for the wire. `framing`
    /// is the field that tells how the end of the body is found.
    pub(super) fn encode_head(
        &self,
        keep_alive: Option<Duration>,
        framing: Option<&str>,
        date: Option<&str>,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.body.len());
        let Self { status, headers, .. } = self;
        // Writing to a Vec does not fail.
        let _ = write!(out, "HTTP/1.1 {status} {}\r\n", reason_phrase(*status));
        for (name, value) in headers {
            let _ = write!(out, "{name}: {value}\r\n");
        }
        if let Some(date) = date.filter(|_| !has_field(headers, "date")) {
            let _ = write!(out, "Date: {date}\r\n");
        }
        out.extend_from_slice(framing.unwrap_or_default().as_bytes());
        let connection = if keep_alive.is_some() { "keep-alive" } else { "close" };
        // RFC 9110 §7.8: the sender of Upgrade must list it in Connection.
        let upgrade = if has_field(headers, "upgrade") { ", Upgrade" } else { "" };
        let _ = write!(out, "Connection: {connection}{upgrade}\r\n");
        if let Some(seconds @ 1..=MAX_TOLD_SECONDS) = keep_alive.map(|time| time.as_secs()) {
            let _ = write!(out, "Keep-Alive: timeout={seconds}\r\n");
        }
        out.extend_from_slice(b"\r\n");
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
    /// The request is known to be a HEAD request.
    is_head: bool,
}

#[derive(Debug)]
struct PendingBody {
    head: RequestHead,
    reader: BodyReader,
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
        Self { from, begun: None, reader: RequestReader::new(config.head), body: None, is_head: false }
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

    /// Returns whether the request is known to be a HEAD request, so that even a rejection has no body.
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// Returns the heap memory of the request so far, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.head.allocated_bytes() + body.reader.allocated_bytes());
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
            return self.receive_body(body, bytes);
        }
        let Some((head, used)) = self.reader.receive(bytes)? else {
            return Ok((bytes.len(), None));
        };
        self.is_head = head.method() == "HEAD";
        if head.version() == HttpVersion::Http11 && head.has_token("upgrade", "websocket") {
            let handshake = ServerHandshake::from_request(&head)?;
            return Ok((used, Some(Incoming::WebSocket { head, handshake })));
        }
        check_plain(&head, config)?;
        let reader = BodyReader::new(&head, config.max_body_bytes, config.head)?;
        // RFC 9110 §10.1.1: it does not count in HTTP/1.0.
        let awaits_continue = head.version() == HttpVersion::Http11
            && head.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let (more, incoming) = self.receive_body(PendingBody { head, reader }, &bytes[used..])?;
        if awaits_continue && incoming.is_none() {
            send_continue();
        }
        Ok((used + more, incoming))
    }

    fn receive_body(&mut self, mut body: PendingBody, bytes: &[u8]) -> Result<(usize, Option<Incoming>), Rejection> {
        match body.reader.receive(bytes)? {
            Some((bytes, used)) => Ok((used, Some(Incoming::Plain { head: body.head, body: bytes }))),
            None => {
                self.body = Some(body);
                Ok((bytes.len(), None))
            }
        }
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

/// Returns whether there is a field with this name.
fn has_field(headers: &[(Cow<'static, str>, Cow<'static, str>)], wanted: &str) -> bool {
    headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
}

/// Checks the requirements of RFC 9110 and 9112 for any request, except for those of its body.
fn check_plain(head: &RequestHead, config: &Config) -> Result<(), Rejection> {
    let refuse = |status: u16, why: &'static str| Err(Rejection::new(status).body(why));
    let mut hosts = head.values("host");
    match (hosts.next(), hosts.next()) {
        // RFC 9112 §3.2: only HTTP/1.0 has requests without Host, such as the health checks of proxies.
        (None, _) if head.version() == HttpVersion::Http10 => {}
        (Some(host), None) if host.is_empty() || head.host().is_some() => {}
        _ => return refuse(400, "a request needs exactly one valid Host\n"),
    }
    let is_extra = || config.extra_methods.iter().any(|method| method == head.method());
    if !matches!(head.method(), "GET" | "HEAD" | "POST" | "OPTIONS") && !is_extra() {
        let methods = methods(config);
        let why = format!("only {methods} are supported\n");
        return Err(Rejection::new(405).header("Allow", methods).body(why));
    }
    let has = |name| head.values(name).next().is_some();
    if matches!(head.method(), "POST" | "PUT" | "PATCH") && !has("content-length") && !has("transfer-encoding") {
        return refuse(411, "this method needs a Content-Length or chunks\n");
    }
    Ok(())
}

/// Returns the methods that the server passes on to the app, as a list for `Allow`.
pub(super) fn methods(config: &Config) -> String {
    let extra = config.extra_methods.iter().map(String::as_str);
    ["GET", "HEAD", "OPTIONS", "POST"].into_iter().chain(extra).collect::<Vec<_>>().join(", ")
}
