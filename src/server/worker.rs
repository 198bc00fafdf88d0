//! One worker: the incoming half of its connections, between the reactor and the app.
//!
//! The two halves of each engine connection are kept in two tables, so that the app can handle a message while it is
//! still borrowed from its receiver: the receivers and the app's peers are here, the senders and their sockets in the
//! [`Hub`].
//!
//! Each connection has a budget per turn: one read of at most one buffer, 1,024 events, and about 1 MiB of inflated
//! output. A connection with more to do enters the run queue of the next turn, without waiting for an event. The
//! unprocessed part of a read waits in the connection's stash, also while the app's decision is awaited; until the
//! stash is processed, nothing more is read.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use log::trace;

use super::{
    App, Config, Context, End, Message, Remote,
    addresses::{Addresses, TooMany},
    date::Date,
    ending::close_end,
    eviction::Evictions,
    http::RequestStream,
    hub::{Disposition, Hub},
    inbound::{Inbound, Input, Mail, Unfinished},
    link::{Link, Readable},
    state::State,
};
use crate::{
    Event, Rejection,
    reactor::{self, Key, Mailbox, Next, Read, Readiness, Socket, Tick, Turn},
};

/// A worker: the [`Handler`](reactor::Handler) of one event loop.
pub(super) struct Worker<A: App> {
    pub(super) app: A,
    pub(super) config: Arc<Config>,
    pub(super) hub: Hub,
    /// The incoming half of each connection, by the slot of its key.
    pub(super) inbound: Vec<Inbound<A::Peer>>,
    pub(super) mailbox: Mailbox<Mail<A::Peer>>,
    pub(super) capacity: Capacity,
    /// Connections that continue in this turn.
    pub(super) run_queue: Vec<Key>,
    /// Connections that continue in the next turn.
    pub(super) next_run_queue: Vec<Key>,
    pub(super) evictions: Evictions,
    pub(super) date: Date,
    /// When the deadlines were last checked.
    pub(super) last_sweep: Tick,
    /// [`Config::sweep_period`].
    pub(super) sweep_period: Duration,
    /// When the server began to stop.
    pub(super) stopping: Option<Tick>,
}

/// The connections that a worker accepts.
#[derive(Clone, Debug)]
pub(super) struct Capacity {
    pub(super) connections: usize,
    /// Connections beyond these that the worker refuses with 503 at the same time; it closes further ones without a
    /// response.
    pub(super) over_capacity: usize,
    /// The connections of each address.
    pub(super) addresses: Arc<Addresses>,
}

impl<A: App> Worker<A> {
    pub(super) fn new(
        app: A,
        config: Arc<Config>,
        remote: Remote,
        worker: u16,
        mailbox: Mailbox<Mail<A::Peer>>,
        capacity: Capacity,
        now: Tick,
    ) -> Self {
        Self {
            app,
            sweep_period: config.sweep_period(),
            hub: Hub::new(Arc::clone(&config), remote, worker, now),
            config,
            inbound: Vec::new(),
            mailbox,
            capacity,
            run_queue: Vec::new(),
            next_run_queue: Vec::new(),
            evictions: Evictions::default(),
            date: Date::new(SystemTime::now),
            last_sweep: now,
            stopping: None,
        }
    }

    pub(super) fn slot(key: Key) -> usize {
        key.slot as usize
    }

    /// Adds a connection to the next run queue if it may be read from and has work left.
    pub(super) fn schedule(&mut self, key: Key) {
        let inbound = &self.inbound[Self::slot(key)];
        let has_stash = !inbound.stash().is_empty() || inbound.is_inflating();
        if let Some(link) = self.hub.links.get_mut(key)
            && (has_stash || link.readable != Readable::No)
            && !link.scheduled
            && !link.is_read_paused(self.config.max_queued_bytes)
        {
            link.scheduled = true;
            self.next_run_queue.push(key);
        }
    }

    /// Returns whether nothing may be read from this connection now, or it is gone.
    pub(super) fn is_read_paused(&self, key: Key) -> bool {
        self.hub.links.get(key).is_none_or(|link| link.is_read_paused(self.config.max_queued_bytes))
    }

    /// Runs a connection for its budget of this turn: processes its stash, or reads once.
    fn drive(&mut self, key: Key, turn: &mut Turn<'_>) {
        if self.is_read_paused(key) {
            return;
        }
        self.hub.cork(key);
        let inbound = &mut self.inbound[Self::slot(key)];
        let mut stash = inbound.take_stash();
        if !stash.is_empty() || inbound.is_inflating() {
            let used = self.process(key, &mut stash);
            stash.drain(..used);
            self.keep(key, stash);
        } else if let Some(link) = self.hub.links.get_mut(key)
            && link.readable != Readable::No
        {
            let more_follows = link.read_closed || link.readable == Readable::UntilBlocked;
            match link.socket.read(turn.buffer, more_follows) {
                Read::Bytes { count, drained } => {
                    if drained {
                        link.readable = Readable::No;
                    }
                    link.note_received(turn.now);
                    if turn.is_late {
                        self.restart_peer_deadlines(key);
                    }
                    let bytes = &mut turn.buffer[..count];
                    let used = self.process(key, bytes);
                    if used < count {
                        self.keep(key, turn.buffer[used..count].to_vec());
                    }
                    if !drained {
                        // More waits in the kernel than one turn reads, so the peer is not late.
                        self.inbound[Self::slot(key)].restart_unfinished(turn.now);
                    }
                }
                Read::Blocked => link.readable = Readable::No,
                Read::Ended => {
                    link.readable = Readable::No;
                    self.peer_ended(key);
                }
                Read::Failed(error) => self.end(key, &End::Broken(error.kind())),
            }
        }
        self.hub.uncork(key);
        if !self.inbound[Self::slot(key)].is_at_rest() {
            self.recount(key);
            self.bound_memory();
        }
        self.schedule(key);
    }

