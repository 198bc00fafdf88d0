//! The proxy that the environment names, by the rules of [curl].
//!
//! [curl]: https://everything.curl.dev/usingcurl/proxies/env.html

use std::net::IpAddr;

use ipnet::IpNet;

use crate::WebSocketUrl;

/// The variables, as they were when they were read.
#[derive(Clone, Default)]
pub(in crate::client) struct Environment {
    /// The proxy for `ws`.
    ws: Option<String>,
    /// The proxy for `wss`.
    wss: Option<String>,
    /// The hosts to which no proxy is used.
    exceptions: Option<String>,
}

impl Environment {
    /// Reads the variables through `variable`.
    ///
    /// The first that is set counts, also if it is empty, which means no proxy. `HTTP_PROXY` in capitals is ignored:
    /// under CGI it is a header field of the request (CVE-2016-5385).
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
        Self {
            ws: first(&["ws_proxy", "WS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"]),
            wss: first(&["wss_proxy", "WSS_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exceptions: first(&["no_proxy", "NO_PROXY"]),
        }
    }

    /// Returns the URL of the proxy for `url`.
    pub(super) fn proxy_for(&self, url: &WebSocketUrl) -> Option<&str> {
        let proxy = if url.is_secure { &self.wss } else { &self.ws };
        let is_excepted = self.exceptions.as_ref().is_some_and(|exceptions| has_host(exceptions, &url.host));
        proxy.as_deref().filter(|proxy| !proxy.is_empty() && !is_excepted)
    }
}

/// Returns whether a list such as `localhost, .example.com 10.0.0.0/8` has this host. A name includes all names under
/// it, with or without the dot before it; `*` alone includes everything.
fn has_host(list: &str, host: &str) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let address: Option<IpAddr> = host.parse().ok();
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| match address {
        Some(address) => {
            let entry = entry.trim_start_matches('[').trim_end_matches(']');
            let network = entry.parse::<IpNet>().or_else(|_| entry.parse().map(|host: IpAddr| host.into()));
            network.is_ok_and(|network| network.contains(&address))
        }
        None => {
            let name = entry.strip_prefix('.').unwrap_or(entry);
            is_or_is_under(host, name.strip_suffix('.').unwrap_or(name))
        }
    })
}

fn is_or_is_under(host: &str, name: &str) -> bool {
    let Some(start) = host.len().checked_sub(name.len()) else { return false };
    let (before, end) = (host.as_bytes().get(..start), host.as_bytes().get(start..));
    !name.is_empty()
        && end.is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()))
        && before.is_some_and(|before| before.last().is_none_or(|&byte| byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_the_first_variable_that_is_set() {
        let rows: &[(&[(&str, &str)], Option<&str>, Option<&str>)] = &[
            (&[], None, None),
            (&[("https_proxy", "s")], None, Some("s")),
            (&[("HTTPS_PROXY", "s")], None, Some("s")),
            (&[("https_proxy", "s"), ("HTTPS_PROXY", "x")], None, Some("s")),
            (&[("http_proxy", "h")], Some("h"), None),
            (&[("HTTP_PROXY", "x")], None, None),
            (&[("all_proxy", "a")], Some("a"), Some("a")),
            (&[("ALL_PROXY", "a")], Some("a"), Some("a")),
            (&[("ALL_PROXY", "a"), ("https_proxy", "s")], Some("a"), Some("s")),
            (&[("wss_proxy", "w"), ("https_proxy", "s")], None, Some("w")),
            (&[("WS_PROXY", "w"), ("http_proxy", "h")], Some("w"), None),
            (&[("https_proxy", ""), ("ALL_PROXY", "a")], Some("a"), None),
        ];
        for (variables, ws, wss) in rows {
            let read =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
            let environment = Environment::read(read);
            let url = WebSocketUrl::parse("ws://example.com/").unwrap();
            assert_eq!(environment.proxy_for(&url), *ws, "{variables:?}");
            let secure = WebSocketUrl { is_secure: true, ..url };
            assert_eq!(environment.proxy_for(&secure), *wss, "{variables:?}");
        }
    }

    #[test]
    fn no_proxy_is_used_for_the_hosts_of_the_list() {
        let rows: &[(&str, &str, bool)] = &[
            ("*", "example.com", true),
            (" * ", "10.0.0.1", true),
            ("", "example.com", false),
            ("example.com", "example.com", true),
            ("example.com", "EXAMPLE.com", true),
            ("example.com", "www.example.com", true),
            (".example.com", "www.example.com", true),
            (".example.com", "example.com", true),
            ("example.com.", "example.com", true),
            ("example.com", "example.com.", true),
            ("example.com", "notexample.com", false),
            ("example.com", "example.com.net", false),
            ("www.example.com", "example.com", false),
            ("*.example.com", "www.example.com", false),
            ("localhost,example.com", "example.com", true),
            ("localhost, example.com", "example.com", true),
            ("localhost example.com", "localhost", true),
            (",,", "example.com", false),
            (".", "example.com", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.10", false),
            ("127.0.0.0/8", "127.9.9.9", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("0.0.1", "127.0.0.1", false),
            ("::1", "::1", true),
            ("[::1]", "::1", true),
            ("fe80::/10", "fe80::2", true),
            ("::1", "127.0.0.1", false),
        ];
        for &(list, host, expected) in rows {
            assert_eq!(has_host(list, host), expected, "{list:?} {host}");
        }
    }
}
