//! The seam under the chat: accounts, logs, presence and fan-out ([`ChatCore`]), and what a backplane reaches
//! ([`Delivery`]).
//!
//! Above it are only this process's own connections. Nothing there may assume that all people are connected to it.

use super::{
    Name,
    password::Password,
    token::{Token, TokenHash},
    wire::{EventError, Incoming},
};
use switchboard::{CloseCode, ConnectionId, Message, Prepared, Remote};

/// All that connections share. Whatever is asked of it is done later and on another thread; what comes of it reaches
/// connections by the [`Delivery`].
///
/// What one thread asks for is done in that order. Each connection sees a room's messages in the order of the room's
/// log, an answer before anything that it has caused.
pub(super) trait ChatCore: Send + Sync {
    /// A connection is open, and its client has shown this.
    fn opened(&self, connection: ConnectionId, credential: Credential);

    /// An event came; an answer is given to each that has an id, and to each that fails. `bytes`: how long it was.
    ///
    /// # Errors
    /// Where more is asked for than can be done; then nothing is answered.
    fn event(&self, connection: ConnectionId, event: Incoming, bytes: usize) -> Result<(), (Overloaded, Incoming)>;

    /// A connection is gone.
    fn closed(&self, connection: ConnectionId);

    /// Makes an account, and signs in.
    fn register(&self, name: Name, password: Password, callback: Callback<Result<SignedIn, SignInError>>);

    /// Signs in.
    fn log_in(&self, name: Name, password: Password, callback: Callback<Result<SignedIn, SignInError>>);

    /// Signs in under a name that nobody has.
    fn enter_as_guest(&self, name: Name, callback: Callback<Result<SignedIn, SignInError>>);

    /// Ends a session, wherever it is in use.
    fn log_out(&self, token: TokenHash, callback: Callback<Result<(), SignInError>>);

    /// Who is signed in with a token, and until when at the latest.
    fn signed_in(&self, token: TokenHash, callback: Callback<Result<Option<(You, u64)>, SignInError>>);
}

/// What is done with an answer. Called once, on a thread of the backplane's, where it must not block.
pub(super) type Callback<T> = Box<dyn FnOnce(T) + Send>;

/// More is asked for than can be done; try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overloaded;

/// What a client shows when it opens a connection.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// Nothing yet.
    None,
    /// Something that is no token.
    Malformed,
    /// A token.
    Token(TokenHash),
}

/// A new session.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) you: You,
    pub(super) token: Token,
    /// When the session ends at the latest, in milliseconds since 1970.
    pub(super) expires: u64,
}

/// Somebody as they are told about themselves.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct You {
    pub(super) name: String,
    pub(super) guest: bool,
    pub(super) operator: bool,
}

/// Why somebody is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInError {
    /// Somebody has the name, or one that looks the same.
    NameTaken,
    /// No such name, or another password.
    BadCredentials,
    /// More is asked for than can be done; try again later.
    Overloaded,
    /// It cannot be written.
    Storage,
}

impl SignInError {
    /// As it is told to a client.
    pub(super) fn event_error(self) -> EventError {
        match self {
            Self::NameTaken => {
                EventError::new("name_taken", "Somebody has this name already, or one that looks like it.")
            }
            Self::BadCredentials => EventError::new("bad_credentials", "The name or the password is wrong."),
            Self::Overloaded => EventError::overloaded(),
            Self::Storage => EventError::storage(),
        }
    }
}

/// Connections and topics as a backplane reaches them. What one thread asks for arrives in that order.
pub(super) trait Delivery: Send + Sync {
    /// From here on, the connection gets what is published to the topic.
    fn subscribe(&self, connection: ConnectionId, topic: &str);

    /// From here on, it does not.
    fn unsubscribe(&self, connection: ConnectionId, topic: &str);

    /// Sends one connection a text that it asked for. Never compressed: some answers hold what is for one person only
    /// beside what others have said, and their length must not tell how much the two have in common.
    fn send(&self, connection: ConnectionId, text: &str);

    /// Sends a text to all who are subscribed to a topic, but for one connection if so wanted.
    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>);

    /// Closes a connection.
    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// Whether so much is underway that nothing more should be made for now.
    fn is_overloaded(&self) -> bool;
}

impl Delivery for Remote {
    fn subscribe(&self, connection: ConnectionId, topic: &str) {
        Remote::subscribe(self, connection, topic);
    }

    fn unsubscribe(&self, connection: ConnectionId, topic: &str) {
        Remote::unsubscribe(self, connection, topic);
    }

    fn send(&self, connection: ConnectionId, text: &str) {
        Remote::answer(self, connection, Prepared::text(text).uncompressed());
    }

    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>) {
        match except {
            None => Remote::publish(self, topic, Message::Text(text)),
            Some(connection) => Remote::publish_to_others(self, connection, topic, Message::Text(text)),
        }
    }

    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        Remote::close(self, connection, code, reason);
    }

    fn is_overloaded(&self) -> bool {
        Remote::is_overloaded(self)
    }
}
