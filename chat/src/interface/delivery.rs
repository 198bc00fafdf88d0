//! How the core reaches connections: a [`Delivery`] for a wire format over a [`Transport`] of texts.

use std::{cell::RefCell, sync::Arc};

use switchboard::{Batch, CloseCode, ConnectionId, Message, Prepared, Remote};

use super::{
    client::{ClientId, RunId},
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
    fn resume(&self, connection: ClientId);

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
    fn subscribe(&self, connection: ClientId, topic: &str);

    /// Ends a connection's subscription to a topic.
    fn unsubscribe(&self, connection: ClientId, topic: &str);

    /// Sends a text to one connection, without compression: some texts contain private data beside texts of other
    /// users, and the compressed length would reveal how much the two have in common.
    fn send(&self, connection: ClientId, text: &str);

    /// Sends a text to all subscribers of a topic, except one connection if given.
    fn publish(&self, topic: &str, text: &str, except: Option<ClientId>);

    /// See [`Delivery::resume`].
    fn resume(&self, connection: ClientId);

    /// Closes a connection that goes on sending whatever it is told, and reads nothing more from it.
    fn shut(&self, connection: ClientId, code: CloseCode, reason: &str);

    /// Closes a connection.
    fn close(&self, connection: ClientId, code: CloseCode, reason: &str);

    /// See [`Delivery::post`].
    fn post(&self);

    /// See [`Delivery::complete`].
    fn complete(&self, request: RequestId, outcome: Outcome);

    /// See [`Delivery::is_overloaded`].
    fn is_overloaded(&self) -> bool;
}

/// The connections of a server.
pub(crate) struct RemoteTransport {
    run: RunId,
    remote: Remote,
    batch: RefCell<Batch>,
    callbacks: Arc<Callbacks>,
}

impl RemoteTransport {
    /// `run` is the run to which the server's clients are connected.
    pub(crate) fn new(run: RunId, remote: &Remote, callbacks: Arc<Callbacks>) -> Self {
        Self { run, remote: remote.clone(), batch: RefCell::new(remote.batch()), callbacks }
    }

    /// Does something to a connection of the server. Clients that are not connected to it have none.
    fn with(&self, client: ClientId, act: impl FnOnce(&mut Batch, ConnectionId)) {
        if let Some(connection) = client.connection_to(self.run) {
            act(&mut self.batch.borrow_mut(), connection);
        }
    }
}

impl Transport for RemoteTransport {
    fn subscribe(&self, client: ClientId, topic: &str) {
        self.with(client, |batch, connection| batch.subscribe(connection, topic));
    }

    fn unsubscribe(&self, client: ClientId, topic: &str) {
        self.with(client, |batch, connection| batch.unsubscribe(connection, topic));
    }

    fn send(&self, client: ClientId, text: &str) {
        self.with(client, |batch, connection| batch.answer(connection, Prepared::text(text).uncompressed()));
    }

    fn publish(&self, topic: &str, text: &str, except: Option<ClientId>) {
        let message = Message::Text(text);
        match except.and_then(|client| client.connection_to(self.run)) {
            None => self.batch.borrow_mut().publish(topic, message),
            Some(connection) => self.batch.borrow_mut().publish_to_others(connection, topic, message),
        }
    }

    fn resume(&self, client: ClientId) {
        self.with(client, |batch, connection| batch.resume(connection));
    }

    fn shut(&self, client: ClientId, code: CloseCode, reason: &str) {
        self.with(client, |batch, connection| batch.shut(connection, code, reason));
    }

    fn close(&self, client: ClientId, code: CloseCode, reason: &str) {
        self.with(client, |batch, connection| batch.close(connection, code, reason));
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
