//! The values of options, and what is wrong with others.

use std::{net::SocketAddr, time::Duration};

use switchboard_chat::Name;

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

fn default_port(port: &str) -> String {
    format!("an origin does not contain its scheme's default port; leave out {port}")
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

/// Parses a number greater than 0.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Parses a scheme and a host, as browsers write them.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        // Browsers leave out the default port.
        Some(_) if text.starts_with("https://") && text.ends_with(":443") => Err(default_port(":443")),
        Some(_) if text.starts_with("http://") && text.ends_with(":80") => Err(default_port(":80")),
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(text.to_owned()),
        _ => Err("expected a scheme and a host, such as https://chat.example or http://localhost:3000".to_owned()),
    }
}
