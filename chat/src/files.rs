//! Serves the page's files, which are embedded in the program, plain or in gzip. `build.rs` prepares them.
//!
//! RFC 9110: entity tags and `If-None-Match` (§8.8.3, §13.1.2), `Accept-Encoding` (§12.5.3), the fields of a 304
//! (§15.4.5).

use std::{
    borrow::Cow,
    sync::{LazyLock, OnceLock},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use switchboard::{RequestHead, Response};
use zlib_rs::{DeflateConfig, ReturnCode, compress_bound, compress_slice};

/// Returns the file at a path of the site.
pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// A file of the page.
pub(super) struct File {
    path: String,
    content_type: &'static str,
    cache_control: &'static str,
    content: &'static [u8],
    /// Created on the first request for the file.
    variants: OnceLock<Variants>,
}

/// The representations of a file.
struct Variants {
    plain: Variant,
    /// `None` if it is not shorter than `plain`.
    gzip: Option<Variant>,
}

struct Variant {
    /// The value of `Content-Encoding`, if any.
    encoding: Option<&'static str>,
    /// A hash of `bytes`, so that each representation has a tag of its own.
    etag: String,
    bytes: Cow<'static, [u8]>,
}

impl File {
    fn new(name: &str, content: &'static [u8], is_hashed: bool) -> Self {
        let path = if name == "index.html" { "/".to_owned() } else { format!("/{name}") };
        let content_type = match name.rsplit_once('.') {
            Some((_, "html")) => "text/html; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "application/octet-stream",
        };
        // Browsers revalidate the other files each time, so a new version of the program shows its page at once.
        let cache_control = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        Self { path, content_type, cache_control, content, variants: OnceLock::new() }
    }

    /// Returns the response to a GET or HEAD request for the file. The page may connect to the WebSockets at
    /// `websocket_sources`.
    pub(super) fn response(&'static self, head: &RequestHead, websocket_sources: &str) -> Response {
        let variant = self.variant(head);
        let is_known = names_tag(head.values("if-none-match"), &variant.etag);
        // A 304 has the same fields as a 200: it updates the cached response, which might have an old security policy.
        let response = Response::new(if is_known { 304 } else { 200 })
            .header("ETag", variant.etag.as_str())
            .header("Vary", "Accept-Encoding, Origin")
            .header("Cache-Control", self.cache_control)
            .header("Content-Security-Policy", security_policy(websocket_sources))
            .header("X-Content-Type-Options", "nosniff")
            .header("Referrer-Policy", "no-referrer")
            .header("Cross-Origin-Opener-Policy", "same-origin");
        if is_known {
            return response;
        }
        let response = response.header("Content-Type", self.content_type).body(&*variant.bytes);
        match variant.encoding {
            Some(encoding) => response.header("Content-Encoding", encoding),
            None => response,
        }
    }

    /// Selects the best representation that the client accepts.
    fn variant(&self, head: &RequestHead) -> &Variant {
        let variants = self.variants.get_or_init(|| Variants::of(self.content));
        match &variants.gzip {
            Some(gzip) if prefers_gzip(head.values("accept-encoding")) => gzip,
            _ => &variants.plain,
        }
    }
}

impl Variants {
    fn of(content: &'static [u8]) -> Self {
        let gzip = gzip(content).filter(|bytes| bytes.len() < content.len());
        Self {
            plain: Variant::new(None, Cow::Borrowed(content)),
            gzip: gzip.map(|bytes| Variant::new(Some("gzip"), Cow::Owned(bytes))),
        }
    }
}

impl Variant {
    fn new(encoding: Option<&'static str>, bytes: Cow<'static, [u8]>) -> Self {
        // Part of the hash is enough: an attacker cannot supply files, so nobody can cause a collision.
        let hash = Sha256::digest(&bytes);
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&hash[..ETAG_BYTES]));
        Self { encoding, etag, bytes }
    }
}

/// Compresses bytes as a gzip file. Returns `None` if compression fails, for example for lack of memory.
fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    // In zlib, 16 added to the window bits selects the gzip format.
    let config = DeflateConfig { level: 9, window_bits: 16 + 15, ..DeflateConfig::default() };
    // The bound includes zlib's header and trailer of 6 bytes; those of gzip have 18.
    let mut out = vec![0; compress_bound(bytes.len()) + 12];
    let (compressed, code) = compress_slice(&mut out, bytes, config);
    (code == ReturnCode::Ok).then(|| compressed.to_vec())
}

/// Returns whether an `If-None-Match` contains this entity tag, by weak comparison, or is `*`. A malformed element ends
/// the list: at worst the file is sent once more.
fn names_tag<'a>(mut values: impl Iterator<Item = &'a [u8]>, etag: &str) -> bool {
    values.any(|value| value.trim_ascii() == b"*" || entity_tags(value).any(|tag| tag == etag.as_bytes()))
}

