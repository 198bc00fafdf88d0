//! Which failures are worth another attempt, and when.

use std::time::{Duration, SystemTime};

use super::{ClientError, ProxyError};
use crate::{Backoff, backoff::retry_after};

impl ClientError {
    /// Returns whether the cause may pass by itself, so that it makes sense to connect again later.
    ///
    /// - Yes: the network and the operating system (`Resolve`, `Connect`, `Io`, `Timeout`, `Disconnected`), and
    ///   `Refused` with 408, 425, 429 or from 500 on, except 501, 505, 506, 510 and 511. A proxy's errors by the same
    ///   rule.
    /// - No: everything that would be the same again. Other refusals, redirects, a violation of a protocol, an
    ///   untrusted certificate, the caller's own faults, `Closed`, `QueueFull`, and `Woken`.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { response, .. } => Backoff::retries_status(response.status()),
            Self::Proxy(error) => is_retryable_proxy(error),
            #[cfg(feature = "client-tls")]
            Self::Tls(error) => *error.kind() == super::TlsErrorKind::Ended,
            Self::Resolve(_) | Self::Connect(_) | Self::Io(_) | Self::Timeout(_) | Self::Disconnected => true,
            Self::Url(_)
            | Self::Request(_)
            | Self::Send(_)
            | Self::Closed
            | Self::QueueFull
            | Self::Woken
            | Self::Redirect { .. }
            | Self::RedirectFailed { .. }
            | Self::Handshake(_)
            | Self::Protocol(_) => false,
        }
    }

    /// Returns how long the server asks to wait before another attempt: the Retry-After of a `Refused`
    /// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). A date is compared with the
    /// system's clock. `None` if the server does not say so, or not in a valid way.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { response, .. } => retry_after(response, SystemTime::now()),
            _ => None,
        }
    }
}

fn is_retryable_proxy(error: &ProxyError) -> bool {
    match error {
        ProxyError::Resolve(_) | ProxyError::Connect(_) | ProxyError::Disconnected | ProxyError::Io(_) => true,
        ProxyError::Status(status) => Backoff::retries_status(*status),
        // General failure, network or host unreachable, connection refused, TTL expired (RFC 1928 §6).
        ProxyError::Socks(code) => matches!(code, 1 | 3..=6),
        ProxyError::Url(_)
        | ProxyError::CredentialsRequired
        | ProxyError::CredentialsRefused
        | ProxyError::Head(_)
        | ProxyError::Protocol(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::{
        ClientHandshakeError, HeadError, ProtocolError, ResponseHead, ResponseReader, SendError,
        client::{RedirectError, Stage, UrlError},
    };

    fn head(status: u16, fields: &str) -> ResponseHead {
        let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        ResponseReader::new(crate::HeadLimits::default()).receive(head.as_bytes()).unwrap().unwrap().0
    }

    fn refused(status: u16) -> ClientError {
        ClientError::Refused { response: Box::new(head(status, "")), body: Vec::new() }
    }

    #[test]
    fn what_may_pass_by_itself_is_retryable() {
        let io = || io::Error::from(io::ErrorKind::Other);
        let reason = RedirectError::Loop;
        let rows = [
            (ClientError::Resolve(io()), true),
            (ClientError::Connect(io()), true),
            (ClientError::Io(io()), true),
            (ClientError::Timeout(Stage::Handshake), true),
            (ClientError::Timeout(Stage::Receive), true),
            (ClientError::Disconnected, true),
            (ClientError::Woken, false),
            (ClientError::Closed, false),
            (ClientError::Send(SendError::Closed), false),
            (ClientError::Url(UrlError::UserInfo), false),
            (ClientError::Handshake(ClientHandshakeError::Accept), false),
            (ClientError::Protocol(ProtocolError::InvalidUtf8 { offset: 0 }), false),
            (ClientError::RedirectFailed { location: "/".into(), reason }, false),
            (ProxyError::Io(io()).into(), true),
            (ProxyError::Connect(io()).into(), true),
            (ProxyError::Resolve(io()).into(), true),
            (ProxyError::Disconnected.into(), true),
            (ProxyError::Status(503).into(), true),
            (ProxyError::Status(403).into(), false),
            (ProxyError::Socks(1).into(), true),
            (ProxyError::Socks(2).into(), false),
            (ProxyError::Socks(6).into(), true),
            (ProxyError::Socks(7).into(), false),
            (ProxyError::CredentialsRequired.into(), false),
            (ProxyError::CredentialsRefused.into(), false),
            (ProxyError::Url("x").into(), false),
            (ProxyError::Head(HeadError::TooLong { limit: 1 }).into(), false),
            (ProxyError::Protocol("x").into(), false),
        ];
        for (error, expected) in rows {
            assert_eq!(error.is_retryable(), expected, "{error:?}");
        }
        let retryable = (200..600).filter(|&status| refused(status).is_retryable());
        let expected = [408, 425, 429, 500, 502, 503, 504, 507, 508, 509].into_iter().chain(512..600);
        assert!(retryable.eq(expected));
    }
}
