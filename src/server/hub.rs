//! The outgoing half of a worker: all links and topics, and what is written when.
//!
//! While the worker handles an event of a connection, that connection is corked: frames for it collect in one buffer of
//! the worker and leave in one `write`. Frames for other connections wait in their outboxes until the end of the turn,
//! and publications wait in the logs of their topics. After that only the bytes that the kernel does not take remain.

use std::sync::Arc;

use super::{
    Config, ConnectionId, Message, Remote,
    bounds::{Bounds, Failure},
    link::{Link, LinkState},
    remote::Publication,
    topics::Topics,
};
use crate::{
    CloseCode, CloseFrame, Deflate, Prepared, ProtocolError, Reply, SendError, Sender,
    reactor::{Key, Slots, Tick},
};

/// The links and topics of one worker.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Arc<Config>,
    pub(super) remote: Remote,
    pub(super) worker: u16,
    pub(super) links: Slots<Link>,
    pub(super) now: Tick,
    /// The compression state of this worker's connections, if compression is on.
    pub(super) deflate: Option<Deflate>,
    pub(super) topics: Topics,
    /// Frames for the connection whose event is being handled.
    pub(super) cork: Vec<u8>,
    /// The connection whose event is being handled.
    pub(super) corked: Option<Key>,
    /// Connections with new frames in their outboxes, to be flushed at the end of the turn.
    pub(super) dirty: Vec<Key>,
    /// Publications for the other workers that are not posted yet, and their bytes.
    pub(super) outgoing: Vec<Publication>,
    pub(super) outgoing_bytes: usize,
    /// Some worker does not keep up with its mail, so this one reads nothing until it does.
    pub(super) congested: bool,
    /// Events that were handled since `congested` was last determined; [`EVENTS_PER_CHECK`] if the app may have posted
    /// mail.
    unchecked_events: u32,
    pub(super) bounds: Bounds,
    /// The number of connections that are being refused because the worker is full.
    pub(super) over_capacity: usize,
    /// Connections that may be read from again, or that must be read to see the peer's end. Scheduled at the end of the
    /// turn.
    pub(super) resumable: Vec<Key>,
}

impl Hub {
    pub(super) fn new(config: Arc<Config>, remote: Remote, worker: u16, now: Tick) -> Self {
        Self {
            bounds: Bounds::new(&config),
            deflate: config.new_deflate(),
            config,
            remote,
            worker,
            links: Slots::new(),
            now,
            topics: Topics::default(),
            cork: Vec::new(),
            corked: None,
            dirty: Vec::new(),
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            congested: false,
            unchecked_events: 0,
            over_capacity: 0,
            resumable: Vec::new(),
        }
    }

    pub(super) fn id(&self, key: Key) -> ConnectionId {
        ConnectionId { worker: self.worker, key }
    }

    pub(super) fn is_open(&self, key: Key) -> bool {
        self.links.get(key).is_some_and(|link| link.state == LinkState::Open)
    }

    /// Returns whether nothing more can be sent on this connection. The app may not have been told yet.
    pub(super) fn is_evicted(&self, key: Key) -> bool {
        self.links.get(key).is_some_and(|link| matches!(link.state, LinkState::Draining | LinkState::Lingering))
    }

    /// Marks a connection that is only being refused: it does not count against the worker's capacity.
    pub(super) fn mark_over_capacity(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(key) {
            link.over_capacity = true;
            self.over_capacity += 1;
        }
    }

    /// Starts to collect the frames for `key`.
    pub(super) fn cork(&mut self, key: Key) {
        self.corked = Some(key);
    }

    /// Returns what to do with the connection's next event, after the app has handled one. Writes the collected frames
    /// if they are worth a `write` of their own.
    #[inline]
    pub(super) fn after_event(&mut self, key: Key) -> Disposition {
        if self.cork.len() >= CORK_BYTES {
            self.flush_cork(key);
        }
        self.unchecked_events += 1;
        if self.unchecked_events >= EVENTS_PER_CHECK && self.check_congestion() {
            return Disposition::Stop;
        }
        match self.links.get(key) {
            Some(link) if link.is_read_paused(self.config.max_queued_bytes) => Disposition::Stop,
            Some(Link { state: LinkState::Open, .. }) => Disposition::Deliver,
            Some(Link { state: LinkState::Http | LinkState::Closing, .. }) => Disposition::Drop,
            Some(Link { state: LinkState::Draining | LinkState::Lingering, .. }) | None => Disposition::Stop,
        }
    }

    /// Notes that the app may have posted mail.
    pub(super) fn note_posted(&mut self) {
        self.unchecked_events = EVENTS_PER_CHECK;
    }

    /// Determines whether some worker does not keep up with its mail, and returns it.
    ///
    /// An app may post much for one short event, so the end of the turn would be too late to find out.
    #[inline(never)]
    pub(super) fn check_congestion(&mut self) -> bool {
        self.unchecked_events = 0;
        self.congested = self.remote.is_overloaded();
        self.congested
    }

