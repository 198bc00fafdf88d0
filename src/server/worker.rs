//! One worker: the incoming half of its connections, between the reactor and the app.
//!
//! The two halves of the engine lie in two tables, so that a message can be handled while it is still borrowed from
//! its receiver: here the receivers with the app's peers, in the [`Hub`] the senders with their sockets.
//!
//! A connection is read once per turn, then goes on in the next one without waiting for an event if there is more:
//! nobody gets more than one buffer's worth, or 1,024 events, while others wait. What is left of a read then, or
//! while an answer of the app is awaited, waits in a stash of that connection, and nothing more is read.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use log::{debug, info, trace};

use super::{
    Acceptance, App, Config, Context, End, Handshake, Message, Remote, Request, Responder, Response, Verdict,
    http::{Asked, RequestStream, keeps_alive},
    hub::{Failure, Fault, Hub, OVERLOADED},
    link::{Link, Stage},
    remote::Order,
};
use crate::{
    CloseCode, CloseFrame, Delivery, Event, Receiver, Rejection, ServerHandshake,
    reactor::{self, Key, Mailbox, Next, Read, Readiness, Socket, Tick, Turn},
};

/// What other threads may post to a worker.
pub(super) enum Mail<P> {
    Order(Order),
    Answer(Key, Answer<P>),
}

/// What an app answers to what a client asked.
pub(super) enum Answer<P> {
    Reply(Response),
    Accept(Acceptance, P),
    Reject(Rejection),
}

impl<P> From<Order> for Mail<P> {
    fn from(order: Order) -> Self {
        Self::Order(order)
    }
}

pub(super) struct Worker<A: App> {
    pub(super) app: A,
    pub(super) config: Arc<Config>,
    pub(super) hub: Hub,
    /// The incoming half of each connection, by the slot of its key.
    pub(super) inbound: Vec<Inbound<A::Peer>>,
    mailbox: Mailbox<Mail<A::Peer>>,
    room: Room,
    /// Who goes on in this turn, left from the last one.
    goes_on: Vec<Key>,
    /// Who goes on in the next turn.
    goes_on_next: Vec<Key>,
    /// A worker does not keep up with its mail: nothing is read until it does.
    pub(super) congested: bool,
    /// Bytes of unfinished messages, in all.
    unfinished: u64,
    pub(super) swept: Tick,
    /// Since when the server is stopping.
    stopping: Option<Tick>,
}

/// How many connections a worker holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) connections: usize,
    /// Beyond these, how many at once are told that there is no room; more are dropped without a word.
    pub(super) turned_away: usize,
}

/// The incoming half of a connection.
pub(super) struct Inbound<P> {
    pub(super) phase: Phase<P>,
    /// What was read and not yet used; nothing is read while there is any.
    pub(super) stash: Vec<u8>,
    /// Bytes of an unfinished message, as the worker's total knows them.
    pub(super) buffered: u64,
    pub(super) unfinished: Option<Unfinished>,
}

/// Something that the peer has begun to send.
pub(super) struct Unfinished {
    /// The most bytes of it that were here at once.
    most: u64,
    /// When that became more. Neither Pings nor empty frames are progress.
    pub(super) progressed: Tick,
}

pub(super) enum Phase<P> {
    /// Reads a request.
    Http(Box<RequestStream>),
    /// The app owes the answer to a plain request.
    Answering { keep_alive: bool, head_only: bool },
    /// The app owes the verdict on a handshake.
    Judging(Box<ServerHandshake>),
    /// Reads frames.
    Open { receiver: Receiver, peer: P },
    /// Whatever comes is dropped.
    Over,
}

impl<P> Phase<P> {
    fn awaits_app(&self) -> bool {
        matches!(self, Self::Answering { .. } | Self::Judging(_))
    }
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

    fn slot(key: Key) -> usize {
        key.slot as usize
    }

