//! Which Hosts are ours: an answer to DNS rebinding.
//!
//! A page elsewhere may point its own name at our address and would then be of the "same host" for a browser. So a
//! name must be one that the operator gave, or `localhost`; an address cannot be rebound and is taken as it is.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The names under which this chat may be reached.
#[derive(Clone, Debug)]
pub(super) struct HostPolicy {
    names: Vec<String>,
}

impl HostPolicy {
    /// `localhost`, any address, and the hosts of these origins.
    pub(super) fn from_origins(origins: &[String]) -> Self {
        let host = |origin: &String| origin.split_once("://").map(|(_, host)| name_of(host).to_ascii_lowercase());
        Self { names: origins.iter().filter_map(host).collect() }
    }

    /// Whether a request for this Host is for us.
    pub(super) fn allows(&self, host: &str) -> bool {
        let name = name_of(host);
        let is_address = name.parse::<Ipv4Addr>().is_ok()
            || name
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok());
        is_address
            || name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// A Host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_localhost_or_a_name_that_was_given() {
        let policy = HostPolicy::from_origins(&["https://chat.example:8443".to_owned()]);
        let rows = [
            ("127.0.0.1:8080", true),
            ("192.168.1.5", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost:8080", true),
            ("LOCALHOST", true),
            ("chat.example", true),
            ("Chat.Example:80", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("chat.example.evil.example:8443", false),
            ("[::1].evil.example", false),
            ("", false),
        ];
        for (host, expected) in rows {
            assert_eq!(policy.allows(host), expected, "{host}");
        }
    }
}
