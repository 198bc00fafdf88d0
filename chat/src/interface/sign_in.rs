//! Sessions: how they begin and are found.

use std::{net::IpAddr, time::Duration};

use super::super::{
    Name,
    device::{Device, DeviceCookie},
    password::HashError,
    store::UserId,
    token::{Token, TokenHash},
    user_agent::UserAgent,
    wire::EventError,
};

/// A client that signs in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewClient {
    /// Its address.
    pub(crate) from: IpAddr,
    pub(crate) agent: UserAgent,
}

/// The result of looking for a session.
#[derive(Debug)]
pub(crate) struct FoundSession {
    /// The user, and the latest time at which the session ends, in milliseconds since 1970.
    pub(crate) you: Option<(You, u64)>,
    /// Whether the chat has any account.
    pub(crate) has_accounts: bool,
    /// A new cookie of the device, if the one that the client has shown is void.
    pub(crate) device_cookie: Option<DeviceCookie>,
}

/// The result of looking for an account.
#[derive(Debug)]
pub(crate) struct FoundAccount {
    pub(crate) name: Name,
    /// The account's user and the hash of the password. `None`: there is no account with this name.
    pub(crate) credentials: Option<(UserId, String)>,
    /// The device of the client, if its cookie is valid for the account.
    pub(crate) device: Option<Device>,
}

/// The credential that a client shows when it opens a connection.
#[derive(Clone, Debug)]
pub(crate) enum Credential {
    /// No credential yet.
    None,
    /// A text that is not a token.
    Malformed,
    /// The hashes of tokens, at least one. The first that is valid counts.
    Tokens(Vec<TokenHash>),
}

/// A new session.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) you: You,
    pub(crate) token: Token,
    /// The latest time at which the session ends, in milliseconds since 1970.
    pub(crate) expires: u64,
    /// The new cookie of the device. `None` for a guest, who cannot come back under the same name.
    pub(crate) device_cookie: Option<DeviceCookie>,
}

/// A user's own data, for their client.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct You {
    pub(crate) name: String,
    pub(crate) guest: bool,
    pub(crate) operator: bool,
}

/// Why a user is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignInError {
    /// The name, or one that looks the same, is taken.
    NameTaken,
    /// There is no account of this name, or the password is wrong.
    BadCredentials,
    /// A limit is reached.
    Limited(Limited),
    /// The core has too much to do. The client may try again later.
    Overloaded,
    /// The store cannot be read or written. Nothing has changed.
    Storage,
    /// The store cannot be written, and it is not known whether the change is there after a crash.
    Unknown,
}

/// A limit of attempts to sign in that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    code: &'static str,
    what: &'static str,
    wait: Duration,
}

impl Limited {
    /// Too many failed log-ins to an account.
    pub(crate) fn account(wait: Duration) -> Self {
        Self { code: "too_fast", what: "Too many failed attempts to log in to this account", wait }
    }

    /// Too many failed log-ins from a network.
    pub(crate) fn network(wait: Duration) -> Self {
        Self { code: "too_many_attempts", what: "Too many failed attempts to log in from your network", wait }
    }

    /// Too many sign-ins from a network.
    pub(crate) fn sign_ins(wait: Duration) -> Self {
        Self { code: "too_many_sign_ups", what: "Too many users have just signed in from your network", wait }
    }

    /// Returns the seconds after which a retry succeeds.
    pub(crate) fn seconds(self) -> u64 {
        // Rounded up.
        self.wait.as_secs() + 1
    }

    fn event_error(self) -> EventError {
        EventError::new(self.code, format!("{}; please try again in {} s.", self.what, self.seconds()))
    }
}

impl From<Limited> for SignInError {
    fn from(limited: Limited) -> Self {
        Self::Limited(limited)
    }
}

impl From<HashError> for SignInError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::QueueFull => Self::Overloaded,
            HashError::System(_) => Self::Storage,
        }
    }
}

impl SignInError {
    /// Returns the error for clients.
    pub(crate) fn event_error(self) -> EventError {
        match self {
            Self::NameTaken => {
                EventError::new("name_taken", "This name, or one that looks like it, is taken; please choose another.")
            }
            Self::BadCredentials => EventError::new("bad_credentials", "The name or the password is wrong."),
            Self::Limited(limited) => limited.event_error(),
            Self::Overloaded => EventError::overloaded(),
            Self::Storage => EventError::storage(),
            Self::Unknown => EventError::unknown(),
        }
    }
}
