//! The outgoing halves of a worker's connections, and all that is read from their sockets and written to them: no other
//! file does either.
//!
//! `bounds.rs` decides how much may wait when a socket takes no more; `eviction.rs` makes room.

use std::{collections::BTreeSet, io};

use super::{
    Config, End,
    bounds::Bounds,
    link::{Link, Readable},
    state::{State, Step},
};
use crate::reactor::{Buffers, Key, Read, Slots, Tick};

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
    /// Connections whose app waits until nothing waits for them.
    watched: BTreeSet<Key>,
    /// Those among them for which nothing may wait any more; looked at when the turn's frames are written.
    emptied: Vec<Key>,
    /// Those for which nothing waits any more.
    drained: Vec<Key>,
    /// Connections for which nothing waits any more and which have missed messages, and how many.
    missed: Vec<(Key, u64)>,
    /// The messages that connections of this worker have missed.
    missed_in_all: u64,
    max_queued_bytes: usize,
    /// For the transport of the connection that is read or written.
    buffers: Buffers,
}

impl Links {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            slots: Slots::new(),
            bounds: Bounds::new(config),
            ended: Vec::new(),
            dirty: Vec::new(),
            resumable: Vec::new(),
            watched: BTreeSet::new(),
            emptied: Vec::new(),
            drained: Vec::new(),
            missed: Vec::new(),
            missed_in_all: 0,
            max_queued_bytes: config.max_queued_bytes,
            buffers: Buffers::default(),
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

