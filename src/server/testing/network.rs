//! The workers and the clients' ends of one server.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use super::{
    super::{
        App, Config, Remote,
        addresses::Addresses,
        date::Date,
        inbound::Mail,
        worker::{Capacity, Worker},
    },
    end::End,
};
use crate::reactor::{
    Clock, Next,
    simulated::{Faults, Network, Random, Reactor, Time, Wire},
};

/// A network with one server.
pub(super) struct TestNetwork<A: App> {
    network: Network,
    workers: RefCell<Vec<TestWorker<A>>>,
    /// The ends of all connections, by their number in the network.
    ends: RefCell<Vec<Rc<RefCell<End>>>>,
    /// The number of clients without an address of their own.
    clients: Cell<u16>,
}

struct TestWorker<A: App> {
    /// `None` after the event loop has ended.
    reactor: Option<Reactor<Mail<A::Peer, A::Told>>>,
    worker: Worker<A>,
}

/// The clients' view of a network: they know no app.
pub(super) trait Rest {
    /// Runs workers and clients until nothing more happens at this time.
    fn rest(&self);
}

impl<A: App> TestNetwork<A> {
    /// Starts the workers.
    pub(super) fn new(config: Config, mut make_app: impl FnMut(&Remote<A::Told>) -> A) -> (Self, Remote<A::Told>) {
        let network = Network::new(Random::new(0), config.workers, Faults::default(), false);
        let epoch = Instant::now();
        let clock = Clock::starting_at(epoch);
        let made = (0..config.workers)
            .map(|worker| Reactor::new(&network, worker, (clock, epoch), config.max_mail_bytes(), BUFFER_BYTES));
        let (reactors, mailboxes): (Vec<_>, Vec<_>) = made.unzip();
        let remote = Remote::new(&mailboxes);
        let connections = config.max_connections.unwrap_or(usize::MAX).max(1);
        let addresses = Arc::new(Addresses::new(&config));
        let capacity = Capacity { connections, over_capacity: super::super::MAX_OVER_CAPACITY, addresses };
        let config = Arc::new(config);
        let start = |(number, (reactor, mailbox))| {
            let app = make_app(&remote);
            let (config, capacity, now) = (Arc::clone(&config), capacity.clone(), clock.tick(epoch));
            let mut worker = Worker::new(app, config, remote.untyped(), number, mailbox, capacity, now);
            worker.date = Date::new(|| UNIX_EPOCH);
            worker.started();
            TestWorker { reactor: Some(reactor), worker }
        };
        let workers = (0..).zip(reactors.into_iter().zip(mailboxes)).map(start).collect();
        let (ends, clients) = (RefCell::default(), Cell::new(0));
        (Self { network, workers: RefCell::new(workers), ends, clients }, remote)
    }

    /// Connects a client to the next worker.
    pub(super) fn connect(&self, address: SocketAddr) -> Rc<RefCell<End>> {
        let mut ends = self.ends.borrow_mut();
        let worker = ends.len() % self.workers.borrow().len();
        let end = Rc::new(RefCell::new(End::new(self.network.connect_from(address, worker, WIRE, WIRE))));
        ends.push(Rc::clone(&end));
        end
    }

    /// Returns an address for a client that has none of its own.
    pub(super) fn next_address(&self) -> SocketAddr {
        let number = self.clients.get();
        self.clients.set(number.wrapping_add(1));
        SocketAddr::from(([10, 0, 0, 1], 1024 + number % (u16::MAX - 1024)))
    }

    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_micros(self.network.now())
    }

    /// Lets time pass.
    pub(super) fn advance(&self, time: Duration) {
        let until = self.network.now().saturating_add(Time::try_from(time.as_micros()).unwrap_or(Time::MAX));
        loop {
            self.rest();
            let wakes_at = self.workers.borrow().iter().filter_map(TestWorker::wakes_at).min();
            let next = [self.network.next_move(), wakes_at].into_iter().flatten().min();
            match next.filter(|at| *at <= until) {
                Some(at) => self.network.advance(at),
                None => break,
            };
        }
        self.network.advance(until);
        self.rest();
    }

    pub(super) fn with_app<T>(&self, worker: usize, look: impl FnOnce(&mut A) -> T) -> T {
        look(&mut self.workers.borrow_mut()[worker].worker.app)
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.workers.borrow().iter().all(|worker| worker.reactor.is_none())
    }
}

impl<A: App> Rest for TestNetwork<A> {
    fn rest(&self) {
        for _ in 0..MAX_ROUNDS {
            let now = self.network.now();
            let mut is_at_rest = self.network.advance(now) == 0;
            for number in self.network.take_ready_clients() {
                is_at_rest = false;
                let end = Rc::clone(&self.ends.borrow()[number]);
                end.borrow_mut().pump();
            }
            for worker in self.workers.borrow_mut().iter_mut() {
                is_at_rest &= !worker.turn(now);
            }
            if is_at_rest {
                return;
            }
        }
        panic!("the server does not come to rest: something in it goes on without time passing");
    }
}

impl<A: App> TestWorker<A> {
    fn wakes_at(&self) -> Option<Time> {
        self.reactor.as_ref()?.wakes_at()
    }

    /// Runs a turn, if there is something to do. Returns whether there was.
    fn turn(&mut self, now: Time) -> bool {
        let Some(reactor) = &mut self.reactor else { return false };
        if !reactor.is_ready() && reactor.wakes_at().is_none_or(|at| at > now) {
            return false;
        }
        let (next, _) = reactor.turn(&mut self.worker);
        if next == Next::Done {
            self.reactor = None;
        }
        true
    }
}

/// A connection to the server without delay, with buffers as large as those of many systems.
const WIRE: Wire = Wire { send_buffer: 64 << 10, receive_buffer: 64 << 10, delay: 0, piece: usize::MAX };
/// The size of a worker's read buffer.
const BUFFER_BYTES: usize = 128 << 10;
/// More rounds than any test needs: a message of 16 MiB takes a few thousand.
const MAX_ROUNDS: usize = 100_000;
