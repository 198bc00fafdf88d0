//! One worker: the incoming half of its connections, between the reactor and the app.
//!
//! The two halves of the engine lie in two tables, so that a message can be handled while it is still borrowed from
//! its receiver: here the receivers with the app's peers, in the [`Hub`] the senders with their sockets.
//!
//! A connection is read once per turn, then goes on in the next one without waiting for an event if there is more:
//! nobody gets more than one buffer's worth, 1,024 events, or 1 MiB of what it inflates to, while others wait. What is
//! left of a read then, or while an answer of the app is awaited, waits in a stash of that connection, and nothing more
//! is read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use log::trace;

use super::{
    App, Config, Context, End, Message, Remote,
    ending::close_end,
    http::RequestStream,
    hub::{Fault, Hub, Onward},
    inbound::{Inbound, Mail, Phase, Unfinished},
    link::{Link, Stage},
    remote::Order,
};
use crate::{
    CloseCode, CloseFrame, Event, Rejection,
    reactor::{self, Key, Mailbox, Next, Read, Readiness, Socket, Tick, Turn},
};

/// What a worker's event loop drives.
pub(super) struct Worker<A: App> {
    pub(super) app: A,
    pub(super) config: Arc<Config>,
    pub(super) hub: Hub,
    /// The incoming half of each connection, by the slot of its key.
    pub(super) inbound: Vec<Inbound<A::Peer>>,
    pub(super) mailbox: Mailbox<Mail<A::Peer>>,
    pub(super) room: Room,
    /// Who goes on in this turn, left from the last one.
    pub(super) goes_on: Vec<Key>,
    /// Who goes on in the next turn.
    pub(super) goes_on_next: Vec<Key>,
    /// A worker does not keep up with its mail: nothing is read until it does.
    pub(super) congested: bool,
    /// Bytes of unfinished messages, in all.
    pub(super) unfinished: u64,
    pub(super) swept: Tick,
    /// [`Config::sweep_period`].
    pub(super) sweep_period: Duration,
    /// Since when the server is stopping.
    pub(super) stopping: Option<Tick>,
}

/// How many connections a worker holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) connections: usize,
    /// Beyond these, how many at once are told that there is no room; more are dropped without a word.
    pub(super) turned_away: usize,
}

impl<A: App> Worker<A> {
    pub(super) fn new(
        app: A,
        config: Arc<Config>,
        remote: Remote,
        worker: u16,
        mailbox: Mailbox<Mail<A::Peer>>,
        room: Room,
        now: Tick,
    ) -> Self {
        Self {
            app,
            sweep_period: config.sweep_period(),
            hub: Hub::new(Arc::clone(&config), remote, worker, now),
            config,
            inbound: Vec::new(),
            mailbox,
            room,
            goes_on: Vec::new(),
            goes_on_next: Vec::new(),
            congested: false,
            unfinished: 0,
            swept: now,
            stopping: None,
        }
    }

    pub(super) fn slot(key: Key) -> usize {
        key.slot as usize
    }

    /// Notes that this connection goes on in the next turn, if it may and has something to go on with.
    pub(super) fn go_on_later(&mut self, key: Key) {
        let inbound = &self.inbound[Self::slot(key)];
        let has_stash = !inbound.stash().is_empty() || inbound.is_paused();
        if let Some(link) = self.hub.links.get_mut(key)
            && (has_stash || link.readable)
            && !link.listed
            && !link.holds_reading(self.config.max_queued_bytes)
            && !inbound.phase.awaits_app()
        {
            link.listed = true;
            self.goes_on_next.push(key);
        }
    }

    /// Whether nothing may be read from this connection now.
    pub(super) fn holds_reading(&self, key: Key) -> bool {
        let held = self.hub.links.get(key).is_none_or(|link| link.holds_reading(self.config.max_queued_bytes));
        held || self.inbound[Self::slot(key)].phase.awaits_app()
    }

    /// A connection's share of this turn: what is stashed, or one read.
    fn drive(&mut self, key: Key, turn: &mut Turn<'_>) {
        if self.holds_reading(key) {
            return; // or it is gone
        }
        self.hub.cork(key);
        let inbound = &mut self.inbound[Self::slot(key)];
        let mut stash = inbound.take_stash();
        if !stash.is_empty() || inbound.is_paused() {
            let used = self.input(key, &mut stash);
            stash.drain(..used);
            self.keep(key, stash);
        } else if let Some(link) = self.hub.links.get_mut(key)
            && link.readable
        {
            match link.socket.read(turn.buffer, link.read_closed) {
                Read::Bytes { count, drained } => {
                    link.readable = !drained;
                    link.is_heard(turn.now);
                    let bytes = &mut turn.buffer[..count];
                    let used = self.input(key, bytes);
                    if used < count {
                        self.keep(key, turn.buffer[used..count].to_vec());
                    }
                }
                Read::Blocked => link.readable = false,
                Read::Ended => {
                    link.readable = false;
                    self.peer_ended(key);
                }
                Read::Failed(error) => self.end(key, &End::Broken(error.kind())),
            }
        }
        self.hub.uncork(key);
        self.go_on_later(key);
    }

