//! The grammar of header values: hosts and tokens (RFC 9110 §7.2, §5.6), and comma-separated lists of tokens and of
//! extensions (RFC 6455 [§9.1]).
//!
//! Everything here reads its input once, from left to right.
//!
//! [§9.1]: https://www.rfc-editor.org/rfc/rfc6455#section-9.1

use alloc::{string::String, vec::Vec};

/// An extension that a client offers or a server accepts
/// ([§9.1](https://www.rfc-editor.org/rfc/rfc6455#section-9.1)).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtensionOffer {
    /// The extension's token, such as `permessage-deflate`.
    pub name: String,
    /// The parameters in their order. Quoted values are without their quotes.
    pub params: Vec<(String, Option<String>)>,
}

impl ExtensionOffer {
    /// Returns the heap memory of the offer, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        let texts =
            |(name, value): &(String, Option<String>)| name.capacity() + value.as_ref().map_or(0, String::capacity);
        self.name.capacity() + size_of_val(&*self.params) + self.params.iter().map(texts).sum::<usize>()
    }
}

/// The value breaks the grammar of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Returns whether `bytes` is a token: one or more of the characters that RFC 9110 §5.6.2 allows.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// Returns whether `host` may be `uri-host [ ":" port ]` (RFC 9110 §7.2): the characters of a name or an address, or an
/// IPv6 address in brackets.
pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (host, ""),
    };
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name_is_valid = match inner {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*')
                || matches!(byte, b'+' | b',' | b';' | b'=')
        }),
    };
    !name.is_empty() && name_is_valid && port.bytes().all(|byte| byte.is_ascii_digit()) && port.len() <= 5
}

/// Returns whether the list in `value` contains `token`, ignoring case.
pub(super) fn has_token(value: &[u8], token: &str) -> bool {
    value.split(|&byte| byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Appends the tokens in `value` to `list`. Empty elements are skipped (RFC 9110 §5.6.1.2), but at least one must not
/// be empty (`1#token`).
pub(super) fn parse_tokens(value: &[u8], list: &mut Vec<String>) -> Result<(), Malformed> {
    let before = list.len();
    for element in value.split(|&byte| byte == b',') {
        let element = element.trim_ascii();
        if element.is_empty() {
            continue;
        }
        list.push(token(element)?);
    }
    if list.len() > before { Ok(()) } else { Err(Malformed) }
}

/// Appends the extensions in `value` to `list`. Empty elements are skipped (RFC 9110 §5.6.1.2), but at least one must
/// not be empty (`1#extension`).
///
/// ```text
/// extension       = extension-token *( ";" extension-param )
/// extension-param = token [ "=" ( token | quoted-string ) ]   ; the quoted text must be a token too
/// ```
pub(super) fn parse_extensions(value: &[u8], list: &mut Vec<ExtensionOffer>) -> Result<(), Malformed> {
    let before = list.len();
    let mut rest = Cursor(value);
    loop {
        rest.skip_space();
        match rest.0.first() {
            None if list.len() > before => return Ok(()),
            None => return Err(Malformed),
            Some(b',') => rest.advance(),
            Some(_) => {
                list.push(rest.extension()?);
                if !matches!(rest.0.first(), None | Some(b',')) {
                    return Err(Malformed);
                }
            }
        }
    }
}

/// The unread rest of a value.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn advance(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t') = self.0.first() {
            self.advance();
        }
    }

    /// Skips `byte` and the space around it, and returns whether it was next.
    fn eat(&mut self, byte: u8) -> bool {
        self.skip_space();
        let there = self.0.first() == Some(&byte);
        if there {
            self.advance();
            self.skip_space();
        }
        there
    }

    fn extension(&mut self) -> Result<ExtensionOffer, Malformed> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.eat(b';') {
            let param = self.token()?;
            let value = if self.eat(b'=') {
                Some(if self.0.first() == Some(&b'"') { self.quoted_token()? } else { self.token()? })
            } else {
                None
            };
            params.push((param, value));
        }
        // A peer's many short lists would otherwise take twice to four times what is told of them.
        params.shrink_to_fit();
        Ok(ExtensionOffer { name, params })
    }

    fn token(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(self.0.len());
        let (found, rest) = self.0.split_at(end);
        self.0 = rest;
        token(found)
    }

    /// Reads a quoted-string whose content, without quotes and backslashes, is a token.
    fn quoted_token(&mut self) -> Result<String, Malformed> {
        let mut content = Vec::new();
        self.advance();
        loop {
            match *self.0 {
                [b'"', ..] => {
                    self.advance();
                    return token(&content);
                }
                [b'\\', escaped, ..] => {
                    content.push(escaped);
                    self.advance();
                    self.advance();
                }
                [byte, ..] => {
                    content.push(byte);
                    self.advance();
                }
                [] => return Err(Malformed),
            }
        }
    }
}