/// Splits a list of entity tags into opaque tags, with their quotes: `"a", W/"b"` contains `"a"` and `"b"`.
fn entity_tags(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        // A tag may contain commas, and the list may contain empty elements.
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let tag = rest.strip_prefix(b"W/").unwrap_or(rest);
        let inner = tag.strip_prefix(b"\"")?.iter().position(|&byte| byte == b'"')?;
        let (tag, after) = tag.split_at(inner + 2);
        rest = after;
        Some(tag)
    })
}

/// Returns whether an `Accept-Encoding` accepts gzip with at least the weight of `identity`. Without the field, a
/// client gets plain bytes.
fn prefers_gzip<'a>(values: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for element in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let Some((coding, weight)) = weighted(element) else { continue };
        match coding.to_ascii_lowercase().as_slice() {
            // `x-gzip` is an old name of gzip (§8.4.1.3).
            b"gzip" | b"x-gzip" => gzip = Some(weight),
            b"identity" => identity = Some(weight),
            b"*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// Parses an element of a weighted list, such as `gzip;q=0.5` (§12.4.2), into the word and its weight in thousandths.
/// Returns `None` if the element is malformed.
fn weighted(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let word = parts.next()?;
    let weight = match parts.next() {
        None => 1000,
        Some([b'q' | b'Q', b'=', weight @ ..]) => thousandths(weight)?,
        Some(_) => return None,
    };
    parts.next().is_none().then_some((word, weight))
}

/// Parses a weight into thousandths: `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`
fn thousandths(qvalue: &[u8]) -> Option<u16> {
    let (whole, decimals) = match qvalue {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut value = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = decimals.get(place).copied().unwrap_or(b'0');
        value = value * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (value <= 1000).then_some(value)
}

/// Returns the `Content-Security-Policy`: only the page's own files load or run, text never becomes script or markup,
/// and no page frames it. It names the WebSocket because not every browser counts it as `'self'`.
fn security_policy(websocket_sources: &str) -> String {
    let sources = ["'self'", websocket_sources].join(" ");
    let sources = sources.trim_end();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src {sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'"
    )
}

/// 16 characters of base64.
const ETAG_BYTES: usize = 12;

/// The names and contents of the files, and whether the name contains a hash of the content; from `build.rs`.
const EMBEDDED: &[(&str, &[u8], bool)] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

static FILES: LazyLock<Vec<File>> =
    LazyLock::new(|| EMBEDDED.iter().map(|&(name, content, is_hashed)| File::new(name, content, is_hashed)).collect());

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use switchboard::{HeadLimits, RequestReader};

    use super::*;

    fn head(fields: &str) -> RequestHead {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        RequestReader::new(HeadLimits::default()).receive(request.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn gzip_is_sent_if_it_is_accepted_and_plain_bytes_are_not_preferred() {
        let rows: &[(&str, &[&str], bool)] = &[
            ("none", &[], false),
            ("empty", &[""], false),
            ("a browser's", &["gzip, deflate, br, zstd"], true),
            ("alone", &["gzip"], true),
            ("its old name", &["x-gzip"], true),
            ("another case", &["GZip;Q=0.5"], true),
            ("others", &["br, deflate"], false),
            ("a longer word", &["gzipped, xgzip"], false),
            ("refused", &["gzip;q=0"], false),
            ("refused with decimals", &["gzip;q=0.000"], false),
            ("with the lowest weight", &["gzip;q=0.001"], true),
            ("spaces", &["br ,\tgzip ; q=1.000"], true),
            ("in the second field", &["br", "gzip"], true),
            ("any", &["*"], true),
            ("none of any", &["*;q=0"], false),
            ("refused, but any other", &["gzip;q=0, *"], false),
            ("accepted, but no other", &["*;q=0, gzip;q=0.1"], true),
            ("plain", &["identity"], false),
            ("plain preferred", &["gzip;q=0.5, identity;q=0.6"], false),
            ("gzip preferred", &["gzip;q=0.6, identity;q=0.5"], true),
            ("equal weights", &["identity, gzip"], true),
            ("plain refused, nothing else named", &["identity;q=0"], false),
            ("a weight above one", &["gzip;q=1.001"], false),
            ("weight of two", &["gzip;q=2"], false),
            ("four decimals", &["gzip;q=0.1234"], false),
            ("negative", &["gzip;q=-1"], false),
            ("no weight", &["gzip;q="], false),
            ("no number", &["gzip;q=0.x"], false),
            ("another parameter", &["gzip;level=9"], false),
            ("two weights", &["gzip;q=1;q=0"], false),
        ];
        for (name, values, expected) in rows {
            assert_eq!(prefers_gzip(values.iter().map(|value| value.as_bytes())), *expected, "{name}");
        }
    }

    #[test]
    fn if_none_match_matches_weak_and_strong_tags() {
        let rows: &[(&str, &[&str], bool)] = &[
            ("none", &[], false),
            ("empty", &[""], false),
            ("strong", &["\"abc\""], true),
            ("weak", &["W/\"abc\""], true),
            ("any", &["*"], true),
            ("any, in quotes", &["\"*\""], false),
            ("another", &["\"abcd\""], false),
            ("in another case", &["\"ABC\""], false),
            ("the last of some", &["\"x\", W/\"y\" ,\t\"abc\""], true),
            ("in the second field", &["\"x\"", "\"abc\""], true),
            ("empty elements", &[", ,\"abc\",,"], true),
            ("a comma in another", &["\"x,\\\", \"abc\""], true),
            ("inside another", &["\"x,abc,y\""], false),
            ("without quotes", &["abc"], false),
            ("without its end", &["\"abc"], false),
            ("after a malformed tag", &["abc, \"abc\""], false),
            ("weak in small letters", &["w/\"abc\""], false),
        ];
        for (name, values, expected) in rows {
            assert_eq!(names_tag(values.iter().map(|value| value.as_bytes()), "\"abc\""), *expected, "{name}");
        }
    }

    #[test]
    fn at_most_ten_files_make_the_page_and_all_but_the_page_itself_are_kept_for_ever() {
        let is_kept = |file: &&File| file.cache_control.contains("immutable");
        let kept: Vec<&str> = FILES.iter().filter(is_kept).map(|file| file.path.as_str()).collect();
        assert!(kept.len() < 10, "{kept:?}");
        let others: Vec<&str> = FILES.iter().filter(|file| !is_kept(file)).map(|file| file.path.as_str()).collect();
        let clients = ["account", "chat_connection", "connection", "error", "outbox", "room_sync"];
        let clients = clients.map(|name| format!("/client/{name}.js"));
        let clients: Vec<_> = clients.iter().map(String::as_str).collect();
        assert_eq!(others, [&["/client.js"], &*clients, &["/"]].concat());
    }

    /// Limits are the server's: texts name them as `{max_name}`. The least length of a name is no such limit.
    #[test]
    fn no_text_of_the_page_has_a_number_other_than_1() {
        let is_text = |file: &&File| ["/en-", "/fr-", "/zh-"].iter().any(|start| file.path.starts_with(start));
        let texts: Vec<_> = FILES.iter().filter(is_text).collect();
        assert_eq!(texts.len(), 3);
        for file in texts {
            // The French spaces that do not break are written as escapes.
            let text = std::str::from_utf8(file.content).unwrap().replace("\\u00A0", "").replace("\\u202F", "");
            let is_limit = |c: char| matches!(c, '0' | '2'..='9');
            let lines: Vec<_> = text.lines().filter(|line| line.contains(is_limit)).collect();
            assert_eq!(lines, [""; 0], "{}", file.path);
        }
    }

    #[test]
    fn every_file_has_a_gzip_variant_with_its_own_tag() {
        for file in FILES.iter() {
            let (plain, gzip) = (file.variant(&head("")), file.variant(&head("Accept-Encoding: gzip\r\n")));
            assert_eq!((plain.encoding, &*plain.bytes), (None, file.content), "{}", file.path);
            assert_eq!(gzip.encoding, Some("gzip"), "{}", file.path);
            assert!(gzip.bytes.len() < plain.bytes.len(), "{}", file.path);
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*gzip.bytes).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, file.content, "{}", file.path);
            assert_ne!(plain.etag, gzip.etag, "{}", file.path);
            assert_eq!((plain.etag.len(), gzip.etag.len()), (18, 18), "{}", file.path);
        }
    }

    #[test]
    fn content_that_gzip_does_not_shorten_is_sent_plain() {
        assert!(Variants::of(b"short").gzip.is_none());
        assert!(Variants::of(b"").gzip.is_none());
        assert!(Variants::of(&[7; 1000]).gzip.is_some());
    }

    #[test]
    fn a_tag_is_a_hash_of_the_bytes() {
        let of = |bytes: &'static [u8]| Variant::new(None, Cow::Borrowed(bytes)).etag;
        // The start of the SHA-256 of the empty string.
        assert_eq!(of(b""), "\"47DEQpj8HBSa-_TI\"");
        assert_ne!(of(b"a"), of(b"b"));
    }
}
