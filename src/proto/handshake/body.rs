//! The body of a request, read as it arrives: of a length that the head tells, or in chunks (RFC 9112 §6, §7.1).
//!
//! [`BodyReader`] is as strict as the reader of heads. Two servers that disagree on the end of a body read its bytes as
//! different requests, so whatever could be read in two ways is refused: a length beside a coding, a line that ends in
//! LF alone, a size with a sign. It undoes no compression.

use alloc::vec::Vec;
use core::fmt;

use super::{HeadLimits, HttpVersion, RequestHead, values::is_token_byte};

/// Reads the body of a request as it arrives
/// ([RFC 9112 §6](https://www.rfc-editor.org/rfc/rfc9112#section-6)).
///
/// It decodes the transfer coding `chunked`. Chunk extensions and trailer fields are checked and dropped. Bytes may be
/// cut anywhere.
///
/// ```rust
/// use switchboard::{BodyReader, HeadLimits, RequestReader};
///
/// let post = b"POST /upload HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
/// let (head, _) = RequestReader::new(HeadLimits::default()).receive(post)?.expect("the head is whole");
/// let mut reader = BodyReader::new(&head, 64 << 10, HeadLimits::default())?;
/// assert_eq!(reader.receive(b"5\r\nhel")?, None);
/// // The next request begins after the 9 bytes.
/// assert_eq!(reader.receive(b"lo\r\n0\r\n\r\nGET /")?, Some((b"hello".to_vec(), 9)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BodyReader {
    framing: Framing,
    body: Vec<u8>,
    /// The most bytes that the body may still become: the length that the head tells, or the limit.
    max_bytes: usize,
}

/// Numbers alone: what the client has sent may be secret.
impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// How the end of the body is found.
#[derive(Debug)]
enum Framing {
    /// After as many bytes as the head tells.
    Length,
    Chunked(Chunks),
}

impl BodyReader {
    /// Makes a reader for the body of a request. A body without Content-Length and Transfer-Encoding is empty
    /// (RFC 9112 §6.3).
    ///
    /// `max_bytes` is the limit of the decoded body. `limits` holds for its trailer section as for a head; the chunk
    /// extensions count towards its bytes.
    ///
    /// # Errors
    /// The first rule of RFC 9112 §6 that the head breaks, or [`BodyError::TooLong`]. The end of the body is then not
    /// known, so the connection cannot be used for another request.
    pub fn new(head: &RequestHead, max_bytes: usize, limits: HeadLimits) -> Result<Self, BodyError> {
        let mut lengths = head.values("content-length");
        let length = lengths.next();
        let mut codings = head.values("transfer-encoding").peekable();
        if codings.peek().is_none() {
            let length = match (length, lengths.next()) {
                (None, _) => 0,
                (Some(length), None) => parse_length(length)?,
                (Some(_), Some(_)) => return Err(BodyError::Length),
            };
            if length > max_bytes {
                return Err(BodyError::TooLong { limit: max_bytes });
            }
            return Ok(Self { framing: Framing::Length, body: Vec::new(), max_bytes: length });
        }
        // RFC 9112 §6.1: whoever sends both attempts request smuggling, or relays such an attempt.
        if length.is_some() {
            return Err(BodyError::LengthAndCoding);
        }
        if head.version() == HttpVersion::Http10 {
            return Err(BodyError::CodingInHttp10);
        }
        check_codings(codings)?;
        Ok(Self { framing: Framing::Chunked(Chunks::new(limits)), body: Vec::new(), max_bytes })
    }

    /// Reads the next bytes.
    ///
    /// Returns `None` until the body is whole; then the decoded body, with the number of these bytes that belong to it.
    /// The reader has then done its work. An empty body without chunks is whole before any byte.
    ///
    /// # Errors
    /// [`BodyError`], at the first byte that shows it. The reader cannot be used after an error.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, BodyError> {
        let Self { framing, body, max_bytes } = self;
        let mut used = 0;
        match framing {
            Framing::Length => {
                used = bytes.len().min(*max_bytes - body.len());
                append(body, &bytes[..used], *max_bytes);
                if body.len() < *max_bytes {
                    return Ok(None);
                }
            }
            Framing::Chunked(chunks) => {
                while chunks.place != Place::End {
                    let rest = &bytes[used..];
                    if chunks.place == Place::Data {
                        let taken = rest.len().min(chunks.left);
                        append(body, &rest[..taken], *max_bytes);
                        used += taken;
                        chunks.left -= taken;
                        if chunks.left > 0 {
                            return Ok(None);
                        }
                        chunks.place = Place::DataCr;
                    } else {
                        let Some(&byte) = rest.first() else { return Ok(None) };
                        used += 1;
                        chunks.step(byte, *max_bytes - body.len(), *max_bytes)?;
                    }
                }
            }
        }
        Ok(Some((core::mem::take(body), used)))
    }

    /// Returns the heap memory of the part of the body that has been read, in bytes; at most the limit.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.body.capacity()
    }
}

