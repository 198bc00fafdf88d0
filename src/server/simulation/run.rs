//! One run: network, workers and clients are driven by a queue ordered by time. The invariants are checked after each
//! turn of a worker.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Instant, UNIX_EPOCH},
};

use super::{
    super::{
        Remote,
        date::Date,
        inbound::{Inbound, Input, Mail},
        state::State,
        worker::Worker,
    },
    STEPS,
    app::{self, Peer, Service, Told},
    client::{Call, Client},
    ledger::{Deferred, Ledger},
    setting::{PROFILES, Pause, PauseCause, Setting},
    step_name,
};
use crate::{
    Message,
    reactor::{
        Clock, Handler, Key, Next, Readiness, Socket, Turn,
        simulated::{self, MILLISECOND, Network, Random, SECOND, Time},
    },
};

/// The result of a run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The hash of everything that happened.
    pub(super) trace: u64,
    pub(super) time: Time,
    pub(super) turns: u64,
    pub(super) counts: BTreeMap<String, u64>,
}

/// Runs a seed.
pub(super) fn run(seed: u64, print: bool) -> Outcome {
    let mut random = Random::new(seed);
    let profile = PROFILES[random.below(PROFILES.len())];
    let setting = Setting::new(profile, &mut random);
    // Without a random number, so that the other seeds are the same with this feature and without it.
    #[cfg(feature = "tls")]
    let setting = if seed % 4 == 3 { setting.secured() } else { setting };
    let mut simulation = Simulation::new(setting, random, print);
    STEPS.take();
    simulation.run();
    let mut ledger = simulation.ledger.borrow_mut();
    for ((state, step), count) in STEPS.take() {
        *ledger.counts.entry(step_name(state, step)).or_default() += count;
    }
    Outcome {
        trace: simulation.network.trace(),
        time: simulation.network.now(),
        turns: simulation.workers.iter().map(|worker| worker.turns).sum(),
        counts: ledger.counts.clone(),
    }
}

struct Simulation {
    setting: Rc<Setting>,
    random: Random,
    network: Network,
    ledger: Rc<RefCell<Ledger>>,
    remote: Remote<Told>,
    workers: Vec<SimulatedWorker>,
    clients: Vec<Client>,
    agenda: BTreeMap<(Time, u64), Item>,
    sequence: u64,
    stopped_at: Option<Time>,
}

/// A worker and its event loop.
struct SimulatedWorker {
    /// `None` after the loop has ended.
    reactor: Option<simulated::Reactor<Mail<Peer, Told>>>,
    recorder: Recorder,
    /// When the worker runs because something is ready, or because a signal interrupts its wait.
    due: Option<Time>,
    is_interrupted: bool,
    /// The worker does not run before this time.
    busy_until: Time,
    last_turn: Time,
    turns: u64,
    next: Next,
}

enum Item {
    Connect,
    Call(usize, Call),
    Deferred(Deferred),
    /// A thread outside of the workers publishes.
    Announce(u32),
    Pause(Pause),
    Stop,
}

/// Passes every callback to the worker, and records it in the ledger.
struct Recorder {
    worker: Worker<Service>,
    number: u16,
    ledger: Rc<RefCell<Ledger>>,
    /// The number of accepted connections and items of mail in this turn.
    calls: usize,
}

impl Handler for Recorder {
    type Mail = Mail<Peer, Told>;

    fn accepted(&mut self, socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>) {
        self.calls += 1;
        self.worker.accepted(socket, peer, turn);
    }

    fn ready(&mut self, key: Key, readiness: Readiness, turn: &mut Turn<'_>) {
        self.worker.ready(key, readiness, turn);
    }

    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>) {
        self.calls += 1;
        if let Mail::Command(command) = &mail {
            self.ledger.borrow_mut().command_received(self.number, command);
        }
        self.worker.mail(mail, turn);
        // A connection that is accepted while the server stops is closed at once.
        self.ledger.borrow_mut().close_all(self.number);
    }

    fn sweep(&mut self, turn: &mut Turn<'_>) {
        let links = &self.worker.hub.links;
        let draining = links.iter().filter(|(_, link)| link.state() == State::Draining).map(|(key, _)| key);
        let draining: Vec<Key> = draining.collect();
        self.worker.sweep(turn);
        for key in draining.into_iter().filter(|key| self.worker.hub.links.get(*key).is_none()) {
            self.ledger.borrow_mut().cut(self.number, key);
        }
    }

    fn end_of_turn(&mut self, turn: &mut Turn<'_>) -> Next {
        self.worker.end_of_turn(turn)
    }

    fn sockets(&self) -> usize {
        self.worker.sockets()
    }
}

