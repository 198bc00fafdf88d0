//! One worker: the incoming half of its connections, between the reactor and the app.
//!
//! The two halves of each engine connection are kept in two tables, so that the app can handle a message while it is
//! still borrowed from its receiver: the receivers and the app's peers are here, the senders and their sockets in the
//! [`Hub`].
//!
//! Each connection has a budget per turn: one read of at most one buffer, 1,024 events, and about 1 MiB of inflated
//! output. A connection with more to do enters the run queue of the next turn, without waiting for an event. The
//! unprocessed part of a read waits in the connection's stash, also while the app's decision is awaited; until the
//! stash is processed, nothing more is read. Handshakes of TLS have a queue and a budget of their own (`securing.rs`).

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

#[cfg(feature = "tls")]
use log::debug;
use log::trace;

use super::{
    App, Config, End, Remote,
    addresses::{Addresses, TooMany},
    bounds::Evictions,
    date::Date,
    decision::DecisionMailbox,
    http::RequestStream,
    hub::Hub,
    inbound::{Inbound, Input, Mail},
    link::{Link, Readable},
    state::State,
};
#[cfg(feature = "tls")]
use crate::reactor::TlsConfig;
use crate::{
    Rejection, SpareBuffer,
    reactor::{self, Key, Mailbox, Next, Read, Readiness, Socket, Tick, Turn},
};

