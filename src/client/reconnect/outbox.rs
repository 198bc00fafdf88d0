//! The way out of a reconnecting client: the current connection, or a queue while there is none.

use std::{collections::VecDeque, fmt};

use crate::client::{ClientError, Message, SendingHalf};

/// What happens to a message that is sent while there is no connection and the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It is refused with [`ClientError::QueueFull`].
    #[default]
    Refuse,
    /// It takes the place of the oldest message in the queue, which is lost.
    DropOldest,
}

/// The bound of the queue, and what happens there.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueOptions {
    pub(super) max_messages: usize,
    pub(super) when_full: WhenFull,
}

/// Where messages go.
pub(super) struct Outbox {
    options: QueueOptions,
    queue: VecDeque<Message>,
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
        Self { options, queue: VecDeque::new(), way: Way::Away }
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
        if self.queue.len() >= self.options.max_messages {
            match self.options.when_full {
                WhenFull::DropOldest if self.queue.pop_front().is_some() => {}
                WhenFull::Refuse | WhenFull::DropOldest => return Err(ClientError::QueueFull),
            }
        }
        self.queue.push_back(message);
        Ok(())
    }

    /// Sends what waits in the queue, and from now on everything, to this connection.
    ///
    /// # Errors
    /// That of a send. The message stays in the queue.
    pub(super) fn open(&mut self, mut sending: SendingHalf) -> Result<(), ClientError> {
        while let Some(message) = self.queue.front() {
            match sending.send(message) {
                // What must not be sent at all must not keep others from it.
                Ok(()) | Err(ClientError::Send(_)) => {}
                Err(error) => return Err(error),
            }
            self.queue.pop_front();
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
        self.queue.drain(..).collect()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }
}

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
        let rows: [(usize, WhenFull, &[bool], &[&str]); 6] = [
            (2, WhenFull::Refuse, &[true, true, false], &["0", "1"]),
            (2, WhenFull::DropOldest, &[true, true, true], &["1", "2"]),
            (3, WhenFull::Refuse, &[true, true, true], &["0", "1", "2"]),
            (3, WhenFull::DropOldest, &[true, true, true], &["0", "1", "2"]),
            (0, WhenFull::Refuse, &[false, false, false], &[]),
            (0, WhenFull::DropOldest, &[false, false, false], &[]),
        ];
        for (max_messages, when_full, taken, left) in rows {
            let mut outbox = Outbox::new(QueueOptions { max_messages, when_full });
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
