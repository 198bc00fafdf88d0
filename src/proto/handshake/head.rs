//! The head of an HTTP/1.1 message, read as it arrives (RFC 9112 §2–5).
//!
//! The scanner finds the end of the head and refuses what is forbidden anywhere in it. Then httparse parses the whole
//! head once.

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use super::{
    HeadError, HeadLimits,
    scanner::HeadScanner,
    target::Target,
    values::{has_token, is_host},
};
use crate::proto::Escaped;

/// The version of an HTTP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0: has no Upgrade, and keep-alive only on request.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// Reads the head of a request as it arrives ([RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)).
///
/// It is strict: bare LF, control characters and folded lines, which request smuggling is made of, fail at the first
/// byte that shows them. A [`BodyReader`](super::BodyReader) reads the body. Bytes may be cut anywhere.
///
/// ```rust
/// use switchboard::{HeadError, HeadLimits, RequestReader};
///
/// let mut reader = RequestReader::new(HeadLimits::default());
/// assert_eq!(reader.receive(b"GET /chat?room=1 HTTP/1.1\r\nHost: exam")?, None);
/// let (head, used) = reader.receive(b"ple.com\r\n\r\n\x81\x80")?.expect("the head is whole");
/// assert_eq!((head.path(), head.host()), ("/chat", Some("example.com")));
/// assert_eq!(used, 11); // the rest is the first frame, or a body
/// assert_eq!(reader.receive(b"GET / HTTP/1.1\n"), Err(HeadError::BareLineEnd));
/// # Ok::<(), HeadError>(())
/// ```
#[derive(Debug)]
pub struct RequestReader(HeadScanner);

impl RequestReader {
    /// Makes a reader for a new request.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self(HeadScanner::of_request(limits))
    }

    /// Reads the next bytes.
    ///
    /// Returns `None` until the head is whole; then the head, with the number of these bytes that belong to it. The
    /// bytes after them are the body, or the first frames. The reader is then ready for the next request.
    ///
    /// # Errors
    /// [`HeadError`], at the first byte that shows it. The reader cannot be used after an error.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
        let Some(used) = self.0.receive(bytes)? else { return Ok(None) };
        let (bytes, count) = self.0.take_head();
        Ok(Some((RequestHead::parse(bytes, count)?, used)))
    }

    /// Returns whether no byte of a request has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the heap memory of the part of a head that has been read, in bytes; at most [`HeadLimits::max_bytes`].
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.0.allocated_bytes()
    }
}

/// The head of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    fields: Fields,
    method: Range<usize>,
    target: Range<usize>,
    version: HttpVersion,
}

impl RequestHead {
    /// Parses a whole head with `count` header fields.
    fn parse(bytes: Vec<u8>, count: usize) -> Result<Self, HeadError> {
        let mut headers = alloc::vec![httparse::EMPTY_HEADER; count];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&bytes);
        check_parsed(parsed, || ends_in_version(&bytes))?;
        let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
            return Err(HeadError::Malformed);
        };
        if Target::parse(method, target).is_none() {
            return Err(HeadError::Target);
        }
        let method = range_of(&bytes, method.as_bytes());
        let target = range_of(&bytes, target.as_bytes());
        let version = http_version(version)?;
        let spans = spans(&bytes, request.headers);
        Ok(Self { fields: Fields { bytes, spans }, method, target, version })
    }

    /// Returns the method, such as `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        self.fields.text(&self.method)
    }

    /// Returns the request target as it was sent: almost always a path with a query. Clients that take the server for a
    /// proxy send a whole address, such as `http://chat.example/path`.
    #[must_use]
    pub fn target(&self) -> &str {
        self.fields.text(&self.target)
    }

    /// Returns the path of the request target, without its query. It begins with `/`, except for `OPTIONS *`, where it
    /// is `*`, and for CONNECT, where it is a host and port.
    #[must_use]
    pub fn path(&self) -> &str {
        let method = self.method();
        Target::parse(method, self.target()).map_or("", |target| target.path(method))
    }

    /// Returns the query of the request target, without the `?` and not decoded; `None` if there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        Target::parse(self.method(), self.target())?.query()
    }

    /// Returns the host that the request is for, with its port if it has one: that of the target if it is a whole
    /// address, otherwise the Host ([RFC 9112 §3.2.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2)).
    ///
    /// Returns `None` unless there is exactly one, and it is a valid host and port.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        if let Some(authority) = self.authority() {
            return Some(authority);
        }
        let mut hosts = self.values("host");
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        core::str::from_utf8(host).ok().filter(|host| is_host(host))
    }

    /// Returns the host and port in the target, if it is a whole address.
    pub(super) fn authority(&self) -> Option<&str> {
        match Target::parse(self.method(), self.target()) {
            Some(Target::Absolute { authority, .. }) => Some(authority),
            Some(Target::Origin(_) | Target::Authority(_) | Target::Asterisk) | None => None,
        }
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Returns the heap memory of the head, in bytes.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let Fields { bytes, spans } = &self.fields;
        bytes.capacity() + size_of_val(&**spans)
    }

    /// Returns all header fields in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }

    /// Returns the values of all header fields with this name, ignoring case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }

    /// Returns whether a header field with this name lists `token` between its commas (RFC 9110 §5.6.1).
    ///
    /// The comparison ignores case: `Connection: keep-alive, Upgrade` lists `upgrade`.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| has_token(value, token))
    }
}

