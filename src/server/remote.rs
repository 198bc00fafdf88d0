//! Reaching connections and topics from any thread.

use std::{fmt, str::FromStr, sync::Arc};

use crate::{
    CloseCode, Prepared,
    reactor::{Key, Mailbox},
};

/// A connection's name: worker, slot and generation. Never given twice in the life of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(super) worker: u16,
    pub(super) key: Key,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.key.slot, self.key.generation)
    }
}

/// Reads what [`Display`](fmt::Display) has written, such as an id in a log or in a request of an administrator.
impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.');
        let mut next = || parts.next().filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        let id = Self {
            worker: next().and_then(|part| part.parse().ok()).ok_or(InvalidConnectionId)?,
            key: Key {
                slot: next().and_then(|part| part.parse().ok()).ok_or(InvalidConnectionId)?,
                generation: next().and_then(|part| part.parse().ok()).ok_or(InvalidConnectionId)?,
            },
        };
        if parts.next().is_none() { Ok(id) } else { Err(InvalidConnectionId) }
    }
}

/// The text is not a connection's id: `worker.slot.generation`, three decimal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidConnectionId;

impl fmt::Display for InvalidConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection's id is three decimal numbers: worker.slot.generation")
    }
}

impl std::error::Error for InvalidConnectionId {}

/// A handle that reaches every connection and topic of a server, from any thread. Cheap to clone.
///
/// All that one thread asks for is executed in that order by each worker.
#[derive(Clone)]
pub struct Remote(Arc<[Box<dyn CommandMailbox>]>);

/// What is asked of a worker, whatever its app.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Arc<[Publication]>),
    Send(Key, Prepared),
    Answer(Key, Prepared),
    Subscribe(Key, Box<str>),
    Unsubscribe(Key, Box<str>),
    Close(Key, CloseCode, Box<str>),
    Resume(Key),
    Stop,
}

/// A message for the subscribers of a topic.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) topic: Box<str>,
    pub(super) message: Prepared,
    /// Who does not get it.
    pub(super) except: Option<ConnectionId>,
}

impl Publication {
    /// Who among the connections of a worker does not get it.
    pub(super) fn except_at(&self, worker: u16) -> Option<Key> {
        self.except.filter(|id| id.worker == worker).map(|id| id.key)
    }
}

/// A worker's mailbox, whatever else it takes.
trait CommandMailbox: Send + Sync {
    fn post(&self, command: Command, bytes: usize);
    fn is_full(&self) -> bool;
}

impl<M: From<Command> + Send> CommandMailbox for Mailbox<M> {
    fn post(&self, command: Command, bytes: usize) {
        // A worker that has ended has no connections left that the order could be for.
        let _ = Mailbox::post(self, command.into(), bytes);
    }

    fn is_full(&self) -> bool {
        Mailbox::is_full(self)
    }
}

impl Remote {
    pub(super) fn new<M: From<Command> + Send + 'static>(mailboxes: &[Mailbox<M>]) -> Self {
        Self(mailboxes.iter().map(|mailbox| Box::new(mailbox.clone()) as Box<dyn CommandMailbox>).collect())
    }

    pub(super) fn workers(&self) -> usize {
        self.0.len()
    }

    /// Publishes to all who subscribed to `topic`: a [`Message`](super::Message), or one that was prepared.
    pub fn publish(&self, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(Publication { topic: topic.into(), message: message.into(), except: None });
    }

    /// Publishes to all who subscribed to `topic` but one connection.
    pub fn publish_to_others(&self, id: ConnectionId, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(Publication { topic: topic.into(), message: message.into(), except: Some(id) });
    }

    fn publish_everywhere(&self, publication: Publication) {
        let batch: Arc<[_]> = [publication].into();
        for worker in self.0.iter() {
            worker.post(Command::Publish(Arc::clone(&batch)), weight(&batch));
        }
    }

    /// Publishes to the subscribers on all workers but one, who did so for its own.
    pub(super) fn publish_from(&self, worker: u16, batch: &Arc<[Publication]>) {
        for (number, other) in self.0.iter().enumerate() {
            if number != usize::from(worker) {
                other.post(Command::Publish(Arc::clone(batch)), weight(batch));
            }
        }
    }

    /// Sends a message to one connection. Nothing happens where there is no such one; one that is too slow is treated
    /// as [`Config::slow_subscriber`](super::Config::slow_subscriber) says.
    pub fn send(&self, id: ConnectionId, message: impl Into<Prepared>) {
        let message = message.into();
        let bytes = COMMAND_BYTES + message.frame().len();
        self.post(id, Command::Send(id.key, message), bytes);
    }

    /// Sends a message to one connection as the answer to what it asked: it is never too slow for that. Instead,
    /// nothing more is read from it while more than [`Config::max_queued_bytes`](super::Config::max_queued_bytes) wait.
    pub fn answer(&self, id: ConnectionId, message: impl Into<Prepared>) {
        let message = message.into();
        let bytes = COMMAND_BYTES + message.frame().len();
        self.post(id, Command::Answer(id.key, message), bytes);
    }

    /// From here on, one connection gets what is published to `topic`: what was published before this call it does
    /// not get, what is published after it it does.
    pub fn subscribe(&self, id: ConnectionId, topic: &str) {
        self.post(id, Command::Subscribe(id.key, topic.into()), COMMAND_BYTES);
    }

    /// From here on, one connection does not get what is published to `topic` any more.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &str) {
        self.post(id, Command::Unsubscribe(id.key, topic.into()), COMMAND_BYTES);
    }

    /// Begins the closing handshake of one connection. A code or reason that a Close frame cannot hold becomes 1011.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.post(id, Command::Close(id.key, code, reason.into()), COMMAND_BYTES);
    }

    /// Reads again from a connection that [`Context::pause`](super::Context::pause) has stopped.
    pub fn resume(&self, id: ConnectionId) {
        self.post(id, Command::Resume(id.key), COMMAND_BYTES);
    }

    /// Whether a worker is so far behind that nothing new should be begun: orders are still taken, but each makes it
    /// worse. An app answers "try again later" then.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.0.iter().any(|worker| worker.is_full())
    }

    /// Tells all workers to stop.
    pub(super) fn stop(&self) {
        for worker in self.0.iter() {
            worker.post(Command::Stop, 0);
        }
    }

    fn post(&self, id: ConnectionId, command: Command, bytes: usize) {
        if let Some(worker) = self.0.get(usize::from(id.worker)) {
            worker.post(command, bytes);
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("workers", &self.0.len()).finish()
    }
}

fn weight(batch: &[Publication]) -> usize {
    batch.iter().map(|publication| COMMAND_BYTES + publication.message.frame().len()).sum()
}

/// What an order weighs beside its payload.
const COMMAND_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_nothing_else_is() {
        let id = ConnectionId { worker: 65535, key: Key { slot: 4_294_967_295, generation: 7 } };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "1", "1.2", "1.2.3.4", "1.2.", ".1.2", "+1.2.3", "65536.0.0", "0.4294967296.0", "a.b.c", "1.2.3 "]
        {
            assert_eq!(text.parse::<ConnectionId>(), Err(InvalidConnectionId), "{text}");
        }
    }
}
