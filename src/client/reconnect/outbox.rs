//! The way out of a reconnecting client: the current connection, or a queue while there is none.

use std::{collections::VecDeque, fmt};

use crate::client::{ClientError, Message, SendingHalf};

/// What happens to a message that is sent while there is no connection and the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It is refused with [`ClientError::QueueFull`].
    #[default]
    Refuse,
    /// It takes the place of the oldest messages in the queue, which are lost.
    DropOldest,
}

/// The bound of the queue, and what happens there.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueOptions {
    pub(super) max_messages: usize,
    pub(super) max_bytes: usize,
    pub(super) when_full: WhenFull,
}

/// Where messages go.
pub(super) struct Outbox {
    options: QueueOptions,
    queue: VecDeque<Message>,
    /// The cost of the messages in the queue, in bytes.
    bytes: usize,
    way: Way,
}

enum Way {
    /// There is no connection now. Messages wait in the queue.
    Away,
    Open(SendingHalf),
    /// There will be no connection any more.
    Over,
}

impl Outbox {
    pub(super) fn new(options: QueueOptions) -> Self {
        Self { options, queue: VecDeque::new(), bytes: 0, way: Way::Away }
    }

    /// Sends a message, or puts it into the queue.
    ///
    /// # Errors
    /// [`ClientError::Send`], [`ClientError::QueueFull`], [`ClientError::Closed`].
    pub(super) fn send(&mut self, message: Message) -> Result<(), ClientError> {
        match &mut self.way {
            Way::Over => return Err(ClientError::Closed),
            Way::Away => {}
            Way::Open(sending) => match sending.send(&message) {
                Ok(()) => return Ok(()),
                Err(error @ ClientError::Send(_)) if sending.is_open() => return Err(error),
                // No server has it as a whole: its last bytes were not taken.
                Err(_) => self.way = Way::Away,
            },
        }
        let QueueOptions { max_messages, max_bytes, when_full } = self.options;
        let cost = cost(&message);
        if max_messages == 0 || cost > max_bytes {
            return Err(ClientError::QueueFull); // without a loss for nothing
        }
        while self.queue.len() >= max_messages || self.bytes.saturating_add(cost) > max_bytes {
            if when_full == WhenFull::Refuse || self.pop().is_none() {
                return Err(ClientError::QueueFull);
            }
        }
        self.bytes += cost;
        self.queue.push_back(message);
        Ok(())
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= cost(&message);
        Some(message)
    }

    /// Sends what waits in the queue until `is_closed`, and from now on everything, to this connection.
    ///
    /// # Errors
    /// That of a send. The message stays in the queue.
    pub(super) fn open(&mut self, mut sending: SendingHalf, is_closed: impl Fn() -> bool) -> Result<(), ClientError> {
        while let Some(message) = self.queue.front()
            && !is_closed()
        {
            match sending.send(message) {
                // What must not be sent at all must not keep others from it.
                Ok(()) | Err(ClientError::Send(_)) => {}
                Err(error) => return Err(error),
            }
            self.pop();
        }
        self.way = Way::Open(sending);
        Ok(())
    }

    /// The connection is lost. Messages wait in the queue.
    pub(super) fn lost(&mut self) {
        self.way = Way::Away;
    }

    /// There will be no connection any more. Returns the messages that nobody was sent.
    pub(super) fn end(&mut self) -> Vec<Message> {
        self.way = Way::Over;
        self.bytes = 0;
        self.queue.drain(..).collect()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }
}

/// Returns the memory that a message counts, in bytes.
fn cost(message: &Message) -> usize {
    let payload = match message {
        Message::Text(text) => text.len(),
        Message::Binary(payload) | Message::Ping(payload) | Message::Pong(payload) => payload.len(),
        Message::Close(frame) => frame.as_ref().map_or(0, |frame| frame.reason.len()),
    };
    payload.saturating_add(MESSAGE_BYTES)
}

/// The bytes that a message counts besides its payload.
const MESSAGE_BYTES: usize = 64;

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("queued", &self.queue.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_or_drops_the_oldest() {
        let cost = 64 + 1;
        let rows: [(usize, usize, WhenFull, &[bool], &[&str]); 10] = [
            (2, 1000, WhenFull::Refuse, &[true, true, false], &["0", "1"]),
            (2, 1000, WhenFull::DropOldest, &[true, true, true], &["1", "2"]),
            (3, 1000, WhenFull::Refuse, &[true, true, true], &["0", "1", "2"]),
            (3, 3 * cost, WhenFull::DropOldest, &[true, true, true], &["0", "1", "2"]),
            (0, 1000, WhenFull::Refuse, &[false, false, false], &[]),
            (0, 1000, WhenFull::DropOldest, &[false, false, false], &[]),
            (9, 2 * cost, WhenFull::Refuse, &[true, true, false], &["0", "1"]),
            (9, 2 * cost - 1, WhenFull::Refuse, &[true, false, false], &["0"]),
            (9, 2 * cost, WhenFull::DropOldest, &[true, true, true], &["1", "2"]),
            (9, cost - 1, WhenFull::DropOldest, &[false, false, false], &[]),
        ];
        for (max_messages, max_bytes, when_full, taken, left) in rows {
            let mut outbox = Outbox::new(QueueOptions { max_messages, max_bytes, when_full });
            for (number, &is_taken) in taken.iter().enumerate() {
                match outbox.send(Message::Text(number.to_string())) {
                    Ok(()) => assert!(is_taken, "{max_messages} {when_full:?} {number}"),
                    Err(ClientError::QueueFull) => assert!(!is_taken, "{max_messages} {when_full:?} {number}"),
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(outbox.queued(), left.len());
            let left: Vec<_> = left.iter().map(|&text| Message::from(text)).collect();
            assert_eq!(outbox.end(), left, "{max_messages} {when_full:?}");
            assert!(matches!(outbox.send("late".into()), Err(ClientError::Closed)));
        }
    }
}