    /// Writes the collected frames and stops collecting.
    pub(super) fn uncork(&mut self, key: Key) {
        self.flush_cork(key);
        self.corked = None;
    }

    fn flush_cork(&mut self, key: Key) {
        if self.cork.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.cork);
        self.bounds.write_or_keep(&mut self.links, key, &frames, self.now);
        self.cork = frames;
        self.cork.clear();
        self.cork.shrink_to(2 * CORK_BYTES);
    }

    /// Calls `send` with the sender of an open connection and the buffer for its frames: the cork or the outbox. Does
    /// nothing if the connection is not open.
    pub(super) fn with_sender(
        &mut self,
        key: Key,
        send: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let Some(mut link) = self.links.get_mut(key) else { return Ok(()) };
        if link.seen != self.topics.sequence() {
            self.catch_up(key);
            let Some(again) = self.links.get_mut(key) else { return Ok(()) };
            link = again;
        }
        let (LinkState::Open, Some(sender)) = (link.state, &mut link.sender) else { return Ok(()) };
        let corked = self.corked == Some(key) && link.outbox.is_empty();
        let place = if corked {
            &mut self.cork
        } else {
            if !link.dirty {
                link.dirty = true;
                self.dirty.push(key);
            }
            link.outbox.frames(self.now)
        };
        let sent = send(sender, place);
        if !corked {
            self.bounds.recount(link);
        }
        sent
    }

    /// Sends a message. Does nothing if the connection is not open.
    pub(super) fn send(&mut self, key: Key, message: Message<'_>, compress: bool) {
        let sent = self.with_sender(key, |sender, place| match (message, compress) {
            (Message::Text(text), true) => sender.text(text, place),
            (Message::Text(text), false) => sender.text_uncompressed(text, place),
            (Message::Binary(bytes), true) => sender.binary(bytes, place),
            (Message::Binary(bytes), false) => sender.binary_uncompressed(bytes, place),
        });
        debug_assert_eq!(sent, Ok(()), "an open link takes whole messages");
    }

    /// Sends a message that the connection did not ask for: the policy for slow subscribers applies.
    pub(super) fn send_unsolicited(&mut self, key: Key, message: &Prepared) {
        // Corked frames do not wait yet.
        let corked = self.corked == Some(key) && self.links.get(key).is_some_and(|link| link.outbox.is_empty());
        if corked || self.bounds.may_wait(&mut self.links, key, message.frame().len(), self.now) {
            let sent = self.with_sender(key, |sender, place| sender.prepared_for_one(message, place));
            debug_assert_eq!(sent, Ok(()), "an open link takes whole messages");
        }
    }

    /// Sends an app's answer to the connection's own request. The policy for slow subscribers does not apply; instead,
    /// the connection is not read from while too much waits.
    pub(super) fn answer(&mut self, key: Key, message: &Prepared) {
        let sent = self.with_sender(key, |sender, place| sender.prepared_for_one(message, place));
        debug_assert_eq!(sent, Ok(()), "an open link takes whole messages");
    }

    /// Sends a reply that the RFC requires: a Pong or a Close.
    pub(super) fn reply(&mut self, key: Key, reply: Reply<'_>) {
        let waits = self.links.get(key).is_some_and(|link| link.state == LinkState::Open && !link.outbox.is_empty());
        match reply {
            Reply::Pong(_) if waits => {
                let mut frame = Vec::new();
                if let Some(link) = self.links.get_mut(key)
                    && let Some(sender) = &mut link.sender
                    && sender.reply(reply, &mut frame).is_ok()
                {
                    link.outbox.append_pong(&frame, self.now);
                }
                self.recount(key);
            }
            Reply::Pong(_) | Reply::Close(_) => {
                let sent = self.with_sender(key, |sender, place| sender.reply(reply, place));
                debug_assert_eq!(sent, Ok(()), "a growing buffer takes any reply");
            }
        }
    }

    /// Sends a Ping.
    pub(super) fn ping(&mut self, key: Key) {
        let sent = self.with_sender(key, |sender, place| sender.ping(b"", place));
        debug_assert_eq!(sent, Ok(()), "an empty Ping can be sent");
    }

    /// Begins the closing handshake. The Close frame is sent after all frames that wait.
    ///
    /// # Errors
    /// The sender checks the code and the reason; the connection stays open if they are invalid.
    pub(super) fn close(&mut self, key: Key, frame: Option<CloseFrame<'_>>) -> Result<(), SendError> {
        if !self.is_open(key) {
            return Ok(());
        }
        self.with_sender(key, |sender, place| sender.close(frame, place))?;
        // The sender was first given the pending publications, which may have evicted the connection.
        if let Some(link) = self.links.get_mut(key).filter(|link| link.state == LinkState::Open) {
            link.enter(LinkState::Closing, self.now);
            // The peer's Close must be read.
            link.paused = false;
            self.resumable.push(key);
        }
        self.unsubscribe_all(key);
        Ok(())
    }

    /// Begins the closing handshake, but reads nothing more: the connection ends after the deadline for the peer's
    /// Close.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub(super) fn shut(&mut self, key: Key, frame: CloseFrame<'_>) -> Result<(), SendError> {
        self.close(key, Some(frame))?;
        if let Some(link) = self.links.get_mut(key).filter(|link| link.state == LinkState::Closing) {
            link.paused = true;
        }
        Ok(())
    }

    /// _Fails the connection_ (§7.1.7): drops the frames that are not partly written, sends a Close frame with the
    /// reason, and ends our side.
    pub(super) fn fail(&mut self, key: Key, why: &Fault<'_>) {
        if self.corked == Some(key) {
            // Replies to earlier events come before the failure.
            self.flush_cork(key);
        }
        let Some(link) = self.links.get_mut(key) else { return };
        if let (LinkState::Open, Some(sender)) = (link.state, &mut link.sender) {
            link.outbox.drop_unstarted();
            let frames = link.outbox.frames(self.now);
            let written = match why {
                Fault::Protocol(error) => sender.fail(error, frames),
                Fault::Policy(code, reason) => sender.close(Some(CloseFrame { code: *code, reason }), frames),
            };
            debug_assert_eq!(written, Ok(()), "our own close reasons fit");
        }
        self.drain(key);
    }

    /// Stops sending: writes the rest of the outbox, then ends our side.
    pub(super) fn drain(&mut self, key: Key) {
        self.unsubscribe_all(key);
        if self.corked == Some(key) {
            self.flush_cork(key);
        }
        if let Some(link) = self.links.get_mut(key)
            && !matches!(link.state, LinkState::Draining | LinkState::Lingering)
        {
            link.enter(LinkState::Draining, self.now);
            link.paused = false;
        }
        self.flush(key);
    }

    /// Sends an HTTP response.
    pub(super) fn send_http(&mut self, key: Key, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(key) {
            link.outbox.append_http(bytes, self.now);
        }
        self.flush(key);
    }

    /// Writes the outbox of `key`. Ends our side if it is empty and nothing more will be sent.
    pub(super) fn flush(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        let held = link.is_read_paused(self.config.max_queued_bytes);
        if let Err(error) = link.outbox.write_to(&mut link.socket, self.now) {
            self.bounds.failed.push((key, Failure::Broken(error)));
        }
        if matches!(link.state, LinkState::Http | LinkState::Closing) && link.outbox.is_empty() {
            // The wait for the next request, or for the peer's Close, starts when our own bytes are written.
            link.since = self.now;
        }
        if link.state == LinkState::Draining && link.outbox.is_empty() {
            link.enter(LinkState::Lingering, self.now);
            if let Err(error) = link.socket.shutdown_write() {
                self.bounds.failed.push((key, Failure::Broken(error)));
            }
            // If the peer ended its side first, no event will announce that again.
            if link.read_closed {
                link.set_readable(false);
            }
            self.resumable.push(key);
        } else if held && !link.is_read_paused(self.config.max_queued_bytes) {
            self.resumable.push(key);
        }
        self.recount(key);
    }

    pub(super) fn recount(&mut self, key: Key) {
        if let Some(link) = self.links.get_mut(key) {
            self.bounds.recount(link);
        }
    }

    /// Removes a connection and closes its socket.
    pub(super) fn remove(&mut self, key: Key) {
        self.unsubscribe_all(key);
        if self.corked == Some(key) {
            self.cork.clear();
            self.corked = None;
        }
        if let Some(link) = self.links.remove(key) {
            self.over_capacity -= usize::from(link.over_capacity);
            self.bounds.forget(link);
        }
    }

    /// Writes everything that was batched in this turn. Connections with frames of their own come first, so that an
    /// answer does not wait for a large fan-out.
    pub(super) fn end_of_turn(&mut self) {
        self.flush_dirty();
        self.flush_topics();
        // Connections with more than one topic, and those whose kernel buffer was full, became dirty in between.
        self.flush_dirty();
        self.flush_outgoing();
    }

    fn flush_dirty(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            // Pending publications are added first, so that one write serves all.
            self.catch_up(key);
            if let Some(link) = self.links.get_mut(key) {
                link.dirty = false;
                self.flush(key);
            }
        }
    }
}

/// How to treat the next event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Deliver it to the app.
    Deliver,
    /// Drop it: our Close frame is sent, and only the peer's matters.
    Drop,
    /// Handle no more events in this turn.
    Stop,
}

/// Why a connection is failed.
#[derive(Debug)]
pub(super) enum Fault<'a> {
    Protocol(&'a ProtocolError),
    Policy(CloseCode, &'a str),
}

/// After so many events it is checked whether the workers keep up with their mail: the app may have a [`Remote`] of its
/// own.
const EVENTS_PER_CHECK: u32 = 16;
/// A cork of at least this many bytes is written before its event is done.
const CORK_BYTES: usize = 64 << 10;
