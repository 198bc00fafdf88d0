//! The body of a request is accepted if and only if a naive reader accepts it, with the same bytes and the same end. It
//! gives the same result however it is cut. The limits hold.
//!
//! Input: the fields of the head, index into [`FIELDS`]; the limits, index into [`LIMITS`]; cuts; the body.
#![no_main]

use switchboard::{BodyError, BodyReader, HeadLimits, Rejection, RequestHead, RequestReader};
use switchboard_fuzz::{Cuts, Input};

/// How the head announces the body.
const FIELDS: [&str; 5] = [
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 300\r\n",
    "",
    "transfer-encoding:,CHUNKED\r\n",
];

/// Bytes of a body, bytes of its extensions and trailer fields, trailer fields.
const LIMITS: [(usize, usize, usize); 4] =
    [(64 << 10, 16 << 10, 64), (10, 10, 2), (0, 0, 0), (usize::MAX, usize::MAX, usize::MAX)];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let fields = input.one_of(&FIELDS);
    let (max_body_bytes, max_bytes, max_headers) = input.one_of(&LIMITS);
    let mut limits = HeadLimits::default();
    (limits.max_bytes, limits.max_headers) = (max_bytes, max_headers);
    let cuts = input.cuts();
    let bytes = input.rest();
    let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let head = RequestReader::new(HeadLimits::default()).receive(request.as_bytes()).expect("valid").expect("whole").0;

    let whole = read(&head, bytes, Cuts::WHOLE, max_body_bytes, limits);
    for (name, cuts) in [("cut", cuts), ("byte by byte", Cuts::BYTES)] {
        assert_eq!(read(&head, bytes, cuts, max_body_bytes, limits), whole, "{name}");
    }
    let naive = match fields.to_ascii_lowercase().split_once(':') {
        None => Some((Vec::new(), 0)),
        Some(("content-length", length)) => {
            let length: usize = length.trim().parse().expect("a number");
            (length <= max_body_bytes).then(|| bytes.get(..length)).flatten().map(|body| (body.to_vec(), length))
        }
        Some(_) => naive_chunks(bytes, max_body_bytes, limits),
    };
    match whole {
        Ok(whole) => assert_eq!(whole, naive),
        Err(error) => {
            assert_eq!(naive, None, "{error:?}");
            assert_eq!(Rejection::from(&error).status(), error.status());
        }
    }
});

/// Reads the body. Returns it with the number of all bytes that belong to it.
fn read(
    head: &RequestHead,
    bytes: &[u8],
    cuts: Cuts<'_>,
    max_bytes: usize,
    limits: HeadLimits,
) -> Result<Option<(Vec<u8>, usize)>, BodyError> {
    let mut reader = BodyReader::new(head, max_bytes, limits)?;
    let mut before = 0;
    // An empty body is whole before any byte.
    for piece in std::iter::once(&[][..]).chain(cuts.of(bytes)) {
        if let Some((body, used)) = reader.receive(piece)? {
            assert!(body.len() <= max_bytes);
            return Ok(Some((body, before + used)));
        }
        before += piece.len();
        assert!(reader.allocated_bytes() <= max_bytes.min((2 * before).max(256)), "it grows with what came");
    }
    Ok(None)
}

/// Returns the decoded body and the number of its bytes, if `bytes` begins with a whole and valid one.
fn naive_chunks(bytes: &[u8], max_bytes: usize, limits: HeadLimits) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut body, mut overhead, mut trailers) = (bytes, Vec::new(), 0, 0);
    loop {
        let line = next_line(&mut rest)?;
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extension) = line.split_at(digits);
        let is_extension = extension.trim_ascii_start().starts_with(b";");
        if size.len() > 16 || !(extension.is_empty() || is_extension) {
            return None;
        }
        overhead += extension.len();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        if size > max_bytes - body.len() {
            return None;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let line = next_line(&mut rest)?;
        if line.is_empty() {
            let fits = overhead <= limits.max_bytes && trailers <= limits.max_headers;
            return fits.then(|| (body, bytes.len() - rest.len()));
        }
        let name = &line[..line.iter().position(|&byte| byte == b':')?];
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return None;
        }
        overhead += line.len();
        trailers += 1;
    }
}

/// Takes the next line off `rest`, without its CR LF. No line contains control characters except tabs.
fn next_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    line.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7F)).then_some(line)
}