/// A worker: the [`Handler`](reactor::Handler) of one event loop.
pub(super) struct Worker<A: App> {
    pub(super) app: A,
    pub(super) config: Arc<Config>,
    pub(super) hub: Hub,
    /// The incoming half of each connection, by the slot of its key.
    pub(super) inbound: Vec<Inbound<A::Peer>>,
    /// For the app's decisions.
    pub(super) mailbox: Arc<dyn DecisionMailbox<A::Peer>>,
    pub(super) capacity: Capacity,
    /// Connections that continue in this turn.
    pub(super) run_queue: Vec<Key>,
    /// Connections that continue in the next turn.
    pub(super) next_run_queue: Vec<Key>,
    /// Connections that wait to continue their handshake of TLS.
    pub(super) securing: VecDeque<Key>,
    /// For new connections; without it they are plain.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsConfig>,
    /// The bytes that were read into messages' own buffers in this turn.
    lent: usize,
    /// For large messages of all connections.
    pub(super) spare: SpareBuffer,
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
        mailbox: Mailbox<Mail<A::Peer, A::Told>>,
        capacity: Capacity,
        now: Tick,
    ) -> Self {
        Self {
            app,
            sweep_period: config.sweep_period(),
            hub: Hub::new(Arc::clone(&config), remote, worker, now),
            #[cfg(feature = "tls")]
            tls: config.tls.clone(),
            config,
            inbound: Vec::new(),
            mailbox: Arc::new(mailbox),
            capacity,
            run_queue: Vec::new(),
            next_run_queue: Vec::new(),
            securing: VecDeque::new(),
            lent: 0,
            spare: SpareBuffer::new(MAX_SPARE_BYTES),
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
        match self.hub.links.state(key) {
            Some(State::Securing) => self.wait_to_secure(key),
            Some(_) | None => self.work(key, turn),
        }
    }

    /// Processes the stash of a connection, or reads once.
    fn work(&mut self, key: Key, turn: &mut Turn<'_>) {
        self.hub.cork(key);
        let inbound = &mut self.inbound[Self::slot(key)];
        let mut stash = inbound.take_stash();
        if !stash.is_empty() || inbound.is_inflating() {
            let used = self.process(key, &mut stash);
            stash.drain(..used);
            self.keep(key, stash);
        } else {
            let read = self.read(key, turn);
            self.received(key, read, turn);
        }
        self.hub.uncork(key);
        if !self.inbound[Self::slot(key)].is_at_rest() {
            self.recount(key);
            self.bound_memory();
        }
        self.schedule(key);
    }

    /// Reads once: into the buffer of an unfinished message if that has room, else into the worker's, at most as much as
    /// the receiver advises. The count is that of the bytes in the worker's buffer.
    ///
    /// The first may be as long as the kernel's buffer, so others would wait if many connections did it in one turn.
    fn read(&mut self, key: Key, turn: &mut Turn<'_>) -> Read {
        let Self { hub, inbound, lent, .. } = self;
        let receiver = match &mut inbound[Self::slot(key)].input {
            Input::Frames { receiver, .. } if hub.links.reads_anywhere(key) => receiver,
            _ => return hub.links.read(key, turn.buffer, turn.now),
        };
        if *lent < LENT_PER_TURN
            && let Some(mut room) = receiver.room(turn.buffer)
        {
            return match hub.links.append_to(key, room.vec(), turn.now) {
                Read::Bytes { count, drained, incomplete } => {
                    *lent += count;
                    Read::Bytes { count: room.finish(), incomplete, drained }
                }
                read => read,
            };
        }
        let limit = receiver.read_limit(turn.buffer.len());
        hub.links.read(key, &mut turn.buffer[..limit], turn.now)
    }

    /// Handles the result of a read.
    pub(super) fn received(&mut self, key: Key, read: Read, turn: &mut Turn<'_>) {
        match read {
            Read::Bytes { count, incomplete, drained } => {
                if turn.is_late {
                    self.restart_peer_deadlines(key);
                }
                self.inbound[Self::slot(key)].set_incomplete(incomplete);
                if count == 0 {
                    // TLS may have kept all bytes; or all are in the buffer of a message, which may be whole.
                    self.frames(key, &mut []);
                } else {
                    let used = self.process(key, &mut turn.buffer[..count]);
                    if used < count {
                        self.keep(key, turn.buffer[used..count].to_vec());
                    }
                }
                if !drained {
                    // More waits in the kernel than one turn reads, so the peer is not late.
                    self.inbound[Self::slot(key)].restart_unfinished(turn.now);
                }
            }
            Read::Blocked => {}
            Read::Ended { .. } => self.peer_ended(key),
            Read::Failed(error) => self.end(key, &End::Broken(error.kind())),
            #[cfg(feature = "tls")]
            Read::Alerted(error) => {
                debug!("{}: TLS failed: {error}", self.hub.id(key));
                self.end(key, &End::TlsFailed);
            }
            #[cfg(feature = "tls")]
            Read::Plain { .. } => self.refuse_plain(key),
        }
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
}

impl<A: App> reactor::Handler for Worker<A> {
    type Mail = Mail<A::Peer, A::Told>;

    fn accepted(&mut self, mut socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls
            && let Err(error) = socket.secure(tls)
        {
            log::error!("worker {}: the TLS configuration cannot be used: {error}", self.hub.worker);
            return;
        }
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
                // TLS comes first, and then the refusal.
                if self.hub.links.state(key) != Some(State::Securing) {
                    self.refuse(key, peer, Rejection::new(503).header("Retry-After", "10").body(why));
                }
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
            Mail::Tell(key, told) => self.tell(key, told),
            Mail::TellAll(make) => {
                for key in self.hub.links.keys().collect::<Vec<_>>() {
                    self.tell(key, make());
                }
            }
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
        self.lent = 0;
        for key in std::mem::take(&mut self.run_queue) {
            if self.hub.congested {
                self.run_queue.push(key);
            } else if let Some(link) = self.hub.links.get_mut(key) {
                link.scheduled = false;
                self.drive(key, turn);
            }
        }
        self.secure_some(turn);
        self.run_timers();
        self.run_drained();
        self.app.end_of_turn();
        self.hub.end_of_turn();
        self.hub.links.settle_watched();
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
        } else if self.run_queue.is_empty() && self.securing.is_empty() && !self.hub.links.has_drained() {
            let has_deadlines = self.hub.links.len() > 0 || self.stopping.is_some();
            let sweep = has_deadlines.then_some(self.sweep_period);
            let timer = self.hub.timers.next_in(turn.now);
            Next::Wait([sweep, timer].into_iter().flatten().min())
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
const _: () = {
    let link = if cfg!(feature = "tls") { 96 } else { 80 };
    assert!(size_of::<Link>() <= link && size_of::<Inbound<()>>() <= 88);
};

/// The body of a response to an address that has too many connections.
pub(super) const TOO_MANY_FROM_ADDRESS: &str = "too many connections from your address, close one or try again later\n";
/// The bytes after which all further reads of a turn go to the worker's buffer, of which each takes 128 KiB at most.
const LENT_PER_TURN: usize = 1 << 20;
/// The largest buffer that is kept from one message for the next.
const MAX_SPARE_BYTES: usize = 2 << 20;
/// How often a congested worker checks whether the others have caught up.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
