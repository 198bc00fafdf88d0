//! What a command does to connections.

use super::{
    super::{
        store::{RoomId, UserId},
        wire::{EventError, EventId},
    },
    answers::Answer,
    client::ClientId,
    pushes::Push,
};

/// One effect of a command. `C` is what is told: a [`Content`], or its encoded form.
pub(crate) enum Effect<C = Content> {
    Tell(Audience, C),
    Follow(ClientId, Topic),
    Unfollow(ClientId, Topic),
    Close(ClientId, Closing),
}

/// What a connection is told.
#[derive(Debug)]
pub(crate) enum Content {
    /// The reply to an event. Success is told only to a client that waits for it, under an id.
    Reply(Option<EventId>, Result<Answer, EventError>),
    Push(Push),
}

/// The connections that are told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    One(ClientId),
    /// All connections that follow a topic, except one if given.
    Followers(Topic, Option<ClientId>),
}

/// What connections follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    /// What all connections follow that are signed in.
    Everyone,
    /// What all connections of one user follow.
    User(UserId),
    /// What the connections follow that show a room.
    Room(RoomId),
}

/// Why the core closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// It has no session, or no longer.
    NoSession,
    /// Its user has too many connections.
    TooManyConnections,
    /// Its user connects too often.
    ConnectedTooOften,
    /// The core cannot serve it now.
    TryAgainLater,
    /// Too many of its events were refused. Nothing more is read from it.
    TooManyRefusals,
}

impl<C> Effect<C> {
    /// Returns the same effect with what `change` makes of its content.
    pub(crate) fn map<D>(self, change: impl FnOnce(C) -> D) -> Effect<D> {
        match self {
            Self::Tell(audience, content) => Effect::Tell(audience, change(content)),
            Self::Follow(connection, topic) => Effect::Follow(connection, topic),
            Self::Unfollow(connection, topic) => Effect::Unfollow(connection, topic),
            Self::Close(connection, closing) => Effect::Close(connection, closing),
        }
    }
}
