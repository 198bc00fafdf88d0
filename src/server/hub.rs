//! The outgoing half of a worker: all links and topics, and what is written when.
//!
//! While the worker handles an event of a connection, that connection is corked: frames for it collect in one buffer of
//! the worker and leave in one `write`. Frames for other connections wait in their outboxes until the end of the turn,
//! and publications wait in the logs of their topics. After that only the bytes that the kernel does not take remain.

use std::sync::Arc;

use super::{
    Config, ConnectionId, End, Remote,
    links::Links,
    remote::Publication,
    state::{State, Step},
    timers::Timers,
    topics::Topics,
};
use crate::{
    CloseFrame, Deflate, Message, Prepared, Reply, SendError, Sender,
    reactor::{Key, Tick},
};

/// The links and topics of one worker.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) config: Arc<Config>,
    pub(super) remote: Remote,
    pub(super) worker: u16,
    pub(super) links: Links,
    pub(super) now: Tick,
    /// The compression state of this worker's connections, if compression is on.
    pub(super) deflate: Option<Deflate>,
    pub(super) topics: Topics,
    pub(super) timers: Timers,
    /// Frames for the connection whose event is being handled.
    pub(super) cork: Vec<u8>,
    /// The connection whose event is being handled.
    pub(super) corked: Option<Key>,
    /// Publications for the other workers that are not posted yet, and their bytes.
    pub(super) outgoing: Vec<Publication>,
    pub(super) outgoing_bytes: usize,
    /// Some worker does not keep up with its mail, so this one reads nothing until it does.
    pub(super) congested: bool,
    /// Events that were handled since `congested` was last determined; [`EVENTS_PER_CHECK`] if the app may have posted
    /// mail.
    unchecked_events: u32,
    /// The number of connections that are being refused because the worker is full.
    pub(super) over_capacity: usize,
}

impl Hub {
    pub(super) fn new(config: Arc<Config>, remote: Remote, worker: u16, now: Tick) -> Self {
        Self {
            links: Links::new(&config),
            deflate: config.new_deflate(),
            config,
            remote,
            worker,
            now,
            topics: Topics::default(),
            timers: Timers::new(now),
            cork: Vec::new(),
            corked: None,
            outgoing: Vec::new(),
            outgoing_bytes: 0,
            congested: false,
            unchecked_events: 0,
            over_capacity: 0,
        }
    }

    pub(super) fn id(&self, key: Key) -> ConnectionId {
        ConnectionId { worker: self.worker, key }
    }