impl Recorder {
    /// Returns the number of stashed bytes, which a turn can process without a call on a socket.
    fn stashed(&self) -> usize {
        self.worker.inbound.iter().map(|inbound| inbound.stash().len()).sum()
    }

    /// Checks the invariants between two turns.
    fn check(&self, network: &Network, next: Next) {
        let Worker { hub, inbound, .. } = &self.worker;
        let outgoing: usize = hub.links.iter().map(|(_, link)| link.outbox.allocated_bytes()).sum();
        assert_eq!(hub.links.bounds.outgoing(), outgoing, "worker {}: the count of bytes that wait", self.number);
        let owned = |key| hub.links.is_open(key);
        assert!(hub.timers.connections().all(owned), "worker {}: a timer outlives its connection", self.number);
        let waits = matches!(next, Next::Wait(_)) && !hub.congested;
        assert!(!(waits && hub.links.has_drained()), "worker {} waits, and has an app to tell", self.number);
        let incoming: usize = inbound.iter().map(Inbound::allocated_bytes).sum();
        assert_eq!(hub.links.bounds.incoming(), incoming, "worker {}: the count of unprocessed input", self.number);
        let bound = self.worker.config.max_connection_bytes();
        let is_within = incoming <= bound / 2 && incoming + outgoing <= bound;
        assert!(is_within, "worker {}: {incoming} and {outgoing} bytes of {bound}", self.number);
        // All clients have one address.
        let counted = self.worker.capacity.addresses.count();
        let allowed = self.worker.config.max_connections_per_address.unwrap_or(usize::MAX);
        assert!(counted <= allowed, "{counted} connections of one address, {allowed} are allowed");
        let own = hub.links.iter().filter(|(_, link)| link.permit.is_some()).count();
        assert_eq!(own, hub.links.len() - hub.over_capacity, "worker {}: each connection is counted", self.number);
        assert!(
            hub.links.dirty.is_empty()
                && hub.links.resumable.is_empty()
                && hub.outgoing.is_empty()
                && hub.cork.is_empty()
        );
        assert!(hub.corked.is_none(), "worker {}: a connection is corked between turns", self.number);
        assert_eq!(hub.topics.logged_bytes(), 0, "worker {}: a log outlives its turn", self.number);
        let scheduled: BTreeSet<Key> = self.worker.run_queue.iter().chain(&self.worker.securing).copied().collect();
        let mut without_input = inbound.len();
        for (key, link) in hub.links.iter() {
            let input = &inbound[key.slot as usize].input;
            without_input -= usize::from(!matches!(input, Input::Dropped));
            let fits = match link.state() {
                State::Securing | State::Request => matches!(input, Input::Request(_)),
                State::AwaitingResponse => matches!(input, Input::Response { .. }),
                State::AwaitingVerdict => matches!(input, Input::Verdict { .. }),
                State::Open | State::Closing => matches!(input, Input::Frames { .. }),
                State::Evicted | State::Truncated => false, // the end of the turn has ended them
                State::Draining => matches!(input, Input::Dropped) && !link.is_drained(),
                State::Lingering => matches!(input, Input::Dropped) && link.is_drained(),
            };
            assert!(fits, "worker {}: {key:?} has another input than its state needs: {link:?}", self.number);
            assert_eq!(link.scheduled, scheduled.contains(&key), "worker {}: {key:?} is scheduled", self.number);
        }
        let dropped = inbound.iter().filter(|inbound| matches!(inbound.input, Input::Dropped)).count();
        assert_eq!(dropped, without_input, "worker {}: an input has no connection", self.number);
        assert!(hub.links.ended.is_empty(), "worker {}: an end is not handled", self.number);
        if self.worker.hub.congested || next == Next::Done {
            return;
        }
        for (key, readable, has_room) in network.unannounced(usize::from(self.number)) {
            let Some(link) = hub.links.get(key) else { continue };
            let forgotten = readable && !self.worker.is_read_paused(key) && !link.scheduled;
            assert!(!forgotten, "worker {}: {key:?} has something to read and is forgotten: {link:?}", self.number);
            let forgotten = has_room && !link.outbox.is_empty();
            assert!(!forgotten, "worker {}: {key:?} has room and is forgotten: {link:?}", self.number);
        }
        for (key, link) in hub.links.iter() {
            let over = link.state() == State::Lingering && link.read_closed;
            assert!(!over || link.scheduled, "worker {}: {key:?} has ended and is forgotten: {link:?}", self.number);
            let stashed = !inbound[key.slot as usize].stash().is_empty() && !self.worker.is_read_paused(key);
            assert!(
                !stashed || link.scheduled,
                "worker {}: {key:?} has a stash and is forgotten: {link:?}",
                self.number
            );
        }
    }

