//! The body of a request (RFC 9112 §6, §7.1): the bodies that are accepted, and those that are refused, with the byte
//! that shows the error and the status.
//!
//! In a row that is refused, the last byte is the one that shows the error.

use switchboard::{BodyError, BodyReader, HeadLimits, Rejection, RequestHead, RequestReader};

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// The limit of most rows, in bytes.
const MAX: usize = 20;

fn limits(max_bytes: usize, max_headers: usize) -> HeadLimits {
    let mut limits = HeadLimits::default();
    (limits.max_bytes, limits.max_headers) = (max_bytes, max_headers);
    limits
}

fn head(version: &str, fields: &str) -> RequestHead {
    let request = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
    RequestReader::new(HeadLimits::default()).receive(request.as_bytes()).unwrap().expect("a whole head").0
}

type Outcome = Result<Option<(Vec<u8>, usize)>, BodyError>;

/// Reads `bytes` in pieces of this length. Returns the outcome, and the number of bytes given to the reader by then.
/// The number of bytes used by the body counts from the start.
fn read(fields: &str, bytes: &[u8], piece: usize, max: usize, limits: HeadLimits) -> (Outcome, usize) {
    let mut reader = match BodyReader::new(&head("1.1", fields), max, limits) {
        Ok(reader) => reader,
        Err(error) => return (Err(error), 0),
    };
    let mut given = 0;
    for part in bytes.chunks(piece.max(1)) {
        let outcome = reader.receive(part);
        let before = given;
        given += part.len();
        assert!(reader.allocated_bytes() <= max, "at most the limit is kept");
        match outcome {
            Ok(None) => {}
            Ok(Some((body, used))) => return (Ok(Some((body, before + used))), given),
            Err(error) => return (Err(error), given),
        }
    }
    (reader.receive(b""), given)
}

/// Reads `bytes` whole, byte by byte, and with another request behind them. Asserts that the body is the same each time
/// and that later bytes are not used.
fn accepted_with(name: &str, fields: &str, bytes: &[u8], max: usize, limits: HeadLimits, expected: &[u8]) {
    let with_more = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
    for (input, piece) in [(bytes, bytes.len()), (bytes, 1), (&with_more, with_more.len()), (&with_more, 3)] {
        let outcome = read(fields, input, piece, max, limits).0;
        assert_eq!(outcome, Ok(Some((expected.to_vec(), bytes.len()))), "{name}, pieces of {piece}");
    }
}

/// Reads `bytes` whole, with more bytes behind them, and byte by byte. Asserts that the error is the same each time and
/// that, byte by byte, it comes at the last byte.
fn refused_with(name: &str, bytes: &[u8], max: usize, limits: HeadLimits, error: BodyError) {
    let with_more = [bytes, b"\r\n0\r\n\r\n"].concat();
    for (input, piece) in [(bytes, bytes.len()), (&with_more, with_more.len()), (bytes, 1)] {
        let (outcome, given) = read(CHUNKED, input, piece, max, limits);
        assert_eq!(outcome, Err(error), "{name}, pieces of {piece}");
        assert_eq!(given, input.len(), "{name}, pieces of {piece}: at the byte that shows the error");
    }
    assert_eq!(Rejection::from(&error).status(), error.status(), "{name}");
}

#[test]
fn a_body_is_as_long_as_its_content_length() {
    let rows: &[(&str, &str, &[u8])] = &[
        ("no length", "", b""),
        ("a length of 0", "Content-Length: 0\r\n", b""),
        ("a length", "content-length: 5\r\n", b"hello"),
        ("zeros before it", "Content-Length: 0005\r\n", b"hello"),
        ("the limit", "Content-Length: 20\r\n", b"hello, hello, hello!"),
        ("line ends", "Content-Length: 4\r\n", b"\r\n\r\n"),
    ];
    for (name, fields, body) in rows {
        accepted_with(name, fields, body, MAX, HeadLimits::default(), body);
    }
}