    fn keep(&mut self, key: Key, rest: Vec<u8>) {
        if self.hub.links.get(key).is_some() {
            self.inbound[Self::slot(key)].set_stash(rest);
        }
    }

    /// Processes input and returns how many bytes were used: all, unless the app must decide first or the budget is
    /// spent.
    fn process(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        match &self.inbound[Self::slot(key)].input {
            Input::Frames { .. } => self.frames(key, bytes),
            Input::Request(_) => self.http(key, bytes),
            Input::Response { .. } | Input::Verdict { .. } => 0,
            Input::Dropped => bytes.len(),
        }
    }

    /// Reads a request and dispatches it once it is complete. Returns how many bytes were used.
    #[cold]
    fn http(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let Self { hub, inbound, config, .. } = self;
        let Input::Request(stream) = &mut inbound[Self::slot(key)].input else { return 0 };
        let now = hub.now;
        let send_continue = || hub.send_http(key, b"HTTP/1.1 100 Continue\r\n\r\n");
        match stream.receive(bytes, config, now, send_continue) {
            Ok((used, None)) => used,
            Ok((used, Some(incoming))) => {
                self.dispatch(key, incoming);
                // The response is mail, and may be long.
                self.hub.check_congestion();
                used
            }
            Err(rejection) => {
                let from = stream.from();
                self.refuse(key, from, rejection);
                bytes.len()
            }
        }
    }

    /// Restarts the deadlines for the peer's next step. Called after a time in which the worker did not read from it:
    /// the peer's bytes may have been waiting in the kernel.
    pub(super) fn restart_peer_deadlines(&mut self, key: Key) {
        let now = self.hub.now;
        if let Some(link) = self.hub.links.get_mut(key).filter(|link| !link.state().is_over()) {
            link.since = now;
        }
        self.inbound[Self::slot(key)].restart_deadline(now);
    }

    /// Handles frames until the input, the budget or the connection ends. Returns how many bytes were used.
    fn frames(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let Self { app, hub, inbound, .. } = self;
        let Input::Frames { receiver, peer } = &mut inbound[Self::slot(key)].input else { return length };
        let mut is_open = match hub.links.state(key) {
            Some(State::Open) => true,
            Some(State::Closing) => false,
            // The connection has given way; `handle_ended` tells the app.
            Some(State::Evicted | State::Truncated) => return length,
            // There are no frames.
            Some(State::Request | State::AwaitingResponse | State::AwaitingVerdict) => return length,
            Some(State::Draining | State::Lingering) | None => return length,
        };
        let mut events = receiver.receive(bytes).with_inflate_budget(INFLATED_PER_TURN);
        let mut end = None;
        let mut completed = false;
        for _ in 0..EVENTS_PER_TURN {
            let event = match events.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    end = Some(End::Failed(error));
                    break;
                }
            };
            let message = match event {
                Event::Text(text) => Message::Text(text),
                Event::Binary(bytes) => Message::Binary(bytes),
                Event::Ping(_) | Event::Pong(_) | Event::Piece(_) | Event::Close(_) => {
                    if let Some(reply) = event.reply() {
                        hub.reply(key, reply);
                        if hub.is_over(key) {
                            break; // evicted by pending publications, which come first; `handle_ended` tells the app
                        }
                    }
                    if let Event::Close(frame) = event {
                        end = Some(close_end(hub, key, frame));
                        break;
                    }
                    continue;
                }
            };
            completed = true;
            if is_open {
                app.message(peer, message, &mut Context::new(hub, key));
            }
            match hub.after_event(key) {
                Disposition::Deliver => is_open = true,
                Disposition::Drop => is_open = false,
                Disposition::Stop => break,
            }
        }
        let used = length - events.unread();
        match end {
            Some(end) => self.end(key, &end),
            None => self.note_unfinished(key, completed),
        }
        used
    }

    /// Updates the progress of this connection's unfinished message. `completed` says whether a message was completed
    /// since the last call, so that the unfinished one is new.
    fn note_unfinished(&mut self, key: Key, completed: bool) {
        let inbound = &mut self.inbound[Self::slot(key)];
        if inbound.is_at_rest() {
            return;
        }
        let Input::Frames { receiver, .. } = &inbound.input else { return };
        let (buffered, now) = (receiver.buffered_bytes(), self.hub.now);
        let unfinished = receiver.has_unfinished().then(|| match inbound.unfinished() {
            Some(unfinished) if !completed => unfinished.after(buffered, now),
            _ => Unfinished::new(buffered, now),
        });
        inbound.set_unfinished(unfinished);
    }
}

