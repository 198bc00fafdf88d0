//! What an app can do while one of its connections is being handled.

use super::{ConnectionId, Message, Remote, hub::Hub};
use crate::{CloseCode, CloseFrame, SendError, reactor::Key};

/// The connection being handled, and through it the others.
///
/// A connection sees what is sent and published here in the order of the calls. Across workers, order holds per
/// publisher only.
#[derive(Debug)]
pub struct Context<'a> {
    hub: &'a mut Hub,
    key: Key,
    /// Whether what is sent may be compressed.
    compress: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(hub: &'a mut Hub, key: Key) -> Self {
        Self { hub, key, compress: true }
    }

    /// The same, for messages that must go out as they are, whatever was agreed on: those that mix a secret with what an
    /// attacker may choose, since the length of a compressed message tells how much the two have in common.
    ///
    /// ```
    /// # use switchboard::{Context, Message};
    /// # fn f(mut context: Context<'_>) {
    /// context.uncompressed().send(Message::Text("a token, and what somebody searched for"));
    /// # }
    /// ```
    pub fn uncompressed(&mut self) -> Context<'_> {
        Context { hub: self.hub, key: self.key, compress: false }
    }

    /// This connection's name: it is never given again.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.hub.id(self.key)
    }

    /// Sends a message to this connection. Nothing happens once it is closing.
    pub fn send(&mut self, message: Message<'_>) {
        self.hub.send(self.key, message, self.compress);
    }

    /// Sends a message to another connection, on whichever worker. Nothing happens where there is no such one; one
    /// that is too slow is treated as [`Config::slow_subscriber`](super::Config::slow_subscriber) says.
    pub fn send_to(&mut self, id: ConnectionId, message: Message<'_>) {
        let prepared = message.prepared();
        let message = if self.compress { prepared } else { prepared.uncompressed() };
        if id.worker == self.hub.worker {
            self.hub.send_unsolicited(id.key, &message);
        } else {
            self.hub.flush_outgoing();
            self.hub.remote.send(id, message);
        }
    }

    /// Publishes to all who subscribed to `topic`, on all workers, this connection too if it did.
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, None, self.compress);
    }

    /// Publishes to all who subscribed to `topic`, on all workers, but to this connection.
    pub fn publish_to_others(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, Some(self.key), self.compress);
    }

    /// From now on, this connection gets what is published to `topic`.
    pub fn subscribe(&mut self, topic: &str) {
        self.hub.subscribe(self.key, topic);
    }

    /// From now on, it does not.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.hub.unsubscribe(self.key, topic);
    }

    /// Begins the closing handshake, behind all that was sent. No message comes any more; once the peer has answered
    /// or has failed to, [`App::closed`](super::App::closed) is called.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`] and [`SendError::ReasonTooLong`] (123 bytes); the connection stays open.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.hub.close(self.key, Some(CloseFrame { code, reason }))
    }

    /// Reads nothing more from this connection until [`Remote::resume`].
    pub fn pause(&mut self) {
        if let Some(link) = self.hub.links.get_mut(self.key) {
            link.paused = true;
        }
    }

    /// A handle for other threads, and for later. What is sent by it is compressed as agreed, also from
    /// [`uncompressed`](Self::uncompressed): give it [`Prepared::uncompressed`](crate::Prepared::uncompressed) messages. What is asked of it comes behind what was published here, but
    /// beside what was sent here: it takes the way through the workers' mailboxes.
    pub fn remote(&mut self) -> &Remote {
        self.hub.flush_outgoing();
        &self.hub.remote
    }
}