    /// Notes that this connection goes on in the next turn, if it may and has something to go on with.
    fn go_on_later(&mut self, key: Key) {
        let may_go_on = !self.holds_reading(key);
        let has_stash = !self.inbound[Self::slot(key)].stash.is_empty();
        if let Some(link) = self.hub.links.get_mut(key)
            && may_go_on
            && (has_stash || link.readable)
            && !link.listed
        {
            link.listed = true;
            self.goes_on_next.push(key);
        }
    }

    /// Whether nothing may be read from this connection now.
    fn holds_reading(&self, key: Key) -> bool {
        let held = self.hub.links.get(key).is_none_or(|link| link.holds_reading(self.config.max_queued_bytes));
        held || self.inbound[Self::slot(key)].phase.awaits_app()
    }

    /// A connection's share of this turn: what is stashed, or one read.
    fn drive(&mut self, key: Key, turn: &mut Turn<'_>) {
        if self.hub.links.get(key).is_none() || self.holds_reading(key) {
            return;
        }
        self.hub.cork(key);
        let mut stash = std::mem::take(&mut self.inbound[Self::slot(key)].stash);
        if !stash.is_empty() {
            let used = self.input(key, &mut stash);
            stash.drain(..used);
            self.keep(key, stash);
        } else if let Some(link) = self.hub.links.get_mut(key)
            && link.readable
        {
            match link.socket.read(turn.buffer, link.read_closed) {
                Read::Bytes { count, drained } => {
                    link.readable = !drained;
                    link.heard = turn.now;
                    link.pinged = None;
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
            // An empty one keeps no room either.
            self.inbound[Self::slot(key)].stash = if rest.is_empty() { Vec::new() } else { rest };
        }
    }

    /// Uses bytes that came, and says how many: all, unless the app must answer first or the turn is over.
    fn input(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        match &mut self.inbound[Self::slot(key)].phase {
            Phase::Http(stream) => {
                let hub = &mut self.hub;
                let go_on = || hub.send_http(key, b"HTTP/1.1 100 Continue\r\n\r\n");
                match stream.receive(bytes, &self.config, go_on) {
                    Ok((used, None)) => used,
                    Ok((used, Some(asked))) => {
                        self.ask(key, asked);
                        used
                    }
                    Err(rejection) => {
                        self.refuse(key, &rejection);
                        bytes.len()
                    }
                }
            }
            Phase::Open { .. } => self.frames(key, bytes),
            Phase::Answering { .. } | Phase::Judging(_) => 0,
            Phase::Over => bytes.len(),
        }
    }

    /// Hands a request to the app.
    fn ask(&mut self, key: Key, asked: Asked) {
        let Some(peer) = self.hub.links.get(key).map(|link| link.peer) else { return };
        let inbound = &mut self.inbound[Self::slot(key)];
        match asked {
            Asked::Plain { head, body } => {
                let keep_alive = keeps_alive(&head) && self.stopping.is_none();
                inbound.phase = Phase::Answering { keep_alive, head_only: head.method() == "HEAD" };
                trace!("{}: {} {}", self.hub.id(key), head.method(), head.target());
                let responder = Responder::new(self.mailbox.clone(), key);
                self.app.request(&Request { head: &head, body: &body, peer }, responder);
            }
            Asked::WebSocket { head, handshake } => {
                let verdict = Verdict::new(self.mailbox.clone(), key);
                let asked = Handshake { request: &head, websocket: &handshake, peer, id: self.hub.id(key) };
                self.app.accept(&asked, verdict);
                inbound.phase = Phase::Judging(Box::new(handshake));
            }
        }
    }

    /// Carries out what the app answered.
    fn answer(&mut self, key: Key, answer: Answer<A::Peer>) {
        if self.hub.links.get(key).is_none() {
            return;
        }
        let phase = &mut self.inbound[Self::slot(key)].phase;
        match (std::mem::replace(phase, Phase::Over), answer) {
            (Phase::Answering { keep_alive, head_only }, Answer::Reply(response)) => {
                self.hub.send_http(key, &response.encode(keep_alive, head_only));
                if keep_alive && self.stopping.is_none() {
                    *phase = Phase::Http(Box::new(RequestStream::new(&self.config)));
                    if let Some(link) = self.hub.links.get_mut(key) {
                        link.enter(Stage::Http, self.hub.now);
                    }
                } else {
                    self.hub.drain(key);
                }
            }
            (Phase::Judging(handshake), Answer::Accept(acceptance, peer)) => {
                self.open(key, *handshake, &acceptance, peer);
            }
            (Phase::Judging(_), Answer::Reject(rejection)) => {
                self.refuse(key, &rejection);
            }
            // The kinds of question and answer are tied by the types of `Reply` and `Verdict`, each used once.
            (phase_before, _) => *phase = phase_before,
        }
        self.go_on_later(key);
    }

    fn open(&mut self, key: Key, handshake: ServerHandshake, acceptance: &Acceptance, mut peer: A::Peer) {
        let headers: Vec<_> = acceptance.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut out = Vec::new();
        let accepted = handshake.accept(
            acceptance.subprotocol.as_deref(),
            &headers,
            self.config.limits,
            Delivery::Messages,
            &mut out,
        );
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                log::error!("{}: the handshake cannot be answered: {error}", self.hub.id(key));
                self.refuse(key, &Rejection::new(500).body("internal error\n"));
                return;
            }
        };
        let id = self.hub.id(key);
        if let Some(link) = self.hub.links.get_mut(key) {
            debug!("{id}: open, from {}", link.peer);
            link.sender = Some(connection.sender);
            link.enter(Stage::Open, self.hub.now);
            // The time that the verdict took was not the peer's.
            link.heard = self.hub.now;
        }
        self.hub.send_http(key, &out);
        let opened_while_stopping = self.stopping.is_some();
        self.hub.cork(key);
        self.app.opened(&mut peer, &mut Context::new(&mut self.hub, key));
        self.hub.uncork(key);
        self.inbound[Self::slot(key)].phase = Phase::Open { receiver: connection.receiver, peer };
        if opened_while_stopping {
            self.close_for_stop(key);
        }
    }