    /// Returns whether nothing more can be sent on this connection. The app may not have been told yet.
    pub(super) fn is_over(&self, key: Key) -> bool {
        self.links.state(key).is_some_and(State::is_over)
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
        let Some(link) = self.links.get(key) else { return Disposition::Stop };
        match link.state() {
            State::Open | State::Closing if link.is_read_paused(self.config.max_queued_bytes) => Disposition::Stop,
            State::Open => Disposition::Deliver,
            State::Closing => Disposition::Drop,
            State::Evicted | State::Truncated | State::Draining | State::Lingering => Disposition::Stop,
            // No events there.
            State::Securing | State::Request | State::AwaitingResponse | State::AwaitingVerdict => Disposition::Stop,
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

    pub(super) fn flush_cork(&mut self, key: Key) {
        if self.cork.is_empty() {
            return;
        }
        let frames = std::mem::take(&mut self.cork);
        self.links.write(key, &frames, self.now);
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
        let (State::Open, Some(sender)) = (link.state(), &mut link.sender) else { return Ok(()) };
        let corked = self.corked == Some(key) && link.outbox.is_empty();
        let place = if corked { &mut self.cork } else { link.outbox.frames(self.now) };
        let sent = send(sender, place);
        if !corked {
            self.links.note_appended(key);
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
        let policy = self.config.slow_subscriber;
        if corked || self.links.may_wait(key, message.frame().len(), policy, self.now) {
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
        let waits = self.links.get(key).is_some_and(|link| link.state() == State::Open && !link.outbox.is_empty());
        match reply {
            Reply::Pong(_) if waits => {
                let mut frame = Vec::new();
                if let Some(link) = self.links.get_mut(key)
                    && let Some(sender) = &mut link.sender
                    && sender.reply(reply, &mut frame).is_ok()
                {
                    link.outbox.append_pong(&frame, self.now);
                }
                self.links.recount(key);
            }
            Reply::Pong(_) | Reply::Close(_) => {
                let sent = self.with_sender(key, |sender, place| sender.reply(reply, place));
                debug_assert_eq!(sent, Ok(()), "a growing buffer takes any reply");
            }
        }
    }

    /// Sends a Ping.
    ///
    /// # Errors
    /// The sender refuses a payload of more than 125 bytes.
    pub(super) fn ping(&mut self, key: Key, payload: &[u8]) -> Result<(), SendError> {
        self.with_sender(key, |sender, place| sender.ping(payload, place))
    }

    /// Begins the closing handshake. The Close frame is sent after all frames that wait.
    ///
    /// # Errors
    /// The sender checks the code and the reason; the connection stays open if they are invalid.
    pub(super) fn close(&mut self, key: Key, frame: Option<CloseFrame<'_>>) -> Result<(), SendError> {
        if !self.links.is_open(key) {
            return Ok(());
        }
        self.with_sender(key, |sender, place| sender.close(frame, place))?;
        // The sender was first given the pending publications, which may have evicted the connection.
        if let Some(link) = self.links.get_mut(key).filter(|link| link.state() == State::Open) {
            link.advance(Step::CloseSent, self.now);
            // The peer's Close must be read.
            link.paused = false;
            self.links.resumable.push(key);
        }
        self.detach(key);
        Ok(())
    }

    /// Begins the closing handshake, but reads nothing more: the connection ends after the deadline for the peer's
    /// Close.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub(super) fn shut(&mut self, key: Key, frame: CloseFrame<'_>) -> Result<(), SendError> {
        self.close(key, Some(frame))?;
        if let Some(link) = self.links.get_mut(key).filter(|link| link.state() == State::Closing) {
            link.paused = true;
        }
        Ok(())
    }

    /// _Fails the connection_ (§7.1.7): lets this Close frame take the place of the frames that are not partly written,
    /// and ends our side.
    pub(super) fn fail(&mut self, key: Key, frame: CloseFrame<'_>) {
        if self.corked == Some(key) {
            // Replies to earlier events come before the failure.
            self.flush_cork(key);
        }
        if let Some(link) = self.links.get_mut(key).filter(|link| link.state() == State::Open) {
            link.replace_unstarted(frame, self.now);
        }
        self.drain(key);
    }

    /// Stops sending: writes what waits, then ends our side. Does nothing if that has begun already.
    pub(super) fn drain(&mut self, key: Key) {
        self.detach(key);
        if self.corked == Some(key) {
            self.flush_cork(key);
        }
        if let Some(link) = self.links.get_mut(key)
            && !matches!(link.state(), State::Draining | State::Lingering)
        {
            link.advance(Step::Ended, self.now);
            self.flush(key);
        }
    }

    /// Ends a connection that can be sent nothing more, but for what its transport has begun to send.
    pub(super) fn abandon(&mut self, key: Key) {
        if self.corked == Some(key) {
            self.cork.clear();
        }
        if let Some(link) = self.links.get_mut(key) {
            link.outbox.clear_unsealed();
        }
        self.drain(key);
    }

    /// Ends an open connection at once: nothing more is sent to it, and the end of the turn removes it.
    pub(super) fn terminate(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key) else { return };
        if !matches!(link.state(), State::Open | State::Closing) {
            return;
        }
        link.outbox.clear();
        link.advance(Step::Truncated, self.now);
        self.links.ended.push((key, End::Terminated));
        self.links.recount(key);
        if self.corked == Some(key) {
            self.cork.clear();
        }
    }

    /// Ends the subscriptions and the timers of a connection.
    fn detach(&mut self, key: Key) {
        self.unsubscribe_all(key);
        self.timers.cancel_all(key);
    }

    /// Returns a handle of the app's own. What it posts comes after what the app has published.
    pub(super) fn own_remote(&mut self) -> Remote {
        self.flush_outgoing();
        self.note_posted();
        self.remote.clone()
    }

    /// Sends an HTTP response.
    pub(super) fn send_http(&mut self, key: Key, bytes: &[u8]) {
        if let Some(link) = self.links.get_mut(key) {
            link.outbox.append_http(bytes, self.now);
        }
        self.flush(key);
    }

    /// Writes what waits for a connection.
    pub(super) fn flush(&mut self, key: Key) {
        self.links.flush(key, self.now);
    }

    /// Removes a connection and closes its socket.
    pub(super) fn remove(&mut self, key: Key) {
        self.detach(key);
        if self.corked == Some(key) {
            self.cork.clear();
            self.corked = None;
        }
        self.over_capacity -= usize::from(self.links.remove(key) == Some(true));
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

/// After so many events it is checked whether the workers keep up with their mail: the app may have a [`Remote`] of its
/// own.
const EVENTS_PER_CHECK: u32 = 16;
/// A cork of at least this many bytes is written before its event is done.
const CORK_BYTES: usize = 64 << 10;
