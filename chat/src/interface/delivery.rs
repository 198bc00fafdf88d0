//! How the core reaches connections: a [`Delivery`] for a wire format over a [`Transport`] of texts.

use std::{cell::RefCell, sync::Arc};

use switchboard::{Batch, CloseCode, ConnectionId, Message, Prepared, Remote};

use super::{
    effects::{Content, Effect},
    requests::{Callbacks, Outcome, RequestId},
};

/// The core's access to connections, in one wire format. The calls take effect in order, with the next call of
/// [`post`](Self::post).
pub(crate) trait Delivery: Send {
    /// A [`Content`] in the format.
    type Encoded;

    /// Encodes what is told, once for all who are told it.
    fn encode(&self, content: Content) -> Self::Encoded;

    /// Returns how many bytes are sent to each connection.
    fn bytes(encoded: &Self::Encoded) -> usize;

    /// Returns the length of an answer, also if it is not sent because the client does not wait for it. Everything
    /// else has none.
    fn answer_bytes(encoded: &Self::Encoded) -> usize;

    /// Carries out an effect, after the commit.
    fn deliver(&self, effect: Effect<Self::Encoded>);

    /// Reads a connection again that waits: see [`Flow::Pause`](super::super::backlog::Flow::Pause).
    fn resume(&self, connection: ConnectionId);

    /// Lets all calls since the last one take effect, together.
    fn post(&self);

    /// Passes the outcome of a request on, after its effects were posted.
    fn complete(&self, request: RequestId, outcome: Outcome);

    /// Returns whether the workers have so much to send that the core should wait.
    fn is_overloaded(&self) -> bool;
}

/// Connections that are sent texts. The calls take effect in order, with the next call of [`post`](Self::post).
pub(crate) trait Transport: Send {
    /// Subscribes a connection to a topic.
    fn subscribe(&self, connection: ConnectionId, topic: &str);

    /// Ends a connection's subscription to a topic.
    fn unsubscribe(&self, connection: ConnectionId, topic: &str);

    /// Sends a text to one connection, without compression: some texts contain private data beside texts of other
    /// users, and the compressed length would reveal how much the two have in common.
    fn send(&self, connection: ConnectionId, text: &str);

    /// Sends a text to all subscribers of a topic, except one connection if given.
    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>);

    /// See [`Delivery::resume`].
    fn resume(&self, connection: ConnectionId);

    /// Closes a connection that goes on sending whatever it is told, and reads nothing more from it.
    fn shut(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// Closes a connection.
    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// See [`Delivery::post`].
    fn post(&self);

    /// See [`Delivery::complete`].
    fn complete(&self, request: RequestId, outcome: Outcome);

    /// See [`Delivery::is_overloaded`].
    fn is_overloaded(&self) -> bool;
}

/// The connections of a server.
pub(crate) struct RemoteTransport {
    remote: Remote,
    batch: RefCell<Batch>,
    callbacks: Arc<Callbacks>,
}

impl RemoteTransport {
    pub(crate) fn new(remote: &Remote, callbacks: Arc<Callbacks>) -> Self {
        Self { remote: remote.clone(), batch: RefCell::new(remote.batch()), callbacks }
    }
}

impl Transport for RemoteTransport {
    fn subscribe(&self, connection: ConnectionId, topic: &str) {
        self.batch.borrow_mut().subscribe(connection, topic);
    }

    fn unsubscribe(&self, connection: ConnectionId, topic: &str) {
        self.batch.borrow_mut().unsubscribe(connection, topic);
    }

    fn send(&self, connection: ConnectionId, text: &str) {
        self.batch.borrow_mut().answer(connection, Prepared::text(text).uncompressed());
    }

    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>) {
        match except {
            None => self.batch.borrow_mut().publish(topic, Message::Text(text)),
            Some(connection) => self.batch.borrow_mut().publish_to_others(connection, topic, Message::Text(text)),
        }
    }

    fn resume(&self, connection: ConnectionId) {
        self.batch.borrow_mut().resume(connection);
    }

    fn shut(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.batch.borrow_mut().shut(connection, code, reason);
    }

    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.batch.borrow_mut().close(connection, code, reason);
    }

    fn post(&self) {
        self.batch.borrow_mut().post();
    }

    fn complete(&self, request: RequestId, outcome: Outcome) {
        self.callbacks.complete(request, outcome);
    }

    fn is_overloaded(&self) -> bool {
        self.remote.waiting_bytes() >= MAX_WAITING_BYTES
    }
}

/// Bytes that wait for a worker, from which on the core waits, too: so no text waits behind more than these, such as
/// the replies of a client that asks for as many as it can.
const MAX_WAITING_BYTES: usize = 512 << 10;