    /// Checks the state without connections.
    fn check_at_rest(&self) {
        let Worker { hub, inbound, run_queue, next_run_queue, .. } = &self.worker;
        assert_eq!(hub.links.len(), 0, "worker {}: a connection is left", self.number);
        assert_eq!(hub.over_capacity, 0, "worker {}: a connection is still being refused", self.number);
        let scheduled = run_queue.len() + next_run_queue.len();
        assert!(
            scheduled == 0 || self.worker.stopping.is_some(),
            "worker {}: a connection is in a run queue",
            self.number
        );
        assert!(hub.links.ended.is_empty(), "worker {}: a failure is not handled", self.number);
        assert_eq!((hub.links.bounds.outgoing(), hub.links.bounds.incoming()), (0, 0), "worker {}", self.number);
        assert!(hub.topics.is_at_rest(), "worker {}: a topic is left: {:?}", self.number, hub.topics);
        for inbound in inbound {
            let empty = inbound.stash().is_empty() && inbound.allocated_bytes() == 0 && inbound.unfinished().is_none();
            assert!(
                empty && matches!(inbound.input, Input::Dropped),
                "worker {}: half a connection is left",
                self.number
            );
        }
    }
}

impl SimulatedWorker {
    /// Returns when the worker runs its next turn.
    fn due_at(&self) -> Option<Time> {
        let reactor = self.reactor.as_ref()?;
        [self.due, reactor.wakes_at()].into_iter().flatten().min().map(|at| at.max(self.busy_until))
    }

    fn turn(&mut self, network: &Network, random: &mut Random) {
        let Some(reactor) = &mut self.reactor else { return };
        let now = network.now();
        let was_asked_for = self.next == Next::Again;
        let (calls, stashed) = (network.calls(usize::from(self.recorder.number)), self.recorder.stashed());
        self.recorder.calls = 0;
        let (next, events) = reactor.turn(&mut self.recorder);
        self.turns += 1;
        let did = network.calls(usize::from(self.recorder.number)) - calls;
        let progressed = did > 0 || self.recorder.calls > 0 || self.recorder.stashed() != stashed;
        assert!(
            progressed || next != Next::Again || !was_asked_for,
            "worker {}: it repeats its turn without progress",
            self.recorder.number
        );
        let was_interrupted = std::mem::take(&mut self.is_interrupted);
        let for_nothing = !progressed && events == 0 && !was_asked_for && !was_interrupted && self.turns > 1;
        assert!(
            !for_nothing || now >= self.last_turn + MILLISECOND,
            "worker {}: it woke without a reason",
            self.recorder.number
        );
        network.note(format_args!("{}: {events} events, {did} calls, {next:?}", self.recorder.number));
        self.recorder.check(network, next);
        if next == Next::Done {
            self.reactor = None;
        }
        self.next = next;
        self.last_turn = now;
        self.due = None;
        self.busy_until = now + 1 + random.below(50) as Time;
    }
}