/// The head of a response.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead {
    fields: Fields,
    version: HttpVersion,
    status: u16,
}

impl ResponseHead {
    /// Parses a whole head with `count` header fields.
    fn parse(bytes: Vec<u8>, count: usize) -> Result<Self, HeadError> {
        let mut headers = alloc::vec![httparse::EMPTY_HEADER; count];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&bytes);
        check_parsed(parsed, || bytes.starts_with(b"HTTP/"))?;
        let (Some(status), Some(version)) = (response.code, response.version) else {
            return Err(HeadError::Malformed);
        };
        let version = http_version(version)?;
        let spans = spans(&bytes, response.headers);
        Ok(Self { fields: Fields { bytes, spans }, version, status })
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns all header fields in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }

    /// Returns the values of all header fields with this name, ignoring case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.values(name)
    }
}

/// Reads the head of a response as it arrives, as strictly as [`RequestReader`] reads that of a request.
///
/// [`ClientHandshake`](super::ClientHandshake) has one of its own; this one is for other responses, such as a proxy's
/// to CONNECT.
#[derive(Debug)]
pub struct ResponseReader(HeadScanner);

impl ResponseReader {
    /// Makes a reader for a new response.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self(HeadScanner::of_response(limits))
    }

    /// Reads the next bytes, as [`RequestReader::receive`]. The reader is then ready for the next response.
    ///
    /// # Errors
    /// [`HeadError`], at the first byte that shows it. The reader cannot be used after an error.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
        let Some(used) = self.0.receive(bytes)? else { return Ok(None) };
        let (bytes, count) = self.0.take_head();
        Ok(Some((ResponseHead::parse(bytes, count)?, used)))
    }
}

/// The bytes of a head, and the ranges of its header fields.
#[derive(Clone, PartialEq, Eq)]
struct Fields {
    bytes: Vec<u8>,
    spans: Vec<(Range<usize>, Range<usize>)>,
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (Escaped::new(self.method()), Escaped::new(self.target()));
        write!(f, "{method} {target} {:?} {:?}", self.version, self.fields)
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.status, self.fields)
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (Escaped::new(name), Escaped::new(value)))).finish()
    }
}

impl Fields {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.spans.iter().map(|(name, value)| (self.text(name), &self.bytes[value.clone()]))
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns text that httparse has checked.
    fn text(&self, range: &Range<usize>) -> &str {
        core::str::from_utf8(&self.bytes[range.clone()]).unwrap_or_default()
    }
}

/// Checks the result of httparse for a whole head, where `Partial` is an error too.
///
/// httparse reports `Version` also for bytes that are no version of HTTP. `names_version` tells the two apart.
fn check_parsed(parsed: httparse::Result<usize>, names_version: impl FnOnce() -> bool) -> Result<(), HeadError> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err(HeadError::Malformed),
        Err(httparse::Error::Version) if names_version() => Err(HeadError::UnsupportedVersion),
        Err(_) => Err(HeadError::Malformed),
    }
}

/// Returns whether the first line is a method, a target and some version of HTTP.
fn ends_in_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start().split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let (third, more) = (words.next(), words.next());
    third.is_some_and(|word| word.starts_with(b"HTTP/")) && more.is_none()
}

fn http_version(minor: u8) -> Result<HttpVersion, HeadError> {
    match minor {
        0 => Ok(HttpVersion::Http10),
        1 => Ok(HttpVersion::Http11),
        _ => Err(HeadError::UnsupportedVersion),
    }
}

fn spans(bytes: &[u8], headers: &[httparse::Header<'_>]) -> Vec<(Range<usize>, Range<usize>)> {
    headers.iter().map(|header| (range_of(bytes, header.name.as_bytes()), range_of(bytes, header.value))).collect()
}

/// Returns the range of `part` in `whole`, of which it is a slice.
fn range_of(whole: &[u8], part: &[u8]) -> Range<usize> {
    // An empty part may be a constant of httparse instead.
    let start = if part.is_empty() { 0 } else { part.as_ptr().addr() - whole.as_ptr().addr() };
    start..start + part.len()
}