/// The decoder of the transfer coding `chunked`, up to the data itself.
///
/// ```text
/// chunked-body = *chunk last-chunk trailer-section CRLF
/// chunk        = 1*HEXDIG [ chunk-ext ] CRLF chunk-data CRLF
/// last-chunk   = 1*"0" [ chunk-ext ] CRLF
/// chunk-ext    = *( BWS ";" ... )
/// ```
#[derive(Debug)]
struct Chunks {
    place: Place,
    /// The size of the chunk so far; within its data, the bytes that are still to come.
    left: usize,
    /// The bytes of chunk extensions and trailer fields.
    overhead: usize,
    trailers: usize,
    limits: HeadLimits,
}

/// The place in the grammar where the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a size, after this number of its digits.
    Size {
        digits: u8,
    },
    /// In the space between a size and an extension.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the begin of a line of the trailer section.
    TrailerLine,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    /// Behind the body.
    End,
}

impl Chunks {
    fn new(limits: HeadLimits) -> Self {
        Self { place: Place::Size { digits: 0 }, left: 0, overhead: 0, trailers: 0, limits }
    }

    /// Checks the next byte, which is not data. `room` is the number of bytes that the body may still grow by, up to
    /// `limit`.
    fn step(&mut self, byte: u8, room: usize, limit: usize) -> Result<(), BodyError> {
        self.place = match (self.place, byte) {
            (Place::Size { digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(BodyError::Chunk);
                }
                let digit = char::from(byte).to_digit(16).and_then(|digit| usize::try_from(digit).ok());
                let size = digit.and_then(|digit| self.left.checked_mul(16)?.checked_add(digit));
                self.left = size.filter(|&size| size <= room).ok_or(BodyError::TooLong { limit })?;
                Place::Size { digits: digits + 1 }
            }
            (Place::Size { digits: 1.. }, b'\r') => Place::SizeLf,
            (Place::Size { digits: 1.. } | Place::Space, b' ' | b'\t') => self.overhead(Place::Space)?,
            (Place::Size { digits: 1.. } | Place::Space, b';') => self.overhead(Place::Extension)?,
            (Place::Extension, b'\r') => Place::SizeLf,
            (Place::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.overhead(Place::Extension)?,
            (Place::SizeLf, b'\n') if self.left > 0 => Place::Data,
            (Place::SizeLf, b'\n') => Place::TrailerLine,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size { digits: 0 },
            (Place::TrailerLine, b'\r') => Place::EndLf,
            (Place::TrailerLine, byte) if is_token_byte(byte) => {
                self.trailers += 1;
                if self.trailers > self.limits.max_headers {
                    return Err(BodyError::TooManyTrailers { limit: self.limits.max_headers });
                }
                self.overhead(Place::TrailerName)?
            }
            (Place::TrailerName, byte) if is_token_byte(byte) => self.overhead(Place::TrailerName)?,
            (Place::TrailerName, b':') => self.overhead(Place::TrailerValue)?,
            (Place::TrailerValue, b'\r') => Place::TrailerLf,
            (Place::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => self.overhead(Place::TrailerValue)?,
            (Place::TrailerLf, b'\n') => Place::TrailerLine,
            (Place::EndLf, b'\n') => Place::End,
            (Place::TrailerLine | Place::TrailerName | Place::TrailerValue | Place::TrailerLf | Place::EndLf, _) => {
                return Err(BodyError::Trailer);
            }
            (
                Place::Size { .. }
                | Place::Space
                | Place::Extension
                | Place::SizeLf
                | Place::Data
                | Place::DataCr
                | Place::DataLf
                | Place::End,
                _,
            ) => return Err(BodyError::Chunk),
        };
        Ok(())
    }

    /// Counts a byte that is neither a size nor data, and returns the place after it.
    fn overhead(&mut self, place: Place) -> Result<Place, BodyError> {
        let limit = self.limits.max_bytes;
        if self.overhead >= limit {
            return Err(BodyError::OverheadTooLong { limit });
        }
        self.overhead += 1;
        Ok(place)
    }
}

/// The body of a request is not valid (RFC 9112 §6), or exceeds a limit.
///
/// [`Rejection::from`](super::Rejection) makes the response, and a [`RequestError`](super::RequestError) holds it
/// beside a server's other errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyError {
    /// There are several Content-Length fields, or one is not a number (RFC 9112 §6.3).
    Length,
    /// The head has a Content-Length and a Transfer-Encoding (RFC 9112 §6.1).
    LengthAndCoding,
    /// The head has a Transfer-Encoding, and the version is HTTP/1.0, which has none (RFC 9112 §6.1).
    CodingInHttp10,
    /// The transfer coding `chunked` is not the last one, or occurs twice (RFC 9112 §6.3, §7.1).
    Codings,
    /// There is a transfer coding other than `chunked` (RFC 9112 §6.1).
    UnknownCoding,
    /// The body is longer than the limit.
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A chunk breaks the grammar of RFC 9112 §7.1: its size is no hexadecimal number of at most 16 digits, or a line
    /// does not end in CR LF, or the data is longer than its size.
    Chunk,
    /// The trailer section breaks the grammar of RFC 9112 §7.1.2.
    Trailer,
    /// The chunk extensions and trailer fields together are longer than the limit.
    OverheadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more trailer fields than the limit.
    TooManyTrailers {
        /// The limit.
        limit: usize,
    },
}

impl BodyError {
    /// Returns the status of a server's response to this error.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Length
            | Self::LengthAndCoding
            | Self::CodingInHttp10
            | Self::Codings
            | Self::Chunk
            | Self::Trailer => 400,
            Self::TooLong { .. } => 413,
            Self::OverheadTooLong { .. } | Self::TooManyTrailers { .. } => 431,
            Self::UnknownCoding => 501,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a request needs at most one Content-Length, and it is a number"),
            Self::LengthAndCoding => f.write_str("a request must not have both Content-Length and Transfer-Encoding"),
            Self::CodingInHttp10 => f.write_str("HTTP/1.0 has no Transfer-Encoding"),
            Self::Codings => f.write_str("chunked must be the last transfer coding, once"),
            Self::UnknownCoding => f.write_str("the only supported transfer coding is chunked"),
            Self::TooLong { limit } => write!(f, "the body is longer than {limit} bytes"),
            Self::Chunk => f.write_str("a chunk of the body is malformed"),
            Self::Trailer => f.write_str("a trailer field of the body is malformed"),
            Self::OverheadTooLong { limit } => {
                write!(f, "the chunk extensions and trailer fields are longer than {limit} bytes")
            }
            Self::TooManyTrailers { limit } => write!(f, "more than {limit} trailer fields"),
        }
    }
}

