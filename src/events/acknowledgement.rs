//! The acknowledgement that a peer wants of its event, given by a handler now or by another thread later.

use std::{fmt, sync::Arc};

use serde::Serialize;

use super::{Parser, Socket, ToPeer, socket::encode};
use crate::{ConnectionId, Remote};

/// The acknowledgement of one event, to be given once, now or later, from any thread.
///
/// If the peer wants none, nothing is sent. If it is dropped, the peer is told that there is no answer.
pub struct Ack<P: Parser> {
    /// `None` once it is given, and if the peer wants none.
    wanted: Option<Wanted<P>>,
}

struct Wanted<P: Parser> {
    remote: Remote,
    connection: ConnectionId,
    id: u64,
    parser: Arc<P>,
}

/// The data of the event `error`.
#[derive(Debug, Serialize)]
pub(super) struct Refused<'a> {
    pub(super) event: Option<&'a str>,
    pub(super) message: &'a str,
}

impl<P: Parser> Ack<P> {
    /// Creates that of an event with this `id`, of this connection.
    pub(super) fn of<S>(id: Option<u64>, socket: &mut Socket<'_, S, P>) -> Self {
        let wanted = id.map(|id| Wanted {
            remote: socket.context.remote(),
            connection: socket.id(),
            id,
            parser: Arc::clone(socket.parser),
        });
        Self { wanted }
    }

    /// Returns whether the peer wants an acknowledgement.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Acknowledges the event with an answer.
    pub fn send<D: Serialize + ?Sized>(mut self, answer: &D) {
        self.give(Ok(answer));
    }

    /// Tells the peer that the event failed, and why.
    pub fn fail(mut self, why: &str) {
        self.give::<()>(Err(why));
    }

    fn give<D: Serialize + ?Sized>(&mut self, answer: Result<&D, &str>) {
        if let Some(Wanted { remote, connection, id, parser }) = self.wanted.take() {
            encode(&*parser, ToPeer::Acknowledgement { id, answer }, |message| remote.answer(connection, message));
        }
    }
}

impl<P: Parser> Drop for Ack<P> {
    fn drop(&mut self) {
        self.give::<()>(Err("no answer"));
    }
}

impl<P: Parser> fmt::Debug for Ack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack").field("id", &self.wanted.as_ref().map(|wanted| wanted.id)).finish()
    }
}