impl<A: App> reactor::Handler for Worker<A> {
    type Mail = Mail<A::Peer>;

    fn accepted(&mut self, mut socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        let full = self.hub.links.len() - self.hub.over_capacity >= self.capacity.connections;
        let admitted = if full {
            Err("the server is full, try again later\n")
        } else {
            self.capacity.addresses.admit(peer.ip()).map_err(|TooMany| TOO_MANY_FROM_ADDRESS)
        };
        if admitted.is_err() && self.hub.over_capacity >= self.capacity.over_capacity {
            return;
        }
        let mut registered = Ok(());
        let key = self.hub.links.insert_with(|key| {
            registered = turn.register(&mut socket, key);
            Link::new(socket, turn.now)
        });
        let inbound = Inbound::new(Input::Request(Box::new(RequestStream::first(&self.config, peer, turn.now))));
        match self.inbound.get_mut(Self::slot(key)) {
            Some(place) => *place = inbound,
            None => self.inbound.push(inbound),
        }
        if let Err(error) = registered {
            log::error!("{}: cannot be registered for events: {error}", self.hub.id(key));
            self.remove(key);
            return;
        }
        match admitted {
            Ok(permit) => {
                if let Some(link) = self.hub.links.get_mut(key) {
                    link.permit = permit;
                }
                trace!("{}: connected, from {peer}", self.hub.id(key));
            }
            Err(why) => {
                self.hub.mark_over_capacity(key);
                self.refuse(key, peer, Rejection::new(503).header("Retry-After", "10").body(why));
            }
        }
    }

    fn ready(&mut self, key: Key, readiness: Readiness, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        let Some(link) = self.hub.links.get_mut(key) else { return };
        if readiness.readable || readiness.read_closed {
            link.set_readable(readiness.urgent);
        }
        link.read_closed |= readiness.read_closed;
        if readiness.writable && !link.is_drained() {
            if turn.is_late {
                link.outbox.restart_deadline(turn.now);
            }
            self.hub.flush(key);
        }
        let is_scheduled = self.hub.links.get(key).is_some_and(|link| link.scheduled);
        if !is_scheduled && !self.hub.congested {
            self.drive(key, turn);
            return;
        }
        // The run queue gives it its budget, perhaps only after the next check of the deadlines.
        if readiness.readable && (turn.is_late || self.hub.congested) {
            self.restart_peer_deadlines(key);
        }
        self.schedule(key);
    }

    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        match mail {
            Mail::Command(command) => self.execute(command, turn),
            Mail::Decision(key, decision) => self.apply(key, decision),
        }
        // One turn may have mail for thousands of connections.
        self.bound_memory();
    }

    fn sweep(&mut self, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        self.check_deadlines(turn.now);
    }

    fn end_of_turn(&mut self, turn: &mut Turn<'_>) -> Next {
        self.hub.now = turn.now;
        for key in std::mem::take(&mut self.run_queue) {
            if self.hub.congested {
                self.run_queue.push(key);
            } else if let Some(link) = self.hub.links.get_mut(key) {
                link.scheduled = false;
                self.drive(key, turn);
            }
        }
        self.app.end_of_turn();
        self.hub.end_of_turn();
        self.bound_memory();
        self.handle_ended();
        for key in std::mem::take(&mut self.hub.links.resumable) {
            if self.hub.links.get(key).is_some() {
                self.restart_peer_deadlines(key);
                self.schedule(key);
            }
        }
        if self.has_stopped(turn.now) {
            return Next::Done;
        }
        self.run_queue.append(&mut self.next_run_queue);
        if self.hub.check_congestion() {
            Next::Wait(Some(CONGESTION_PAUSE))
        } else if self.run_queue.is_empty() {
            let has_deadlines = self.hub.links.len() > 0 || self.stopping.is_some();
            Next::Wait(has_deadlines.then_some(self.sweep_period))
        } else {
            Next::Again
        }
    }

    fn sockets(&self) -> usize {
        self.hub.links.len()
    }
}

/// An idle connection is a row in two tables and owns no other memory. (mio's sockets are larger in debug builds, and
/// simulated sockets are larger.)
#[cfg(not(any(test, debug_assertions)))]
const _: () = assert!(size_of::<Link>() <= 88 && size_of::<Inbound<()>>() <= 88);

/// The body of a response to an address that has too many connections.
pub(super) const TOO_MANY_FROM_ADDRESS: &str = "too many connections from your address, close one or try again later\n";
/// The budget of one connection in one turn, in events.
const EVENTS_PER_TURN: usize = 1024;
/// The approximate budget of one connection in one turn, in bytes after inflation. Compressed input can grow about a
/// thousandfold.
const INFLATED_PER_TURN: usize = 1 << 20;
/// How often a congested worker checks whether the others have caught up.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