impl core::error::Error for BodyError {}

/// Parses a Content-Length. A number that does not fit is larger than any limit.
fn parse_length(value: &[u8]) -> Result<usize, BodyError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(BodyError::Length);
    }
    Ok(core::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX))
}

/// Checks the transfer codings: `chunked` alone is accepted. Empty elements are skipped (RFC 9110 §5.6.1.2).
fn check_codings<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<(), BodyError> {
    let (mut chunked, mut has_other) = (0, false);
    for coding in values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii) {
        if coding.eq_ignore_ascii_case(b"chunked") {
            chunked += 1;
        } else if !coding.is_empty() {
            has_other = true;
            if chunked > 0 {
                return Err(BodyError::Codings);
            }
        }
    }
    match chunked {
        _ if has_other => Err(BodyError::UnknownCoding),
        1 => Ok(()),
        _ => Err(BodyError::Codings),
    }
}

/// Appends to a body. The capacity doubles, up to `max_bytes`.
fn append(body: &mut Vec<u8>, bytes: &[u8], max_bytes: usize) {
    let needed = body.len() + bytes.len();
    if needed > body.capacity() {
        let room = body.capacity().saturating_mul(2).max(INITIAL_BODY_BYTES).min(max_bytes).max(needed);
        body.reserve_exact(room - body.len());
    }
    body.extend_from_slice(bytes);
}

/// The digits of the largest size in 64 bits.
const MAX_SIZE_DIGITS: u8 = 16;
/// The first capacity, enough for a request to sign in.
const INITIAL_BODY_BYTES: usize = 256;
