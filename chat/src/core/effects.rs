//! The effects of a transaction on connections. They are held back until the commit.

use switchboard::{CloseCode, ConnectionId};

use super::super::{
    interface::Delivery,
    store::{RoomId, UserId},
};

/// One effect of a command.
pub(super) enum Effect {
    Send(ConnectionId, String),
    Publish {
        topic: Topic,
        text: String,
        except: Option<ConnectionId>,
    },
    Subscribe(ConnectionId, Topic),
    Unsubscribe(ConnectionId, Topic),
    Close(ConnectionId, CloseCode, &'static str),
    /// Closes the connection, and reads nothing more from it.
    Shut(ConnectionId, CloseCode, &'static str),
    /// Work that must not begin before the commit.
    Do(Box<dyn FnOnce() + Send>),
}

/// The connections to which a text is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// All connections that are signed in.
    Everyone,
    /// All connections of one user.
    User(UserId),
    /// All connections that follow a room.
    Room(RoomId),
}

impl Effect {
    /// Returns the length of a reply.
    pub(super) fn reply_bytes(&self) -> usize {
        match self {
            Self::Send(_, text) => text.len(),
            Self::Publish { .. }
            | Self::Subscribe(..)
            | Self::Unsubscribe(..)
            | Self::Close(..)
            | Self::Shut(..)
            | Self::Do(_) => 0,
        }
    }

    /// Carries out the effect, after the commit.
    pub(super) fn deliver(self, delivery: &impl Delivery) {
        match self {
            Self::Send(connection, text) => delivery.send(connection, &text),
            Self::Publish { topic, text, except } => delivery.publish(&topic.name(), &text, except),
            Self::Subscribe(connection, topic) => delivery.subscribe(connection, &topic.name()),
            Self::Unsubscribe(connection, topic) => delivery.unsubscribe(connection, &topic.name()),
            Self::Close(connection, code, reason) => delivery.close(connection, code, reason),
            Self::Shut(connection, code, reason) => delivery.shut(connection, code, reason),
            Self::Do(work) => work(),
        }
    }
}

impl Topic {
    fn name(self) -> String {
        match self {
            Self::Everyone => "everyone".to_owned(),
            Self::User(id) => format!("user {id}"),
            Self::Room(id) => format!("room {id}"),
        }
    }
}
