//! `Sec-WebSocket-Extensions` is accepted if and only if it follows the grammar of §9.1, as a second, naive parser
//! reads it. An accepted value, written back, is accepted again and equal. The parsed form is no larger than the value.
//!
//! Input: the value.
#![no_main]

use switchboard::{ExtensionOffer, HandshakeError, HttpVersion, ServerHandshake};

libfuzzer_sys::fuzz_target!(|value: &[u8]| {
    let Ok(offers) = read(&[value]) else {
        assert_eq!(naive(value), None, "refused");
        return;
    };
    assert_eq!(naive(value).as_ref(), Some(&offers), "accepted");
    assert!(written(&offers, false).len() <= value.len(), "the parsed form is no larger than the value");
    for quoted in [false, true] {
        assert_eq!(read(&[&written(&offers, quoted)]).as_ref(), Ok(&offers), "written back, quoted: {quoted}");
    }
    // RFC 9110 §5.3: a field may be split at its commas.
    let twice = [&offers[..], &offers[..]].concat();
    assert_eq!(read(&[value, value]).as_ref(), Ok(&twice), "two fields");
    assert_eq!(read(&[&[value, value].join(&b',')]).as_ref(), Ok(&twice), "two fields in one");
});

/// Parses these header fields with the engine.
fn read(fields: &[&[u8]]) -> Result<Vec<ExtensionOffer>, HandshakeError> {
    let handshake: [(&str, &[u8]); 5] = [
        ("Host", b"a"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", b"13"),
    ];
    let extensions = fields.iter().map(|&value| ("Sec-WebSocket-Extensions", value));
    let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, handshake.into_iter().chain(extensions))?;
    Ok(handshake.extensions().to_vec())
}

/// Parses by splitting, because no valid quoted text contains a comma, a semicolon or an equals sign.
fn naive(value: &[u8]) -> Option<Vec<ExtensionOffer>> {
    let mut offers = Vec::new();
    for element in value.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty()) {
        let mut parts = element.split(|&byte| byte == b';').map(trim);
        let name = token(parts.next()?)?;
        let mut params = Vec::new();
        for part in parts {
            let mut sides = part.splitn(2, |&byte| byte == b'=').map(trim);
            let param = token(sides.next()?)?;
            let value = match sides.next() {
                None => None,
                Some([b'"', quoted @ .., b'"']) => Some(unquoted(quoted)?),
                Some(plain) => Some(token(plain)?),
            };
            params.push((param, value));
        }
        offers.push(ExtensionOffer { name, params });
    }
    (!offers.is_empty()).then_some(offers)
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn token(text: &[u8]) -> Option<String> {
    let is_token = |&byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (!text.is_empty() && text.iter().all(is_token)).then(|| String::from_utf8_lossy(text).into_owned())
}

fn unquoted(text: &[u8]) -> Option<String> {
    let mut content = Vec::new();
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        content.push(if byte == b'\\' { *bytes.next()? } else { byte });
    }
    token(&content)
}

fn written(offers: &[ExtensionOffer], quoted: bool) -> Vec<u8> {
    let mut text = String::new();
    for offer in offers {
        if !text.is_empty() {
            text += ",";
        }
        text += &offer.name;
        for (param, value) in &offer.params {
            text = text + ";" + param;
            match value {
                None => {}
                Some(value) if quoted => text += &format!("=\"\\{value}\""),
                Some(value) => text = text + "=" + value,
            }
        }
    }
    text.into_bytes()
}
