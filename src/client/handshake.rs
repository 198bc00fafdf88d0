//! The opening handshake on a stream ([§4.1]): sends the request and reads the response, with the body of a
//! refusal.
//!
//! `proto` decides whether a response is valid; this file only finds where a body ends.
//!
//! [§4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1

use std::io::{self, BufRead, Read};

use super::{ClientError, Stage, deadline::Deadline, stream::Stream};
use crate::{ClientHandshake, ClientHandshakeError, Established, ResponseHead};

/// Sends `request`, which `handshake` has encoded, and reads the response. Bytes after the response are the first
/// frames and stay unread in `stream`. The body of a redirect is read only if `keeps_redirects`.
///
/// # Errors
/// Why the connection is not open. `stream` cannot be used afterwards.
pub(super) fn opening_handshake(
    stream: &mut Stream,
    mut handshake: ClientHandshake,
    request: &[u8],
    keeps_redirects: bool,
    deadline: Deadline,
) -> Result<Established, ClientError> {
    let failed = |error| ClientError::from_io(error, Stage::Handshake);
    match stream.write_all(request, deadline).map_err(failed) {
        // A server that refuses early may have sent the reason before it ended the connection.
        Ok(()) | Err(ClientError::Disconnected) => {}
        Err(error) => return Err(error),
    }
    let mut reader = stream.reader(deadline);
    loop {
        let bytes = reader.fill_buf().map_err(failed)?;
        if bytes.is_empty() {
            return Err(ClientError::Disconnected);
        }
        let length = bytes.len();
        match handshake.receive(bytes) {
            Ok(None) => reader.consume(length),
            Ok(Some((established, used))) => {
                reader.consume(used);
                return Ok(established);
            }
            Err(ClientHandshakeError::Status { response, used }) => {
                reader.consume(used);
                let body = read_body(&response, &mut reader);
                return Err(ClientError::Refused { response, body });
            }
            Err(ClientHandshakeError::Redirect { location, response, used }) => {
                reader.consume(used);
                let body = if keeps_redirects { read_body(&response, &mut reader) } else { Vec::new() };
                return Err(ClientError::Redirect { location, response, body });
            }
            Err(error) => return Err(ClientError::Handshake(error)),
        }
    }
}

/// Reads the body after `head` (RFC 9112 §6.3). If that fails, returns the part that was read: the refusal is the error
/// to report, and its body only explains it.
fn read_body(head: &ResponseHead, source: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    let read = match BodyLength::of(head) {
        BodyLength::None => Ok(()),
        BodyLength::Chunked => read_chunks(source, &mut body),
        BodyLength::Bytes(length) => append_body(&mut body, source, length),
        BodyLength::UntilEnd => source.take(MAX_BODY_BYTES).read_to_end(&mut body).map(drop),
    };
    if let Err(error) = read {
        log::debug!(
            "the body of a response with status {} is incomplete, {} bytes were read: {error}",
            head.status(),
            body.len()
        );
    }
    body
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyLength {
    None,
    Chunked,
    /// The body has this many bytes.
    Bytes(u64),
    /// The body ends with the connection.
    UntilEnd,
}

impl BodyLength {
    fn of(head: &ResponseHead) -> Self {
        if matches!(head.status(), 204 | 304) {
            return Self::None;
        }
        if let Some(coding) = head.values("transfer-encoding").last() {
            let is_chunked = coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return if is_chunked { Self::Chunked } else { Self::UntilEnd };
        }
        let length = head.values("content-length").next().and_then(|value| parse_number(value, 10));
        length.map_or(Self::UntilEnd, Self::Bytes)
    }
}

/// Reads chunks up to the one of length 0 (RFC 9112 §7.1). Does not read the trailer after it.
fn read_chunks(source: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(source)?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
        match parse_number(digits, 16) {
            Some(0) => return Ok(()),
            Some(length) => append_body(body, source, length)?,
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
        read_empty_line(source)?;
    }
}

/// Appends the next `length` bytes to `body`, or fewer if the stream ends or `body` reaches [`MAX_BODY_BYTES`].
fn append_body(body: &mut Vec<u8>, source: &mut impl BufRead, length: u64) -> io::Result<()> {
    let remaining = MAX_BODY_BYTES.saturating_sub(body.len() as u64);
    source.take(length.min(remaining)).read_to_end(body)?;
    if length > remaining { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

/// Reads a line of a chunked body, of at most [`MAX_CHUNK_LINE_BYTES`].
fn read_line(source: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    source.take(MAX_CHUNK_LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") { Ok(line) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn read_empty_line(source: &mut impl BufRead) -> io::Result<()> {
    if read_line(source)?.trim_ascii().is_empty() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Parses a number without a sign; white space around it is ignored.
fn parse_number(digits: &[u8], radix: u32) -> Option<u64> {
    let digits = std::str::from_utf8(digits.trim_ascii()).ok()?;
    // `from_str_radix` alone would accept a sign.
    let is_number = digits.chars().all(|digit| digit.is_digit(radix));
    if is_number { u64::from_str_radix(digits, radix).ok() } else { None }
}

const MAX_BODY_BYTES: u64 = 64 << 10;
const MAX_CHUNK_LINE_BYTES: u64 = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_joined_up_to_its_end_or_its_first_error() {
        let rows: &[(&str, &[u8], &[u8], bool)] = &[
            ("two chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde", true),
            ("an extension", b"3;x=\"y\"\r\nabc\r\n0\r\n\r\n", b"abc", true),
            (
                "hexadecimal, either case",
                b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n",
                b"01234567890123456789a",
                true,
            ),
            ("empty", b"0\r\n\r\n", b"", true),
            ("ends within a chunk", b"5\r\nab", b"ab", false),
            ("ends within a length", b"5", b"", false),
            ("no length", b"\r\nabc", b"", false),
            ("a length with a sign", b"+3\r\nabc\r\n0\r\n", b"", false),
            ("a length over 64 bits", b"10000000000000000\r\nabc", b"", false),
            ("no line end after a chunk", b"3\r\nabcd\r\n0\r\n", b"abc", false),
        ];
        for &(name, mut wire, expected, whole) in rows {
            let mut body = Vec::new();
            let read = read_chunks(&mut wire, &mut body);
            assert_eq!((&*body, read.is_ok()), (expected, whole), "{name}");
        }
    }
}
