//! The client's address, also behind reverse proxies.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::RequestHead;

/// Returns the address of a request's client: `peer`, the other end of its TCP connection, or, if that is one of the
/// trusted `proxies`, the address that it names in `X-Forwarded-For`.
///
/// Each proxy appends the address of its own peer. So the list is read from its end, for as long as the address found
/// is a trusted proxy's. The client may have forged the elements before that. The result is a proxy's only if that
/// names no client.
///
/// ```
/// use switchboard::{Acceptance, Handshake, IpNet, Verdict, client_address};
///
/// /// Is called by `App::accept`. The app's own value of the connection is the client's address.
/// fn accept(handshake: &Handshake<'_>, verdict: Verdict<std::net::IpAddr>, proxies: &[IpNet]) {
///     let address = client_address(handshake.request, handshake.peer.ip(), proxies);
///     verdict.accept_with(Acceptance::default().counted_as(address), address);
/// }
/// ```
#[must_use]
pub fn client_address(head: &RequestHead, peer: IpAddr, proxies: &[IpNet]) -> IpAddr {
    let mut address = peer.to_canonical();
    let fields: Vec<&str> =
        head.values("x-forwarded-for").filter_map(|value| std::str::from_utf8(value).ok()).collect();
    let mut forwarded = fields.iter().rev().flat_map(|field| field.rsplit(','));
    while proxies.iter().any(|proxy| proxy.contains(&address)) {
        match forwarded.next().and_then(parse) {
            Some(other) => address = other.to_canonical(),
            None => break,
        }
    }
    address
}

/// Parses an address with or without a port.
fn parse(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    in_brackets.unwrap_or(text).parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, RequestReader};

    #[test]
    fn only_the_addresses_named_by_trusted_proxies_count() {
        let rows: &[(&str, &[&str], &str)] = &[
            ("9.9.9.9", &[], "9.9.9.9"),
            ("9.9.9.9", &["1.1.1.1"], "9.9.9.9"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::ffff:127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("127.0.0.1", &["2.2.2.2, 1.1.1.1"], "1.1.1.1"),
            ("127.0.0.1", &["2.2.2.2", "1.1.1.1"], "1.1.1.1"),
            ("127.0.0.1", &["2.2.2.2, 10.0.0.1"], "2.2.2.2"),
            ("127.0.0.1", &["3.3.3.3, 2.2.2.2", "10.0.0.1"], "2.2.2.2"),
            ("127.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
            ("127.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("127.0.0.1", &["1.1.1.1, unknown"], "127.0.0.1"),
            ("127.0.0.1", &["1.1.1.1,"], "127.0.0.1"),
            ("127.0.0.1", &["10.0.0.1"], "10.0.0.1"),
            ("127.0.0.1", &["1.1.1.1, 10.0.0.0, 10.0.0.1"], "1.1.1.1"),
            ("127.0.0.1", &["1.1.1.1, 10.0.0.2"], "10.0.0.2"),
            ("fd12::1", &["2001:db8::1"], "2001:db8::1"),
        ];
        let proxies = ["127.0.0.1/32", "10.0.0.0/31", "fd00::/8"].map(|proxy| proxy.parse().unwrap());
        for (peer, fields, expected) in rows {
            let mut request = "GET / HTTP/1.1\r\nHost: x\r\n".to_owned();
            for field in *fields {
                request += &format!("X-Forwarded-For: {field}\r\n");
            }
            let mut reader = RequestReader::new(HeadLimits::default());
            let (head, _) = reader.receive((request + "\r\n").as_bytes()).unwrap().unwrap();
            let address = client_address(&head, peer.parse().unwrap(), &proxies);
            assert_eq!(address, expected.parse::<IpAddr>().unwrap(), "{peer} {fields:?}");
        }
    }
}
