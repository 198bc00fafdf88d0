//! Why a proxy gives no tunnel.

use std::{fmt, io};

use crate::HeadError;

/// Why a connection through a proxy failed before the server was reached.
///
/// No variant contains the user name or the password.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy's own URL cannot be used, for this reason. No connection was made.
    Url(&'static str),
    /// The proxy's name could not be resolved.
    Resolve(io::Error),
    /// The proxy did not accept a connection.
    Connect(io::Error),
    /// The proxy demands a user name and a password, and its URL has none.
    CredentialsRequired,
    /// The proxy refused the user name and password.
    CredentialsRefused,
    /// An HTTP proxy refused the tunnel with this status.
    Status(u16),
    /// A SOCKS5 proxy refused the tunnel with this reply code
    /// ([RFC 1928 §6](https://www.rfc-editor.org/rfc/rfc1928#section-6)).
    Socks(u8),
    /// The head of an HTTP proxy's response is invalid, or too long.
    Head(HeadError),
    /// The proxy broke its protocol in this way.
    Protocol(&'static str),
    /// The proxy ended the connection before the tunnel was open.
    Disconnected,
    /// Another error of the operating system.
    Io(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(reason) => write!(f, "the URL of the proxy cannot be used: {reason}"),
            Self::Resolve(_) => f.write_str("the proxy's name could not be resolved"),
            Self::Connect(_) => f.write_str("cannot connect to the proxy"),
            Self::CredentialsRequired => {
                f.write_str("the proxy demands a user name and a password: write http://user:password@host:port")
            }
            Self::CredentialsRefused => f.write_str("the proxy refused the user name and password"),
            Self::Status(status) => write!(f, "the proxy refused to connect to the server, with status {status}"),
            Self::Socks(code) => match socks_reply(*code) {
                Some(reply) => write!(f, "the proxy could not connect to the server: {reply}"),
                None => write!(f, "the proxy could not connect to the server, with the unknown reply code {code}"),
            },
            Self::Head(_) => f.write_str("the proxy's response is not valid HTTP; perhaps it is another kind of proxy"),
            Self::Protocol(fault) => write!(f, "the proxy broke its protocol: {fault}"),
            Self::Disconnected => f.write_str("the proxy ended the connection"),
            Self::Io(_) => f.write_str("the connection to the proxy failed"),
        }
    }
}

impl std::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve(error) | Self::Connect(error) | Self::Io(error) => Some(error),
            Self::Head(error) => Some(error),
            Self::Url(_)
            | Self::CredentialsRequired
            | Self::CredentialsRefused
            | Self::Status(_)
            | Self::Socks(_)
            | Self::Protocol(_)
            | Self::Disconnected => None,
        }
    }
}

/// Returns the meaning of a reply code (RFC 1928 §6).
const fn socks_reply(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "general failure",
        2 => "its rules do not allow it",
        3 => "the network is unreachable",
        4 => "the host is unreachable, or its name is unknown",
        5 => "the server refused the connection",
        6 => "the attempt took too long",
        7 => "it does not support the command",
        8 => "it does not support this type of address",
        _ => return None,
    })
}
