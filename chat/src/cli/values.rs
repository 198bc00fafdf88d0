//! The values of options, and what is wrong with others.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytesize::ByteSize;
use switchboard::IpNet;
use switchboard_chat::{Name, Origin};

/// Parses an IP address and a port.
pub(super) fn address_and_port(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Parses a number of characters that a name may have.
pub(super) fn name_chars(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=Name::HIGHEST_LIMIT) => Ok(number),
        _ => Err(format!("expected a number from 1 to {}", Name::HIGHEST_LIMIT)),
    }
}

/// Parses a time greater than 0, such as `15m`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("expected a time greater than 0, such as 15m, 12h or 30days".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("expected a time such as 15m, 12h or 30days".to_owned()),
    }
}

/// Parses a time, which may be `0`.
pub(super) fn time_or_zero(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) => Ok(time),
        Err(_) if text == "0" => Ok(Duration::ZERO),
        Err(_) => Err("expected a time such as 75s or 5m, or 0".to_owned()),
    }
}

/// Parses a number of bytes, such as `64KiB` or `65536`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().and_then(|ByteSize(bytes)| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "expected a number of bytes, such as 65536 or 64KiB".to_owned())
}

/// Parses the length of a message, from 1 byte to 1 GiB.
pub(super) fn message_bytes(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(ByteSize(bytes @ 1..=MAX_MESSAGE_BYTES)) => Ok(bytes),
        _ => Err("expected a number of bytes from 1 to 1GiB, such as 65536 or 64KiB".to_owned()),
    }
}

/// Parses a number greater than 0.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Parses an origin of web pages that are loaded over http or https.
pub(super) fn public_url(text: &str) -> Result<Origin, String> {
    match text.parse::<Origin>() {
        Ok(origin) if origin.is_web() => Ok(origin),
        Ok(_) => Err("expected an address of the web, such as https://chat.example".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Parses an IP address, or a network such as `10.0.0.0/8`. One of IPv4 that is written inside of IPv6 is one of IPv4.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network =
        network.map_err(|_| "expected an IP address or a network, such as 127.0.0.1 or 10.0.0.0/8".to_owned())?;
    match (network.addr().to_canonical(), network.prefix_len().checked_sub(V4_IN_V6_BITS)) {
        (IpAddr::V4(address), Some(bits)) if network.addr().is_ipv6() => {
            Ok(IpNet::new(address.into(), bits).expect("at most 32 bits"))
        }
        _ => Ok(network),
    }
}

/// The longest message that may be allowed, in bytes.
const MAX_MESSAGE_BYTES: u64 = 1 << 30;
/// The bits before an address of IPv4 inside of IPv6 (RFC 4291 §2.5.5.2).
const V4_IN_V6_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_or_has_a_length() {
        let rows = [
            ("127.0.0.1", Some("127.0.0.1/32")),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.1.2.3/8")),
            ("::1", Some("::1/128")),
            ("fd00::/8", Some("fd00::/8")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:10.0.0.1", Some("10.0.0.1/32")),
            ("::ffff:10.0.0.1/90", Some("::ffff:10.0.0.1/90")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("10.0.0/8", None),
            ("localhost", None),
            ("127.0.0.1:80", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(network(text).ok().map(|network| network.to_string()).as_deref(), expected, "{text}");
        }
    }
}