    /// Returns the key of the first link in this slot or a later one.
    pub(super) fn key_from(&self, slot: u32) -> Option<Key> {
        self.slots.key_from(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Link)> {
        self.slots.iter()
    }

    /// Returns whether the end of the turn will end this connection.
    pub(super) fn has_ended(&self, key: Key) -> bool {
        self.ended.iter().any(|(ended, _)| *ended == key)
    }

    /// Removes a link, and closes its socket with it. Returns whether the connection was only being refused, or `None`
    /// if there was none.
    pub(super) fn remove(&mut self, key: Key) -> Option<bool> {
        let link = self.slots.remove(key)?;
        let over_capacity = link.over_capacity;
        self.watched.remove(&key);
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

    /// Reads once from a connection, and sends what its transport answers by itself. Input of a connection that is over
    /// will be dropped, and is not decrypted.
    pub(super) fn read(&mut self, key: Key, buffer: &mut [u8], now: Tick) -> Read {
        let Some(link) = self.slots.get_mut(key).filter(|link| link.readable != Readable::No) else {
            return Read::Blocked;
        };
        let more_follows = link.read_closed || link.readable == Readable::UntilBlocked;
        let read = if link.state().is_over() {
            link.socket.skip(buffer, more_follows)
        } else {
            link.socket.read(buffer, more_follows, &mut self.buffers)
        };
        link.note_read(&read, now);
        if !self.buffers.unsent().is_empty() {
            self.send_unsent(key, now);
        }
        read
    }

    /// Returns whether what a connection sends may be read where its receiver wants it.
    pub(super) fn reads_anywhere(&self, key: Key) -> bool {
        self.slots.get(key).is_some_and(|link| !link.socket.is_tls() && !link.state().is_over())
    }

    /// Reads once from a connection that [`reads_anywhere`](Self::reads_anywhere) into the spare capacity of `vec`.
    pub(super) fn append_to(&mut self, key: Key, vec: &mut Vec<u8>, now: Tick) -> Read {
        let Some(link) = self.slots.get_mut(key).filter(|link| link.readable != Readable::No) else {
            return Read::Blocked;
        };
        let more_follows = link.read_closed || link.readable == Readable::UntilBlocked;
        let read = link.socket.append_to(vec, more_follows);
        link.note_read(&read, now);
        read
    }

    /// Sends what the transport of a connection has left in the buffers.
    #[cold]
    fn send_unsent(&mut self, key: Key, now: Tick) {
        let Some(link) = self.slots.get_mut(key) else { return };
        let bytes = self.buffers.unsent();
        // The frames that wait go first.
        let sent = if link.outbox.sealed().is_empty() { link.socket.send(bytes) } else { Ok(0) };
        match sent {
            Ok(sent) if sent == bytes.len() => {}
            Ok(sent) => link.outbox.keep_sealed(&bytes[sent..], now),
            Err(error) => self.ended.push((key, End::Broken(error.kind()))),
        }
        self.buffers.clear();
        self.bounds.recount(link);
    }

    /// Writes frames to a connection for which nothing waits, and keeps the bytes that the transport does not take.
    pub(super) fn write(&mut self, key: Key, frames: &[u8], now: Tick) {
        let Some(link) = self.slots.get_mut(key) else { return };
        match link.socket.write(frames, &mut self.buffers) {
            Ok(written) if written == frames.len() && self.buffers.unsent().is_empty() => {}
            Ok(written) => self.keep_rest(key, frames, written, now),
            Err(error) => self.ended.push((key, End::Broken(error.kind()))),
        }
        self.buffers.clear();
    }

    /// Keeps what the transport did not take of `frames`, and the kernel not of its bytes, or as much as there is room
    /// for.
    fn keep_rest(&mut self, key: Key, frames: &[u8], written: usize, now: Tick) {
        let fits = self.make_room(self.buffers.unsent().len() + frames.len() - written, now);
        let Some(link) = self.slots.get_mut(key) else { return };
        link.outbox.keep_sealed(self.buffers.unsent(), now);
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
        if let Err(error) = write_waiting(link, &mut self.buffers, now) {
            self.buffers.clear();
            self.ended.push((key, End::Broken(error.kind())));
        }
        if link.is_drained() {
            let missed = link.outbox.take_missed();
            if missed > 0 {
                self.missed.push((key, missed));
            }
            if self.watched.contains(&key) {
                self.emptied.push(key);
            }
            match link.state() {
                // The wait for the next request, or for the peer's Close, starts when our own bytes are written.
                State::Request | State::Closing => link.since = now,
                State::Draining => self.end_our_side(key, now),
                State::Securing
                | State::AwaitingResponse
                | State::AwaitingVerdict
                | State::Open
                | State::Evicted
                | State::Truncated
                | State::Lingering => {}
            }
        }
        let Some(link) = self.slots.get_mut(key) else { return };
        if was_paused && !link.is_read_paused(self.max_queued_bytes) {
            self.resumable.push(key);
        }
        self.bounds.recount(link);
    }

    /// Lets a connection enter `drained`, once, at the end of a turn after which nothing waits for it.
    pub(super) fn watch(&mut self, key: Key) {
        self.watched.insert(key);
        self.emptied.push(key);
    }

    /// Returns the connections whose app is to be told that nothing waits for them. It may have asked again since.
    pub(super) fn take_drained(&mut self) -> Vec<Key> {
        for key in &self.drained {
            self.watched.remove(key);
        }
        std::mem::take(&mut self.drained)
    }

    /// Counts messages that a connection has missed because it was too slow. Its app is told once nothing waits.
    pub(super) fn note_missed(&mut self, key: Key, missed: u64) {
        self.missed_in_all += missed;
        if let Some(link) = self.slots.get_mut(key) {
            link.outbox.note_missed(missed);
        }
    }

    /// Returns how many messages connections of this worker have missed.
    pub(super) fn missed_in_all(&self) -> u64 {
        self.missed_in_all
    }

    /// Returns the connections whose app is to be told that they have missed messages, and how many.
    pub(super) fn take_missed(&mut self) -> Vec<(Key, u64)> {
        std::mem::take(&mut self.missed)
    }

    /// Returns whether an app is to be told that nothing waits for a connection.
    pub(super) fn has_drained(&self) -> bool {
        !self.drained.is_empty() || !self.missed.is_empty()
    }

    /// Fills `drained`. Called when the turn's frames are written.
    pub(super) fn settle_watched(&mut self) {
        for key in std::mem::take(&mut self.emptied) {
            if self.slots.get(key).is_some_and(Link::is_drained) && self.watched.remove(&key) {
                self.drained.push(key);
            }
        }
    }

    /// Ends our side of a connection after its last byte: first that of the transport, then that of TCP. The bytes of
    /// the former may have to wait.
    fn end_our_side(&mut self, key: Key, now: Tick) {
        let Some(link) = self.slots.get_mut(key) else { return };
        let closed = link.socket.close_notify(&mut self.buffers);
        // A transport that is broken is ended by TCP: what it has left in the buffers can never be sent.
        let must_wait = closed.is_ok() && !self.buffers.unsent().is_empty();
        if must_wait {
            link.outbox.keep_sealed(self.buffers.unsent(), now);
        }
        self.buffers.clear();
        if must_wait {
            return;
        }
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
}

/// Writes as many of the bytes that wait as the transport takes.
fn write_waiting(link: &mut Link, buffers: &mut Buffers, now: Tick) -> io::Result<()> {
    loop {
        let sealed = link.outbox.sealed();
        if !sealed.is_empty() {
            let wanted = sealed.len();
            let sent = link.socket.send(sealed)?;
            link.outbox.note_sent(sent, now);
            if sent < wanted {
                return Ok(());
            }
        }
        let chunk = link.outbox.next_chunk();
        let wanted = chunk.len();
        if wanted == 0 {
            return Ok(());
        }
        let written = link.socket.write(chunk, buffers)?;
        link.outbox.note_written(written, buffers.unsent(), now);
        let blocked = written < wanted || !buffers.unsent().is_empty();
        buffers.clear();
        if blocked {
            return Ok(());
        }
    }
}