    /// Ends a connection that speaks HTTP, once its answers are written.
    fn drain(&mut self, key: Key) {
        self.inbound[Self::slot(key)].phase = Phase::Over;
        self.hub.drain(key);
    }

    /// Nothing was read from this peer for a while: neither its silence nor its pause says anything.
    pub(super) fn was_not_listened_to(&mut self, key: Key) {
        if let Some(link) = self.hub.links.get_mut(key) {
            link.heard = self.hub.now;
        }
        if let Some(unfinished) = &mut self.inbound[Self::slot(key)].unfinished {
            unfinished.progressed = self.hub.now;
        }
    }

    /// Answers with a rejection and ends the connection.
    pub(super) fn refuse(&mut self, key: Key, rejection: &Rejection) {
        if let Some(link) = self.hub.links.get(key) {
            debug!("{}: refused with {}, from {}", self.hub.id(key), rejection.status(), link.peer);
        }
        let mut out = Vec::new();
        if let Err(error) = rejection.write(&mut out) {
            log::error!("{}: a rejection cannot be written: {error}", self.hub.id(key));
            // The engine's own words can be written.
            let _ = Rejection::new(500).body("internal error\n").write(&mut out);
        }
        self.inbound[Self::slot(key)].phase = Phase::Over;
        self.hub.send_http(key, &out);
        self.hub.drain(key);
    }