#[test]
fn a_body_in_chunks_is_decoded() {
    let rows: &[(&str, &[u8], &[u8])] = &[
        ("empty", b"0\r\n\r\n", b""),
        ("one chunk", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("three", b"1\r\nh\r\n2\r\nel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
        ("the limit", b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        ("zeros before a size", b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("many zeros for the last", b"5\r\nhello\r\n0000000000000000\r\n\r\n", b"hello"),
        ("data like a last chunk", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
        ("an extension", b"5;a\r\nhello\r\n0;b=c\r\n\r\n", b"hello"),
        ("a quoted one", b"5;a=\"b;\xc3\xa9\"\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("space before one", b"5 \t ; a = b\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("an empty one", b"5;\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("a trailer field", b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello"),
        ("two", b"5\r\nhello\r\n0\r\nX:\r\nContent-Length: 99\r\n\r\n", b"hello"),
    ];
    for (name, bytes, body) in rows {
        accepted_with(name, CHUNKED, bytes, MAX, HeadLimits::default(), body);
    }
    for coding in ["CHUNKED", "\tchunked ", ",chunked,,"] {
        let fields = format!("transfer-encoding: {coding}\r\n");
        accepted_with(coding, &fields, b"1\r\nx\r\n0\r\n\r\n", MAX, HeadLimits::default(), b"x");
    }
}

#[test]
fn a_malformed_chunk_is_refused_with_400_at_the_byte_that_shows_it() {
    let rows: &[(&str, &[u8], BodyError)] = &[
        ("no size", b"\r", BodyError::Chunk),
        ("no size before an extension", b";", BodyError::Chunk),
        ("a space before a size", b" ", BodyError::Chunk),
        ("a plus sign", b"+", BodyError::Chunk),
        ("a minus sign", b"-", BodyError::Chunk),
        ("a prefix", b"0x", BodyError::Chunk),
        ("a separator", b"1_", BodyError::Chunk),
        ("a letter that is no digit", b"g", BodyError::Chunk),
        ("a digit of another script", b"\xef", BodyError::Chunk),
        ("a size of 17 digits", b"00000000000000000", BodyError::Chunk),
        ("bare LF after a size", b"5\n", BodyError::Chunk),
        ("bare CR after a size", b"5\rh", BodyError::Chunk),
        ("two CRs after a size", b"5\r\r", BodyError::Chunk),
        ("bare LF after an extension", b"5;a\n", BodyError::Chunk),
        ("bare CR in an extension", b"5;a\rb", BodyError::Chunk),
        ("NUL in an extension", b"5;\0", BodyError::Chunk),
        ("DEL in an extension", b"5;\x7f", BodyError::Chunk),
        ("a space after a size", b"5 \r", BodyError::Chunk),
        ("a word after a size", b"5 a", BodyError::Chunk),
        ("data longer than its size", b"5\r\nhello!", BodyError::Chunk),
        ("data shorter than its size", b"5\r\nhel\r\n0", BodyError::Chunk),
        ("bare LF after data", b"5\r\nhello\n", BodyError::Chunk),
        ("bare CR after data", b"5\r\nhello\r0", BodyError::Chunk),
        ("an empty line after data", b"5\r\nhello\r\n\r", BodyError::Chunk),
        ("bare LF after the last chunk", b"0\r\n\n", BodyError::Trailer),
        ("bare CR after the last chunk", b"0\r\n\r0", BodyError::Trailer),
        ("data after the last chunk", b"0\r\n\0", BodyError::Trailer),
        ("a folded trailer field", b"0\r\nX: y\r\n ", BodyError::Trailer),
        ("a trailer field without a name", b"0\r\n:", BodyError::Trailer),
        ("one without a colon", b"0\r\nX\r", BodyError::Trailer),
        ("a request as one", b"0\r\nGET ", BodyError::Trailer),
        ("one with space before the colon", b"0\r\nX ", BodyError::Trailer),
        ("bare LF after one", b"0\r\nX: y\n", BodyError::Trailer),
        ("bare CR in one", b"0\r\nX: y\rz", BodyError::Trailer),
        ("NUL in one", b"0\r\nX: \0", BodyError::Trailer),
    ];
    for (name, bytes, error) in rows {
        refused_with(name, bytes, MAX, HeadLimits::default(), *error);
        assert_eq!(error.status(), 400, "{name}");
    }
}

#[test]
fn a_body_over_the_limit_is_refused_with_413_at_the_digit_that_shows_it() {
    let too_long = BodyError::TooLong { limit: MAX };
    let rows: &[(&str, &[u8])] = &[
        ("one byte over", b"15"),
        ("more", b"1f"),
        ("with zeros before it", b"0015"),
        ("in the second chunk", b"5\r\nhello\r\n10"),
        ("by one in the last", b"14\r\nhello, hello, hello!\r\n1"),
    ];
    for (name, bytes) in rows {
        refused_with(name, bytes, MAX, HeadLimits::default(), too_long);
    }
    assert_eq!(too_long.status(), 413);
    refused_with("nothing is allowed", b"1", 0, HeadLimits::default(), BodyError::TooLong { limit: 0 });
    accepted_with("nothing", CHUNKED, b"0\r\n\r\n", 0, HeadLimits::default(), b"");
    // The largest sizes are no overflow. A limit of all sizes refuses them only together.
    for (size, max) in [("ffffffffffffffff", usize::MAX - 1), ("8000000000000000", usize::MAX / 2)] {
        refused_with(size, size.as_bytes(), max, HeadLimits::default(), BodyError::TooLong { limit: max });
    }
    let sum = b"1\r\nx\r\nffffffffffffffff";
    refused_with("the sum", sum, usize::MAX, HeadLimits::default(), BodyError::TooLong { limit: usize::MAX });

    for length in ["21", "18446744073709551616", "99999999999999999999999999"] {
        let fields = format!("Content-Length: {length}\r\n");
        assert_eq!(read(&fields, b"", 1, MAX, HeadLimits::default()).0, Err(too_long), "{length}");
    }
}

#[test]
fn extensions_and_trailer_fields_have_the_limits_of_a_head() {
    let name = "extensions alone";
    let error = BodyError::OverheadTooLong { limit: 6 };
    accepted_with(name, CHUNKED, b"1;ab\r\nx\r\n0;cd\r\n\r\n", MAX, limits(6, 9), b"x");
    refused_with(name, b"1;ab\r\nx\r\n0;cde", MAX, limits(6, 9), error);
    let name = "with trailer fields";
    accepted_with(name, CHUNKED, b"1;a\r\nx\r\n0\r\nX: y\r\n\r\n", MAX, limits(6, 9), b"x");
    refused_with(name, b"1;a\r\nx\r\n0\r\nX: yz", MAX, limits(6, 9), error);
    refused_with("space", b"1       ", MAX, limits(6, 9), error);
    assert_eq!(error.status(), 431);

    let error = BodyError::TooManyTrailers { limit: 2 };
    accepted_with("two fields", CHUNKED, b"0\r\nA:b\r\nA:b\r\n\r\n", MAX, limits(100, 2), b"");
    refused_with("three", b"0\r\nA:b\r\nA:b\r\nA", MAX, limits(100, 2), error);
    assert_eq!(error.status(), 431);
}

#[test]
fn means_of_request_smuggling_in_the_head_are_refused() {
    let length = "Content-Length: 5\r\n";
    let coding = |coding: &str| format!("Transfer-Encoding: {coding}\r\n");
    let rows = [
        ("both", "1.1", format!("{length}{CHUNKED}"), BodyError::LengthAndCoding, 400),
        ("both, the other way round", "1.1", format!("{CHUNKED}{length}"), BodyError::LengthAndCoding, 400),
        ("a length of 0 and chunks", "1.1", format!("Content-Length: 0\r\n{CHUNKED}"), BodyError::LengthAndCoding, 400),
        ("both, in HTTP/1.0", "1.0", format!("{length}{CHUNKED}"), BodyError::LengthAndCoding, 400),
        (
            "an invalid length and an unknown coding",
            "1.1",
            format!("Content-Length: x\r\n{}", coding("gzip")),
            BodyError::LengthAndCoding,
            400,
        ),
        ("chunks in HTTP/1.0", "1.0", CHUNKED.to_owned(), BodyError::CodingInHttp10, 400),
        ("another coding in HTTP/1.0", "1.0", coding("gzip"), BodyError::CodingInHttp10, 400),
        ("no coding", "1.1", coding(""), BodyError::Codings, 400),
        ("empty elements", "1.1", coding(" , "), BodyError::Codings, 400),
        ("chunked twice", "1.1", coding("chunked, chunked"), BodyError::Codings, 400),
        ("in two fields", "1.1", CHUNKED.repeat(2), BodyError::Codings, 400),
        ("chunked is not the last", "1.1", coding("chunked, gzip"), BodyError::Codings, 400),
        ("in two fields, not the last", "1.1", format!("{CHUNKED}{}", coding("x")), BodyError::Codings, 400),
        ("gzip", "1.1", coding("gzip"), BodyError::UnknownCoding, 501),
        ("gzip, then chunked", "1.1", coding("gzip, chunked"), BodyError::UnknownCoding, 501),
        ("identity", "1.1", coding("identity"), BodyError::UnknownCoding, 501),
        ("a longer word", "1.1", coding("xchunked"), BodyError::UnknownCoding, 501),
        ("with a parameter", "1.1", coding("chunked;q=1"), BodyError::UnknownCoding, 501),
        ("in quotes", "1.1", coding("\"chunked\""), BodyError::UnknownCoding, 501),
        ("with a word before it", "1.1", coding("x chunked"), BodyError::UnknownCoding, 501),
        ("two lengths", "1.1", length.repeat(2), BodyError::Length, 400),
        ("a list of lengths", "1.1", "Content-Length: 5, 5\r\n".into(), BodyError::Length, 400),
        ("a signed length", "1.1", "Content-Length: +5\r\n".into(), BodyError::Length, 400),
        ("a length in hexadecimal", "1.1", "Content-Length: 0x5\r\n".into(), BodyError::Length, 400),
        ("an empty length", "1.1", "Content-Length:\r\n".into(), BodyError::Length, 400),
        ("a length with a fraction", "1.1", "Content-Length: 5.0\r\n".into(), BodyError::Length, 400),
    ];
    for (name, version, fields, error, status) in rows {
        let refused = BodyReader::new(&head(version, &fields), MAX, HeadLimits::default()).err();
        assert_eq!((refused, error.status()), (Some(error), status), "{name}");
        let mut response = Vec::new();
        Rejection::from(&error).write(&mut response).unwrap();
        assert!(response.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{name}");
    }
}

#[test]
fn a_body_grows_with_the_bytes_that_came_and_not_with_its_size() {
    let limit = 1 << 20;
    let mut reader = BodyReader::new(&head("1.1", CHUNKED), limit, HeadLimits::default()).unwrap();
    assert_eq!(reader.receive(b"100000\r\nhello"), Ok(None));
    assert!(reader.allocated_bytes() < 1000, "{}", reader.allocated_bytes());
    let mut reader =
        BodyReader::new(&head("1.1", "Content-Length: 1048576\r\n"), limit, HeadLimits::default()).unwrap();
    for byte in b"hello" {
        assert_eq!(reader.receive(&[*byte]), Ok(None));
    }
    assert!(reader.allocated_bytes() < 1000, "{}", reader.allocated_bytes());
    assert_eq!(reader.receive(&vec![b'x'; limit - 6]), Ok(None));
    assert!(reader.allocated_bytes() <= limit, "{}", reader.allocated_bytes());
}