    fn keep(&mut self, key: Key, rest: Vec<u8>) {
        if self.hub.links.get(key).is_some() {
            self.inbound[Self::slot(key)].set_stash(rest);
        }
    }

    /// Uses bytes that came, and says how many: all, unless the app must answer first or the turn is over.
    fn input(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        match &self.inbound[Self::slot(key)].phase {
            Phase::Open { .. } => self.frames(key, bytes),
            Phase::Http(_) => self.http(key, bytes),
            Phase::Answering { .. } | Phase::Judging { .. } => 0,
            Phase::Over => bytes.len(),
        }
    }

    /// Reads requests until one is asked.
    #[cold]
    fn http(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let Self { hub, inbound, config, .. } = self;
        let Phase::Http(stream) = &mut inbound[Self::slot(key)].phase else { return 0 };
        let go_on = || hub.send_http(key, b"HTTP/1.1 100 Continue\r\n\r\n");
        match stream.receive(bytes, config, go_on) {
            Ok((used, None)) => used,
            Ok((used, Some(asked))) => {
                self.ask(key, asked);
                used
            }
            Err(rejection) => {
                let from = stream.from();
                self.refuse(key, from, &rejection);
                bytes.len()
            }
        }
    }

    /// Nothing was read from this peer for a while: what it owes us may be waiting in the kernel, so its time for that
    /// begins anew.
    pub(super) fn was_not_listened_to(&mut self, key: Key) {
        let now = self.hub.now;
        if let Some(link) = self.hub.links.get_mut(key)
            && matches!(link.stage, Stage::Http | Stage::Open | Stage::Closing)
        {
            link.since = now;
        }
        let inbound = &mut self.inbound[Self::slot(key)];
        if let Some(unfinished) = inbound.unfinished() {
            inbound.set_unfinished(inbound.buffered(), Some(Unfinished { progressed: now, ..unfinished }));
        }
    }

    /// Handles frames until they are used up, or the turn or the connection is over.
    fn frames(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let Self { app, hub, inbound, .. } = self;
        let Phase::Open { receiver, peer } = &mut inbound[Self::slot(key)].phase else { return length };
        let mut is_open = match hub.links.get(key).map(|link| link.stage) {
            Some(Stage::Open) => true,
            Some(Stage::Http | Stage::Closing) => false,
            // The app is about to hear of it.
            Some(Stage::Draining | Stage::Lingering) | None => return length,
        };
        let mut events = receiver.receive(bytes).with_inflate_budget(INFLATED_PER_TURN);
        let mut end = None;
        let mut completed = false;
        for _ in 0..EVENTS_PER_TURN {
            let event = match events.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    hub.fail(key, &Fault::Protocol(&error));
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
                        if hub.is_given_up(key) {
                            break; // by what it was owed first: the app is about to hear of it
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
                Onward::Deliver => is_open = true,
                Onward::Drop => is_open = false,
                Onward::Stop => break,
            }
        }
        let used = length - events.unread();
        match end {
            Some(end) => {
                self.finish(key, &end);
                self.hub.drain(key);
            }
            None => self.note_unfinished(key, completed),
        }
        used
    }

    /// Keeps the sum of unfinished messages right, and the time of their last progress. `completed`: whether a message
    /// has become whole since this was last noted, so that what is unfinished now is another one.
    pub(super) fn note_unfinished(&mut self, key: Key, completed: bool) {
        let inbound = &mut self.inbound[Self::slot(key)];
        if inbound.is_at_rest() {
            return;
        }
        let (buffered, begun) = match &inbound.phase {
            Phase::Open { receiver, .. } => (receiver.buffered_bytes(), receiver.has_unfinished()),
            Phase::Http(_) | Phase::Answering { .. } | Phase::Judging { .. } | Phase::Over => (0, false),
        };
        self.unfinished = self.unfinished - inbound.buffered() + buffered;
        let unfinished = match inbound.unfinished() {
            _ if !begun => None,
            Some(unfinished) if !completed && buffered <= unfinished.most => Some(unfinished),
            _ => Some(Unfinished { most: buffered, progressed: self.hub.now }),
        };
        inbound.set_unfinished(buffered, unfinished);
    }

    fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
        match order {
            Order::Publish(batch) => {
                for publication in batch.iter() {
                    let except = publication.except_at(self.hub.worker);
                    self.hub.publish_here(&publication.topic, &publication.message, except);
                }
            }
            Order::Send(key, message) => self.hub.send_owed(key, &message),
            Order::Answer(key, message) => self.hub.answer(key, &message),
            Order::Subscribe(key, topic) => self.hub.subscribe(key, &topic),
            Order::Unsubscribe(key, topic) => self.hub.unsubscribe(key, &topic),
            Order::Close(key, code, reason) => {
                if self.hub.close(key, Some(CloseFrame { code, reason: &reason })).is_err() {
                    let internal = CloseFrame { code: CloseCode::INTERNAL_ERROR, reason: "" };
                    // 1011 without a reason is a Close frame that can be sent.
                    let _ = self.hub.close(key, Some(internal));
                }
            }
            Order::Resume(key) => {
                if let Some(link) = self.hub.links.get_mut(key) {
                    link.paused = false;
                    self.was_not_listened_to(key);
                    self.go_on_later(key);
                }
            }
            Order::Stop => self.stop(turn),
        }
    }
}

impl<A: App> reactor::Handler for Worker<A> {
    type Mail = Mail<A::Peer>;

    fn accepted(&mut self, mut socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        let full = self.hub.links.len() - self.hub.turned_away >= self.room.connections;
        if full && self.hub.turned_away >= self.room.turned_away {
            return;
        }
        let mut registered = Ok(());
        let key = self.hub.links.insert_with(|key| {
            registered = turn.register(&mut socket, key);
            Link::new(socket, turn.now)
        });
        let inbound = Inbound::new(Phase::Http(Box::new(RequestStream::new(&self.config, peer))));
        match self.inbound.get_mut(Self::slot(key)) {
            Some(place) => *place = inbound,
            None => self.inbound.push(inbound),
        }
        if let Err(error) = registered {
            log::error!("{}: cannot be watched: {error}", self.hub.id(key));
            self.remove(key);
        } else if full {
            self.hub.turn_away(key);
            let rejection =
                Rejection::new(503).header("Retry-After", "10").body("the server is full, try again later\n");
            self.refuse(key, peer, &rejection);
        } else {
            trace!("{}: connected, from {peer}", self.hub.id(key));
        }
    }

    fn ready(&mut self, key: Key, readiness: Readiness, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        let Some(link) = self.hub.links.get_mut(key) else { return };
        link.readable |= readiness.readable || readiness.read_closed;
        link.read_closed |= readiness.read_closed;
        if readiness.writable && !link.outbox.is_empty() {
            self.hub.flush(key);
        }
        if self.hub.links.get(key).is_some_and(|link| link.listed) {
            return; // its share of this turn comes with the list
        }
        if self.congested {
            self.go_on_later(key);
        } else {
            self.drive(key, turn);
        }
    }

    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        match mail {
            Mail::Order(order) => self.order(order, turn),
            Mail::Answer(key, answer) => self.answer(key, answer),
        }
    }

    fn sweep(&mut self, turn: &mut Turn<'_>) {
        self.hub.now = turn.now;
        self.check_deadlines(turn.now);
    }

    fn end_of_turn(&mut self, turn: &mut Turn<'_>) -> Next {
        self.hub.now = turn.now;
        if !self.congested {
            for key in std::mem::take(&mut self.goes_on) {
                if let Some(link) = self.hub.links.get_mut(key) {
                    link.listed = false;
                    self.drive(key, turn);
                }
            }
        }
        self.hub.end_of_turn();
        self.bound_memory();
        self.handle_failures();
        for key in std::mem::take(&mut self.hub.relieved) {
            if self.hub.links.get(key).is_some() {
                self.was_not_listened_to(key);
                self.go_on_later(key);
            }
        }
        if self.has_stopped(turn.now) {
            return Next::Done;
        }
        self.goes_on.append(&mut self.goes_on_next);
        self.congested = self.hub.remote.is_overloaded();
        if self.congested {
            Next::Wait(Some(CONGESTION_PAUSE))
        } else if self.goes_on.is_empty() {
            let has_deadlines = self.hub.links.len() > 0 || self.stopping.is_some();
            Next::Wait(has_deadlines.then_some(self.sweep_period))
        } else {
            Next::Again
        }
    }
}

/// An idle connection is a row in two tables and owns nothing else. (In debug builds mio's sockets are
/// larger, and simulated ones are.)
#[cfg(not(any(test, debug_assertions)))]
const _: () = assert!(size_of::<Link>() <= 80 && size_of::<Inbound<()>>() <= 88);

/// Events of one connection in one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Bytes that one connection's input may become in one turn, about: a thousand times as many as came is possible.
const INFLATED_PER_TURN: usize = 1 << 20;
/// How often to look whether other workers have caught up.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