    /// Handles frames until they are used up, or the turn or the connection is over.
    fn frames(&mut self, key: Key, bytes: &mut [u8]) -> usize {
        let length = bytes.len();
        let Self { app, hub, inbound, config, .. } = self;
        let Phase::Open { receiver, peer } = &mut inbound[Self::slot(key)].phase else { return length };
        let mut events = receiver.receive(bytes);
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
            if let Some(reply) = event.reply() {
                hub.reply(key, reply);
            }
            let message = match event {
                Event::Text(text) => Message::Text(text),
                Event::Binary(bytes) => Message::Binary(bytes),
                Event::Close(frame) => {
                    end = Some(close_end(hub, key, frame));
                    break;
                }
                Event::Ping(_) | Event::Pong(_) | Event::Piece(_) => continue,
            };
            completed = true;
            if hub.is_open(key) {
                app.message(peer, message, &mut Context::new(hub, key));
            }
            hub.flush_full_cork(key);
            if hub.links.get(key).is_none_or(|link| link.holds_reading(config.max_queued_bytes)) {
                break;
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
    fn note_unfinished(&mut self, key: Key, completed: bool) {
        let inbound = &mut self.inbound[Self::slot(key)];
        let (buffered, begun) = match &inbound.phase {
            Phase::Open { receiver, .. } => (receiver.buffered_bytes(), receiver.has_unfinished()),
            Phase::Http(_) | Phase::Answering { .. } | Phase::Judging(_) | Phase::Over => (0, false),
        };
        self.unfinished = self.unfinished - inbound.buffered + buffered;
        inbound.buffered = buffered;
        inbound.unfinished = match inbound.unfinished.take() {
            _ if !begun => None,
            Some(unfinished) if !completed && buffered <= unfinished.most => Some(unfinished),
            _ => Some(Unfinished { most: buffered, progressed: self.hub.now }),
        };
    }

    /// The peer ended its side of TCP.
    fn peer_ended(&mut self, key: Key) {
        let Some(link) = self.hub.links.get_mut(key) else { return };
        link.read_closed = true;
        match self.inbound[Self::slot(key)].phase {
            // A write may have found the connection broken already, and taken the socket's error with it.
            Phase::Open { .. } if self.hub.failed.iter().any(|(failed, _)| *failed == key) => {}
            Phase::Open { .. } => self.end(key, &End::Vanished),
            // It may still want the answer to what it asked.
            Phase::Answering { .. } | Phase::Judging(_) => {}
            // The answer to its last request may still be on its way.
            Phase::Http(_) => self.drain(key),
            Phase::Over => {
                if link.stage == Stage::Lingering {
                    self.remove(key);
                }
            }
        }
    }

    /// The connection is over for the app, which hears of it once; frames that wait are still written.
    pub(super) fn finish(&mut self, key: Key, end: &End) {
        let inbound = &mut self.inbound[Self::slot(key)];
        inbound.stash = Vec::new();
        let phase = std::mem::replace(&mut inbound.phase, Phase::Over);
        self.note_unfinished(key, true);
        if let Phase::Open { peer, .. } = phase {
            let id = self.hub.id(key);
            match self.hub.links.get(key) {
                Some(link) => debug!("{id}: {end}, from {}", link.peer),
                None => debug!("{id}: {end}"),
            }
            self.app.closed(peer, id, end, &self.hub.remote);
        }
    }

    /// The connection is over at once.
    pub(super) fn end(&mut self, key: Key, end: &End) {
        self.finish(key, end);
        self.remove(key);
    }

    fn remove(&mut self, key: Key) {
        self.hub.remove(key);
        if let Some(inbound) = self.inbound.get_mut(Self::slot(key)) {
            inbound.stash = Vec::new();
            inbound.phase = Phase::Over;
        }
    }

    /// Fails a connection by policy: the peer is told why, and the app.
    pub(super) fn fail(&mut self, key: Key, end: &End, reason: &str) {
        self.finish(key, end);
        self.hub.fail(key, &Fault::Policy(end.code(), reason));
        self.go_on_later(key);
    }

    /// Carries out what the hub found: broken sockets, subscribers that are too slow.
    fn handle_failures(&mut self) {
        while let Some((key, failure)) = self.hub.failed.pop() {
            if self.hub.links.get(key).is_none() {
                continue;
            }
            match failure {
                Failure::Broken(error) => self.end(key, &End::Broken(error.kind())),
                Failure::Overloaded => self.fail(key, &End::Overloaded, OVERLOADED),
                Failure::Cut => self.end(key, &End::Overloaded),
                Failure::TooSlow => {
                    if self.hub.is_open(key) {
                        self.fail(key, &End::TooSlow, "too slow for what is published");
                    }
                }
            }
        }
    }

    /// Closes whoever uses most of this worker's memory while that is more than it may be.
    fn bound_memory(&mut self) {
        let limit = self.config.max_worker_bytes;
        let used = |worker: &Self| worker.hub.queued_bytes() + usize::try_from(worker.unfinished).unwrap_or(usize::MAX);
        while used(self) > limit {
            let share = |key: Key, link: &Link| link.outbox.len() as u64 + self.inbound[Self::slot(key)].buffered;
            let largest = self.hub.links.iter().max_by_key(|&(key, link)| share(key, link)).map(|(key, _)| key);
            let Some(key) = largest else { return };
            let before = used(self);
            if self.hub.is_open(key) {
                self.fail(key, &End::Overloaded, OVERLOADED);
            }
            if used(self) >= before {
                self.end(key, &End::Overloaded);
            }
        }
    }

    fn order(&mut self, order: Order, turn: &mut Turn<'_>) {
        match order {
            Order::Publish(batch) => {
                for publication in batch.iter() {
                    self.hub.publish_here(&publication.topic, &publication.message, None);
                }
            }
            Order::Send(key, message) => self.hub.send_owed(key, &message),
            Order::Answer(key, message) => self.hub.answer(key, &message),
            Order::Subscribe(key, topic) => self.hub.subscribe(key, &topic),
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

    fn stop(&mut self, turn: &mut Turn<'_>) {
        if self.stopping.is_some() {
            return;
        }
        self.stopping = Some(turn.now);
        turn.stop_listening();
        info!("worker {}: stopping with {} connections", self.hub.worker, self.hub.links.len());
        for key in self.hub.links.keys().collect::<Vec<_>>() {
            match &self.inbound[Self::slot(key)].phase {
                Phase::Open { .. } => self.close_for_stop(key),
                Phase::Http(stream) if stream.is_idle() => self.drain(key),
                Phase::Http(_) | Phase::Answering { .. } | Phase::Judging(_) | Phase::Over => {}
            }
        }
    }

    fn close_for_stop(&mut self, key: Key) {
        let frame = CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server is stopping" };
        // A code and reason of our own that fit.
        let _ = self.hub.close(key, Some(frame));
    }

    /// Whether the server is stopping and this worker has nothing left to do, or no time to do it.
    fn has_stopped(&mut self, now: Tick) -> bool {
        let Some(since) = self.stopping else { return false };
        if now.since(since) >= self.config.stop_timeout {
            for key in self.hub.links.keys().collect::<Vec<_>>() {
                self.end(key, &End::Stopped);
            }
        }
        self.hub.links.len() == 0
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
            Link::new(socket, peer, turn.now)
        });
        let inbound = Inbound {
            phase: Phase::Http(Box::new(RequestStream::new(&self.config))),
            stash: Vec::new(),
            buffered: 0,
            unfinished: None,
        };
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
            self.refuse(key, &rejection);
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
            Next::Wait(has_deadlines.then(|| self.config.sweep_period()))
        } else {
            Next::Again
        }
    }
}

/// How a connection ended whose peer sent this Close frame.
fn close_end(hub: &Hub, key: Key, frame: Option<CloseFrame<'_>>) -> End {
    let link = hub.links.get(key);
    match link.filter(|link| link.stage == Stage::Closing).and_then(|link| link.sender.as_ref()?.close_code()) {
        Some(code) => End::Closed { by_us: true, code },
        None => End::Closed { by_us: false, code: frame.map(|frame| frame.code) },
    }
}

/// Events of one connection in one turn.
const EVENTS_PER_TURN: usize = 1024;
/// How often to look whether other workers have caught up.
const CONGESTION_PAUSE: Duration = Duration::from_millis(1);
