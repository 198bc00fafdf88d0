//! The actions of an app during a callback for one of its connections.

use super::{ConnectionId, Remote, hub::Hub};
use crate::{CloseCode, CloseFrame, Message, SendError, reactor::Key};

/// Access to the connection of a callback, and through it to other connections and topics.
///
/// A connection receives messages sent and published here in the order of the calls. Across workers, order holds per
/// publisher only.
///
/// ```rust
/// use switchboard::{CloseCode, Context, Message, SendError};
///
/// /// Is called by `App::message`.
/// fn command(text: &str, context: &mut Context<'_>) -> Result<(), SendError> {
///     match text.split_once(' ') {
///         Some(("join", room)) => context.subscribe(room),
///         Some((room, text)) => context.publish(room, Message::Text(text)),
///         None => context.close(CloseCode::NORMAL_CLOSURE, "bye")?,
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Context<'a> {
    hub: &'a mut Hub,
    key: Key,
    /// Whether messages may be compressed.
    compress: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(hub: &'a mut Hub, key: Key) -> Self {
        Self { hub, key, compress: true }
    }

    /// Returns a context whose messages are sent without compression.
    ///
    /// Use it for a message that contains both a secret and text that an attacker may choose: the length of a
    /// compressed message reveals how much the two have in common.
    ///
    /// ```
    /// # use switchboard::{Context, Message};
    /// # fn f(mut context: Context<'_>) {
    /// context.uncompressed().send(Message::Text("a token, and the words of a search"));
    /// # }
    /// ```
    pub fn uncompressed(&mut self) -> Context<'_> {
        Context { hub: self.hub, key: self.key, compress: false }
    }

    /// Returns this connection's id.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.hub.id(self.key)
    }

    /// Sends a message to this connection. Does nothing once it is closing.
    pub fn send(&mut self, message: Message<'_>) {
        self.hub.send(self.key, message, self.compress);
    }

    /// Sends a message to another connection, on any worker. Does nothing if it does not exist.
    /// [`Config::slow_subscriber`](super::Config::slow_subscriber) applies if it is too slow.
    pub fn send_to(&mut self, id: ConnectionId, message: Message<'_>) {
        let prepared = message.to_prepared();
        let message = if self.compress { prepared } else { prepared.uncompressed() };
        if id.worker == self.hub.worker {
            self.hub.send_unsolicited(id.key, &message);
        } else {
            self.hub.flush_outgoing();
            self.hub.remote.send(id, message);
            self.hub.note_posted();
        }
    }

    /// Publishes a message to all subscribers of `topic`, on all workers; to this connection too if it subscribed.
    pub fn publish(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, None, self.compress);
    }

    /// Publishes a message to all subscribers of `topic`, on all workers, except this connection.
    pub fn publish_to_others(&mut self, topic: &str, message: Message<'_>) {
        self.hub.publish(topic, message, Some(self.key), self.compress);
    }

    /// Subscribes this connection to `topic`: it gets later publications, none from before.
    pub fn subscribe(&mut self, topic: &str) {
        self.hub.subscribe(self.key, topic);
    }

    /// Unsubscribes this connection from `topic`.
    pub fn unsubscribe(&mut self, topic: &str) {
        self.hub.unsubscribe(self.key, topic);
    }

    /// Begins the closing handshake, after all messages sent so far. The app gets no further message of this
    /// connection. [`App::closed`](super::App::closed) is called once the peer has answered or
    /// [`Config::close_timeout`] has passed.
    ///
    /// # Errors
    /// Returns [`SendError::InvalidCloseCode`], or [`SendError::ReasonTooLong`] past 123 bytes. The connection then
    /// stays open.
    ///
    /// [`Config::close_timeout`]: super::Config::close_timeout
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.hub.close(self.key, Some(CloseFrame { code, reason }))
    }

    /// As [`close`](Self::close), but reads nothing more, not even the peer's Close frame. This is for a peer that goes
    /// on sending whatever it is told: what it sends costs nothing more. The connection ends after
    /// [`Config::close_timeout`] with [`End::NoClose`](super::End::NoClose).
    ///
    /// # Errors
    /// As [`close`](Self::close).
    ///
    /// [`Config::close_timeout`]: super::Config::close_timeout
    pub fn shut(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.hub.shut(self.key, CloseFrame { code, reason })
    }

    /// Stops reading from this connection until [`Remote::resume`]. Deadlines for the peer's silence do not run
    /// meanwhile.
    pub fn pause(&mut self) {
        if let Some(link) = self.hub.links.get_mut(self.key) {
            link.paused = true;
        }
    }

    /// Returns a handle for other threads and later use.
    ///
    /// Its commands travel through the workers' mailboxes. They come after everything published here, but have no fixed
    /// order relative to messages sent here. [`uncompressed`](Self::uncompressed) has no effect on it: pass it
    /// [`Prepared::uncompressed`](crate::Prepared::uncompressed) messages instead.
    pub fn remote(&mut self) -> &Remote {
        self.hub.flush_outgoing();
        self.hub.note_posted();
        &self.hub.remote
    }
}
