//! All connections of a server of events, for any thread.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{
    JsonArrays, Parser, Socket, ToPeer,
    socket::{EVERYONE, encode},
};
use crate::{CloseCode, ConnectionId, Remote};

/// A function of another thread for a connection.
pub(super) type Told<S, P> = Box<dyn FnOnce(&mut Socket<'_, S, P>) + Send>;

/// A handle to all connections and rooms of a server of events, for any thread. Cheap to clone.
pub struct Emitter<S = (), P: Parser = JsonArrays> {
    remote: Remote<Told<S, P>>,
    parser: Arc<P>,
}

impl<S: 'static, P: Parser> Emitter<S, P> {
    pub(super) fn new(remote: Remote<Told<S, P>>, parser: Arc<P>) -> Self {
        Self { remote, parser }
    }

    /// Sends an event to all connections.
    pub fn emit<D: Serialize + ?Sized>(&self, name: &str, data: &D) {
        self.publish(EVERYONE, None, name, data);
    }

    /// Returns the connections in a room, to send them events.
    #[must_use]
    pub fn to(&self, room: &str) -> Members<'_, S, P> {
        Members { emitter: self, topic: topic_of(room), except: None }
    }

    /// Sends an event to one connection. Does nothing if it does not exist.
    pub fn emit_to<D: Serialize + ?Sized>(&self, id: ConnectionId, name: &str, data: &D) {
        encode(&*self.parser, ToPeer::Event { name, data, id: None }, |message| self.remote.send(id, message));
    }

    /// Lets one connection enter a room: see [`Socket::join`].
    pub fn join(&self, id: ConnectionId, room: &str) {
        let room = room.to_owned();
        self.with(id, move |socket| {
            socket.join(&room);
        });
    }

    /// Lets one connection leave a room.
    pub fn leave(&self, id: ConnectionId, room: &str) {
        let room = room.to_owned();
        self.with(id, move |socket| socket.leave(&room));
    }

    /// Begins the closing handshake of one connection: see [`Remote::close`].
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.remote.close(id, code, reason);
    }

    /// Calls `run` with a connection on its worker's thread. Drops it if the connection is not open by then.
    pub fn with(&self, id: ConnectionId, run: impl FnOnce(&mut Socket<'_, S, P>) + Send + 'static) {
        self.remote.tell(id, Box::new(run));
    }

    /// Returns how many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.remote.connections()
    }

    fn publish<D: Serialize + ?Sized>(&self, topic: &str, except: Option<ConnectionId>, name: &str, data: &D) {
        encode(&*self.parser, ToPeer::Event { name, data, id: None }, |message| match except {
            Some(id) => self.remote.publish_to_others(id, topic, message),
            None => self.remote.publish(topic, message),
        });
    }
}

/// The connections in a room: see [`Emitter::to`].
#[derive(Debug)]
pub struct Members<'a, S, P: Parser> {
    emitter: &'a Emitter<S, P>,
    topic: String,
    except: Option<ConnectionId>,
}

impl<S: 'static, P: Parser> Members<'_, S, P> {
    /// Leaves one connection out.
    #[must_use]
    pub fn except(mut self, id: ConnectionId) -> Self {
        self.except = Some(id);
        self
    }

    /// Sends them an event.
    pub fn emit<D: Serialize + ?Sized>(&self, name: &str, data: &D) {
        self.emitter.publish(&self.topic, self.except, name, data);
    }
}

impl<S, P: Parser> Clone for Emitter<S, P> {
    fn clone(&self) -> Self {
        Self { remote: self.remote.clone(), parser: Arc::clone(&self.parser) }
    }
}

impl<S, P: Parser> fmt::Debug for Emitter<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Returns the topic of a room, which is that of no other room and not that of all connections.
pub(super) fn topic_of(room: &str) -> String {
    format!("events/{room}")
}