impl Simulation {
    fn new(setting: Setting, mut random: Random, print: bool) -> Self {
        let setting = Rc::new(setting);
        let network = Network::new(Random::new(random.next()), setting.workers, setting.faults, print);
        network.note(format_args!("{setting:?}"));
        let ledger = Rc::new(RefCell::new(Ledger::new(network.clone(), Rc::clone(&setting))));
        let epoch = Instant::now();
        let clock = Clock::starting_at(epoch);
        let made = (0..setting.workers).map(|worker| {
            let time = (clock, epoch);
            simulated::Reactor::new(&network, worker, time, setting.mailbox_bytes, setting.buffer_bytes)
        });
        let (reactors, mailboxes): (Vec<_>, Vec<_>) = made.unzip();
        let remote = Remote::new(&mailboxes);
        let config = Arc::new(setting.config.clone());
        let mut workers = Vec::new();
        for (number, (reactor, mailbox)) in (0..).zip(reactors.into_iter().zip(mailboxes)) {
            let app = Service { ledger: Rc::clone(&ledger) };
            let now = clock.tick(epoch);
            let mut worker =
                Worker::new(app, Arc::clone(&config), remote.untyped(), number, mailbox, setting.capacity.clone(), now);
            worker.date = Date::new(|| UNIX_EPOCH);
            let recorder = Recorder { worker, number, ledger: Rc::clone(&ledger), calls: 0 };
            workers.push(SimulatedWorker {
                reactor: Some(reactor),
                recorder,
                due: None,
                is_interrupted: false,
                busy_until: 0,
                last_turn: 0,
                turns: 0,
                next: Next::Wait(None),
            });
        }
        let mut simulation = Self {
            random,
            network,
            ledger,
            remote,
            workers,
            clients: Vec::new(),
            agenda: BTreeMap::new(),
            sequence: 0,
            stopped_at: None,
            setting,
        };
        simulation.prepare();
        simulation
    }

    fn prepare(&mut self) {
        for _ in 0..self.setting.clients {
            let at = self.random.below(2 * SECOND as usize) as Time;
            self.schedule(at, Item::Connect);
        }
        for number in 0..self.random.below(6) as u32 {
            let at = self.random.below(4 * SECOND as usize) as Time;
            self.schedule(at, Item::Announce(number));
        }
        for pause in self.setting.pauses.clone() {
            self.schedule(pause.at, Item::Pause(pause));
        }
        if let Some(at) = self.setting.stop_at {
            self.schedule(at, Item::Stop);
        }
    }

