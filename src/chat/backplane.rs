//! The seam under the chat: log, presence and fan-out ([`Backplane`]), and what a backplane reaches ([`Exchange`]).
//!
//! Nothing above it may assume that all people are connected to this process.

use serde::{Deserialize, Serialize};

use super::Name;
use crate::{CloseCode, ConnectionId, Message, Prepared, Remote};

/// The lobby: its ordered log, who is there, and the way of each message to all of them.
///
/// Every implementation calls its [`Exchange`] in the order of the log: each connection sees the lobby's events in
/// that order, its own `welcome` first.
pub trait Backplane: Send + Sync {
    /// Somebody comes in: is told `welcome`, and everyone else that they `joined`.
    ///
    /// # Errors
    /// [`EnterError`]; then nobody is told anything.
    fn enter(&self, arrival: &Arrival<'_>) -> Result<(), EnterError>;

    /// Somebody who is in says something: it is in the log, and on its way to everyone.
    ///
    /// # Errors
    /// [`SayError`]; then nothing was said.
    fn say(&self, connection: ConnectionId, text: &str) -> Result<Said, SayError>;

    /// A connection is gone. Does nothing where it is not in.
    fn leave(&self, connection: ConnectionId);
}

/// Connections and topics as a backplane reaches them. What one thread asks for arrives in that order.
pub trait Exchange: Send + Sync {
    /// From here on, the connection gets what is published to the topic.
    fn subscribe(&self, connection: ConnectionId, topic: &str);

    /// Sends one connection a text that it asked for. Never compressed: a welcome holds a secret beside what others have
    /// said, and its length must not tell how much the two have in common.
    fn answer(&self, connection: ConnectionId, text: &str);

    /// Sends a text to all who are subscribed to a topic.
    fn publish(&self, topic: &str, text: &str);

    /// Closes a connection.
    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// Whether nothing new should be begun for now.
    fn is_overloaded(&self) -> bool;
}

impl Exchange for Remote {
    fn subscribe(&self, connection: ConnectionId, topic: &str) {
        Remote::subscribe(self, connection, topic);
    }

    fn answer(&self, connection: ConnectionId, text: &str) {
        Remote::answer(self, connection, Prepared::text(text).uncompressed());
    }

    fn publish(&self, topic: &str, text: &str) {
        Remote::publish(self, topic, Message::Text(text));
    }

    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        Remote::close(self, connection, code, reason);
    }

    fn is_overloaded(&self) -> bool {
        Remote::is_overloaded(self)
    }
}

/// Somebody who wants to come in.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// Under this name.
    pub name: &'a Name,
    /// What an earlier welcome gave, as proof that the name is theirs. One that is not known is no proof and no harm.
    pub token: Option<&'a str>,
    /// The last message that they saw.
    pub since: Option<&'a Since>,
    /// Over this connection.
    pub connection: ConnectionId,
}

/// A place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Since {
    /// Of which log.
    pub epoch: String,
    /// The message.
    pub seq: u64,
}

/// A message that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Its number.
    pub seq: u64,
    /// When, in milliseconds since 1970; never before the message in front of it.
    pub time: u64,
}

/// Why somebody cannot come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnterError {
    /// Somebody else has the name.
    NameTaken,
    /// The server does not keep up; try again later.
    Overloaded,
}

/// Why something was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SayError {
    /// The connection is not in, or no longer.
    NotIn,
    /// The server does not keep up; try again later.
    Overloaded,
}
