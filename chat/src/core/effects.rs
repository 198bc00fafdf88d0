//! What came of the work of a transaction: nobody hears of it until it is committed.

use super::{
    super::{
        backplane::Exchange,
        store::{PersonId, RoomId},
    },
    keeper::Keeper,
};
use switchboard::{CloseCode, ConnectionId};

/// One thing that somebody hears of.
pub(super) enum Effect {
    Answer(ConnectionId, String),
    Publish {
        topic: Topic,
        text: String,
        except: Option<ConnectionId>,
    },
    Subscribe(ConnectionId, Topic),
    Unsubscribe(ConnectionId, Topic),
    Close(ConnectionId, CloseCode, &'static str),
    /// Something that must not be begun before.
    Do(Box<dyn FnOnce() + Send>),
}

/// Whom something is published to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// All who are signed in.
    Everyone,
    /// All connections of somebody.
    Person(PersonId),
    /// All connections that follow a room.
    Room(RoomId),
}

impl Topic {
    fn name(self) -> String {
        match self {
            Self::Everyone => "everyone".to_owned(),
            Self::Person(id) => format!("person {id}"),
            Self::Room(id) => format!("room {id}"),
        }
    }
}

impl Keeper {
    /// Shows what came of the work, now that it is committed.
    pub(super) fn show(&mut self, exchange: &impl Exchange) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Answer(connection, text) => exchange.answer(connection, &text),
                Effect::Publish { topic, text, except } => exchange.publish(&topic.name(), &text, except),
                Effect::Subscribe(connection, topic) => exchange.subscribe(connection, &topic.name()),
                Effect::Unsubscribe(connection, topic) => exchange.unsubscribe(connection, &topic.name()),
                Effect::Close(connection, code, reason) => exchange.close(connection, code, reason),
                Effect::Do(begin) => begin(),
            }
        }
    }

    pub(super) fn answer(&mut self, connection: ConnectionId, text: String) {
        self.effects.push(Effect::Answer(connection, text));
    }

    pub(super) fn publish(&mut self, topic: Topic, text: String, except: Option<ConnectionId>) {
        self.effects.push(Effect::Publish { topic, text, except });
    }

    /// All connections of somebody follow a room from here on.
    pub(super) fn follow(&mut self, person: PersonId, room: RoomId) {
        let connections = self.presence.connections_of(person).iter();
        self.effects.extend(connections.map(|&connection| Effect::Subscribe(connection, Topic::Room(room))));
    }

    /// No connection of somebody follows a room any more.
    pub(super) fn unfollow(&mut self, person: PersonId, room: RoomId) {
        let connections = self.presence.connections_of(person).iter();
        self.effects.extend(connections.map(|&connection| Effect::Unsubscribe(connection, Topic::Room(room))));
    }
}
