//! Why a server cannot be bound.

use std::{error::Error, fmt, io, net::SocketAddr};

/// The error of [`Server::bind_all`](super::Server::bind_all).
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration makes no sense ([`Config::check`](super::Config::check)), or there is no address.
    Config(io::Error),
    /// The server cannot listen on this address.
    Address(SocketAddr, io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Address(address, error) => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Address(_, error) => Some(error),
        }
    }
}

/// Returns the system's error, without the address.
impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Config(error) | BindError::Address(_, error) => error,
        }
    }
}
