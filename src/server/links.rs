//! The outgoing halves of a worker's connections, and all that is written to their sockets: no other file writes to
//! one.
//!
//! `bounds.rs` decides how much may wait when a socket takes no more; `eviction.rs` makes room.

use std::io;

use super::{
    Config, End, SlowSubscriber,
    bounds::Bounds,
    link::Link,
    state::{State, Step},
};
use crate::reactor::{Key, Slots, Tick};

/// The links of one worker.
#[derive(Debug)]
pub(super) struct Links {
    slots: Slots<Link>,
    pub(super) bounds: Bounds,
    /// Connections that must end, and why: their sockets are broken, or they gave way. The end of the turn handles
    /// them. The state of one whose socket is broken does not change before: what it has sent is still handled.
    pub(super) ended: Vec<(Key, End)>,
    /// Connections with new frames in their outboxes, to be flushed at the end of the turn.
    pub(super) dirty: Vec<Key>,
    /// Connections that may be read from again, or that must be read to see the peer's end. Scheduled at the end of the
    /// turn.
    pub(super) resumable: Vec<Key>,
    pub(super) slow_subscriber: SlowSubscriber,
    max_queued_bytes: usize,
}

impl Links {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            slots: Slots::new(),
            bounds: Bounds::new(config),
            ended: Vec::new(),
            dirty: Vec::new(),
            resumable: Vec::new(),
            slow_subscriber: config.slow_subscriber,
            max_queued_bytes: config.max_queued_bytes,
        }
    }

    /// Inserts the link that `make` returns for its key.
    pub(super) fn insert_with(&mut self, make: impl FnOnce(Key) -> Link) -> Key {
        self.slots.insert_with(make)
    }

    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&Link> {
        self.slots.get(key)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Link> {
        self.slots.get_mut(key)
    }

    /// Returns the state of a connection, or `None` if it is removed.
    #[inline]
    pub(super) fn state(&self, key: Key) -> Option<State> {
        self.slots.get(key).map(Link::state)
    }

    /// Returns whether messages can be sent on a connection.
    pub(super) fn is_open(&self, key: Key) -> bool {
        self.state(key) == Some(State::Open)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Link)> {
        self.slots.iter()
    }

    /// Returns whether the end of the turn will end this connection.
    pub(super) fn has_ended(&self, key: Key) -> bool {
        self.ended.iter().any(|(ended, _)| *ended == key)
    }

    /// Removes a link, and closes its socket with it. Returns whether the connection was only being refused, or `None` if
    /// there was none.
    pub(super) fn remove(&mut self, key: Key) -> Option<bool> {
        let link = self.slots.remove(key)?;
        let over_capacity = link.over_capacity;
        self.bounds.forget(link);
        Some(over_capacity)
    }

    /// Counts the bytes that wait for a connection again. Called after every change.
    pub(super) fn recount(&mut self, key: Key) {
        if let Some(link) = self.slots.get_mut(key) {
            self.bounds.recount(link);
        }
    }

    /// Returns whether `more` bytes may wait for a connection without any policy or eviction.
    pub(super) fn has_space(&self, key: Key, more: usize) -> bool {
        self.slots.get(key).is_some_and(|link| self.bounds.has_space(link, more))
    }

    /// Lets the next compressed message of a connection refer to none before it: one that another compressor has
    /// compressed comes in between.
    pub(super) fn reset_context(&mut self, key: Key) {
        if let Some(sender) = self.slots.get_mut(key).and_then(|link| link.sender.as_mut()) {
            sender.reset_context();
        }
    }

    /// Appends frames to those that wait for a connection.
    pub(super) fn append(&mut self, key: Key, frames: &[u8], now: Tick) {
        if let Some(link) = self.slots.get_mut(key) {
            link.outbox.frames(now).extend_from_slice(frames);
        }
        self.note_appended(key);
    }

    /// Notes that frames were appended to those that wait for a connection. They are written at the end of the turn.
    pub(super) fn note_appended(&mut self, key: Key) {
        let Some(link) = self.slots.get_mut(key) else { return };
        self.bounds.recount(link);
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(key);
        }
    }

    /// Writes frames to a connection for which nothing waits, and keeps the bytes that the transport does not take.
    pub(super) fn write(&mut self, key: Key, frames: &[u8], now: Tick) {
        let Some(link) = self.slots.get_mut(key) else { return };
        match link.socket.write(frames) {
            Ok(written) if written == frames.len() => {}
            Ok(written) => self.keep_rest(key, frames, written, now),
            Err(error) => self.ended.push((key, End::Broken(error.kind()))),
        }
    }

    /// Keeps what the transport did not take of `frames`, or as much of it as there is room for.
    fn keep_rest(&mut self, key: Key, frames: &[u8], written: usize, now: Tick) {
        let fits = self.make_room(frames.len() - written, now);
        let Some(link) = self.slots.get_mut(key) else { return };
        link.outbox.keep_rest(frames, written, now);
        if !fits {
            // Unstarted frames are dropped; the rest of the started one may still be too much.
            link.outbox.drop_unstarted();
            if self.bounds.has_room(link.outbox.allocated_bytes()) {
                self.evict(key, End::Overloaded, now);
                return;
            }
            link.outbox.clear();
            link.advance(Step::Truncated, now);
            self.ended.push((key, End::Overloaded));
        }
        self.bounds.recount(link);
    }

    /// Writes what waits for a connection. Ends our side if nothing more will be sent.
    pub(super) fn flush(&mut self, key: Key, now: Tick) {
        let Some(link) = self.slots.get_mut(key) else { return };
        let was_paused = link.is_read_paused(self.max_queued_bytes);
        if let Err(error) = write_waiting(link, now) {
            self.ended.push((key, End::Broken(error.kind())));
        }
        if link.is_drained() {
            match link.state() {
                // The wait for the next request, or for the peer's Close, starts when our own bytes are written.
                State::Request | State::Closing => link.since = now,
                State::Draining => {
                    link.advance(Step::Written, now);
                    if let Err(error) = link.socket.shutdown_write() {
                        self.ended.push((key, End::Broken(error.kind())));
                    }
                    // If the peer ended its side first, no event will announce that again.
                    if link.read_closed {
                        link.set_readable(false);
                    }
                    self.resumable.push(key);
                }
                State::AwaitingResponse
                | State::AwaitingVerdict
                | State::Open
                | State::Evicted
                | State::Truncated
                | State::Lingering => {}
            }
        }
        if was_paused && !link.is_read_paused(self.max_queued_bytes) {
            self.resumable.push(key);
        }
        self.bounds.recount(link);
    }
}

/// Writes as many of the bytes that wait as the transport takes.
fn write_waiting(link: &mut Link, now: Tick) -> io::Result<()> {
    loop {
        let chunk = link.outbox.next_chunk();
        let wanted = chunk.len();
        if wanted == 0 {
            return Ok(());
        }
        let written = link.socket.write(chunk)?;
        link.outbox.note_written(written, now);
        if written < wanted {
            return Ok(());
        }
    }
}