    fn schedule(&mut self, at: Time, item: Item) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), item);
    }

    fn run(&mut self) {
        self.run_until("all clients are done", |simulation| {
            let busy = simulation.agenda.values().any(|item| !matches!(item, Item::Call(..)));
            !busy && simulation.clients.iter().all(|client| client.is_over)
        });
        self.run_until("the workers have no connections", |simulation| {
            simulation
                .workers
                .iter()
                .all(|worker| worker.reactor.is_none() || worker.recorder.worker.hub.links.len() == 0)
        });
        // Mail between workers arrives; then they sleep without a timeout.
        self.run_until("the workers sleep", |simulation| {
            let asleep = |worker: &SimulatedWorker| {
                worker.reactor.as_ref().is_none_or(|reactor| !reactor.is_ready() && reactor.wakes_at().is_none())
            };
            simulation.workers.iter().all(asleep)
        });
        for worker in &self.workers {
            worker.recorder.check_at_rest();
        }
        assert_eq!(self.setting.capacity.addresses.count(), 0, "a connection is still counted for its address");
        self.ledger.borrow().check_at_rest();
        for client in &self.clients {
            self.ledger.borrow().check_over(client.number());
            client.check(&self.ledger.borrow());
        }
        if self.stopped_at.is_none() {
            self.stop();
        }
        self.run_until("the workers stop", |simulation| {
            simulation.workers.iter().all(|worker| worker.reactor.is_none())
        });
    }

    /// Runs until `is_done`, which must happen within a time limit.
    fn run_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        // The slowest wires need more than a thousand seconds for the bytes that may wait for a peer.
        let limit = self.network.now() + 5000 * SECOND;
        while !is_done(self) {
            assert!(self.step(), "{what}: nothing more happens");
            let now = self.network.now();
            assert!(now < limit, "{what}: not within {} s", limit / SECOND);
            let longest = self.setting.config.stop_timeout.as_micros() as Time + 2 * SECOND;
            let ledger = self.ledger.borrow();
            for (number, worker) in self.workers.iter().enumerate().filter(|(_, worker)| worker.reactor.is_some()) {
                let in_time =
                    ledger.stopping[number].is_none_or(|since| ledger.clocks[number].is_within(longest, since, now));
                assert!(in_time, "worker {} still runs", worker.recorder.number);
            }
        }
    }

    /// Advances to the next event and carries it out. Returns whether there was one.
    fn step(&mut self) -> bool {
        let now = self.network.now();
        for worker in &mut self.workers {
            let Some(reactor) = &worker.reactor else { continue };
            worker.is_interrupted |= self.random.chance(self.setting.faults.interrupts, 1000);
            if worker.due.is_none() && (worker.is_interrupted || reactor.is_ready()) {
                worker.due = Some(now + self.random.below(self.setting.longest_wait as usize) as Time);
            }
        }
        let next = [
            self.network.next_move(),
            self.agenda.first_key_value().map(|((at, _), _)| *at),
            self.workers.iter().filter_map(SimulatedWorker::due_at).min(),
        ];
        let Some(at) = next.into_iter().flatten().min() else { return false };
        self.network.advance(at);
        self.wake_clients();
        let at = self.network.now();
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= at
        {
            let item = entry.remove();
            self.execute(item);
        }
        let first = self.random.below(self.workers.len());
        for place in 0..self.workers.len() {
            let place = (first + place) % self.workers.len();
            if self.workers[place].due_at().is_some_and(|due| due <= at) {
                self.workers[place].turn(&self.network, &mut self.random);
                if self.workers[place].recorder.worker.hub.congested {
                    self.ledger.borrow_mut().count("a worker does not keep up with its mail");
                }
                let deferred = std::mem::take(&mut self.ledger.borrow_mut().deferred);
                for (after, action) in deferred {
                    self.schedule(at + after, Item::Deferred(action));
                }
            }
        }
        self.wake_clients();
        true
    }

    /// Schedules the clients for which something has arrived, at once or a little later.
    fn wake_clients(&mut self) {
        let ready: BTreeSet<usize> = self.network.take_ready_clients().into_iter().collect();
        for client in ready {
            if self.clients.get(client).is_some_and(|client| !client.is_over && !client.is_busy()) {
                let after = [0, self.random.below(2 * MILLISECOND as usize) as Time][self.random.below(2)];
                self.schedule(self.network.now() + after, Item::Call(client, Call::Pump));
            }
        }
    }

    fn execute(&mut self, item: Item) {
        let now = self.network.now();
        match item {
            Item::Connect => {
                let client = Client::new(&self.network, &self.setting, &mut self.random, &mut self.ledger.borrow_mut());
                self.clients.push(client);
                self.schedule_calls(self.clients.len() - 1);
            }
            Item::Call(number, call) => {
                let client = &mut self.clients[number];
                match call {
                    Call::Pump => client.pump(&mut self.ledger.borrow_mut()),
                    Call::Act => client.act(now, &mut self.ledger.borrow_mut()),
                    Call::Pause(pause) => self.pause(pause),
                }
                self.schedule_calls(number);
            }
            Item::Deferred(action) => match action {
                Deferred::Accept(verdict, client) => app::accept(verdict, client),
                Deferred::Drop(verdict) => drop(verdict),
                Deferred::Respond(responder, response) => responder.send(response),
                Deferred::Resume(id) => self.remote.resume(id),
                Deferred::Tell(id, told) => self.remote.tell(id, told),
            },
            Item::Announce(number) => {
                let text = format!("announce|{number}|");
                self.ledger.borrow_mut().post_to_others(None, text.as_bytes());
                self.remote.publish("hall", Message::Text(&text));
            }
            Item::Pause(pause) => self.pause(pause),
            Item::Stop => {
                self.ledger.borrow_mut().count("stopped during the run");
                self.stop();
            }
        }
    }

    fn schedule_calls(&mut self, client: usize) {
        let now = self.network.now();
        for (after, call) in std::mem::take(&mut self.clients[client].calls) {
            self.schedule(now + after, Item::Call(client, call));
        }
    }

    /// Lets workers serve nobody for a while.
    fn pause(&mut self, Pause { length, worker, cause, .. }: Pause) {
        let now = self.network.now();
        self.network.note(format_args!("{cause:?} for {length}: {worker:?}"));
        let mut ledger = self.ledger.borrow_mut();
        for (number, paused) in self.workers.iter_mut().enumerate() {
            let Some(reactor) = paused.reactor.as_mut().filter(|_| worker.is_none_or(|only| only == number)) else {
                continue;
            };
            if paused.busy_until > now + MILLISECOND {
                continue; // it pauses already
            }
            let from = now.max(paused.busy_until);
            paused.busy_until = from + length;
            ledger.count(if cause == PauseCause::Slow { "slow" } else { "suspended" });
            match cause {
                PauseCause::Suspended => ledger.clocks[number].suspended.push(from..from + length),
                PauseCause::Slow => {
                    reactor.add_computed(length);
                    ledger.clocks[number].slow.push(from..from + length);
                }
            }
        }
    }

    fn stop(&mut self) {
        self.network.note(format_args!("stop"));
        self.stopped_at = Some(self.network.now());
        self.remote.stop();
    }
}