fn token(bytes: &[u8]) -> Result<String, Malformed> {
    match core::str::from_utf8(bytes) {
        Ok(text) if is_token(bytes) => Ok(text.into()),
        _ => Err(Malformed),
    }
}

/// Returns whether `byte` may be part of a token (RFC 9110 §5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z'
        | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    /// Parses `value` and writes the result in one canonical form, to compare.
    fn read(value: &str) -> Result<String, Malformed> {
        let mut list = Vec::new();
        parse_extensions(value.as_bytes(), &mut list)?;
        let shown = list.iter().map(|extension| {
            extension.params.iter().fold(extension.name.clone(), |text, (name, value)| match value {
                Some(value) => format!("{text};{name}={value}"),
                None => format!("{text};{name}"),
            })
        });
        Ok(shown.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn extension_lists_follow_the_grammar_of_section_9_1() {
        let rows: &[(&str, Option<&str>)] = &[
            ("foo", Some("foo")),
            ("foo, bar; baz=2", Some("foo,bar;baz=2")),
            ("deflate-stream", Some("deflate-stream")),
            (
                "mux; max-channels=4; flow-control, deflate-stream",
                Some("mux;max-channels=4;flow-control,deflate-stream"),
            ),
            ("private-extension", Some("private-extension")),
            ("a;b=\"8\"", Some("a;b=8")),
            (r#"a; b="\8""#, Some("a;b=8")),
            (r#"a; b="\c\c\c""#, Some("a;b=ccc")),
            ("a ; b = 8 ,\tc", Some("a;b=8,c")),
            (",a,,b,", Some("a,b")),
            ("", None),
            (" ,, ", None),
            ("a b", None),
            ("a;", None),
            ("a;;b", None),
            ("a;=1", None),
            ("a;b=", None),
            ("=1", None),
            (r#"a;b="""#, None),
            (r#"a;b="x y""#, None),
            (r#"a;b="x"#, None),
            (r#"a;b="x\"#, None),
            (r#"a;b="x"y"#, None),
            ("a;b=\u{e9}", None),
        ];
        for (value, expected) in rows {
            assert_eq!(read(value).ok(), expected.map(ToString::to_string), "{value}");
        }
    }

    #[test]
    fn token_lists_reject_non_tokens() {
        let read = |value: &str| {
            let mut list = Vec::new();
            parse_tokens(value.as_bytes(), &mut list).map(|()| list.join("|"))
        };
        assert_eq!(read("chat, superchat"), Ok("chat|superchat".into()));
        assert_eq!(read(" a ,, b "), Ok("a|b".into()));
        assert_eq!(read(""), Err(Malformed));
        assert_eq!(read(" , "), Err(Malformed));
        assert_eq!(read("a b"), Err(Malformed));
        assert_eq!(read("a;b"), Err(Malformed));
        assert_eq!(read("\"a\""), Err(Malformed));
    }

    #[test]
    fn tokens_match_whole_and_ignore_case() {
        assert!(has_token(b"keep-alive, Upgrade", "upgrade"));
        assert!(!has_token(b"keep-alive, upgrades", "upgrade"));
        assert!(!has_token(b"x upgrade", "upgrade"));
        assert!(!has_token(b"", "upgrade"));
    }
}
