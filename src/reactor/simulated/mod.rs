//! A simulated network, poller and clock, driven by one seed, in place of the system's: for this crate's own tests, and
//! under the feature `testing` for those of apps.
//!
//! A connection is two flows of bytes. Written bytes wait in the writer's send buffer, move to the reader's receive
//! buffer in pieces of any length after some delay, and wait there to be read. Both buffers are bounded.
//!
//! Ends, resets and readiness behave as on Linux. After a reset, bytes that have arrived can still be read; then the
//! error is returned once, and then the end. Closing a socket with unread bytes resets the connection. Readiness is
//! announced at its edges, sometimes spuriously, and bytes may arrive between an event and the call that follows it.
//!
//! The same seed gives the same run.

//!
//! | file | what |
//! |---|---|
//! | `random.rs` | random numbers from a seed |
//! | `flow.rs` | a connection: two flows of bytes |
//! | `state.rs` | the state of a network, and everything that happens in it |
//! | `ends.rs` | both ends of a connection |
//! | `event_loop.rs` | listener, poller, waker and event loop of a worker |
//! | `observed.rs` | what the checks of the server's simulation look at |

mod ends;
mod event_loop;
mod flow;
#[cfg(test)]
mod observed;
mod random;
mod state;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub(crate) use ends::{Peer, Stream};
pub(crate) use event_loop::{Listener, Poller, Reactor, Waker};
#[cfg(test)]
pub(crate) use observed::pair;
pub(crate) use random::Random;

use flow::{Flags, Flow, Pair};
use state::{Move, PollState, State, Trace};

/// Microseconds since the run began.
pub(crate) type Time = u64;

#[cfg(test)]
pub(crate) const MILLISECOND: Time = 1000;
#[cfg(test)]
pub(crate) const SECOND: Time = 1_000_000;
/// A time that is never reached, such as the end of a stall for good.
pub(crate) const NEVER: Time = Time::MAX;

/// A handle to the whole network, shared by all clones.
#[derive(Clone, Debug)]
pub(crate) struct Network(Arc<Mutex<State>>);

/// How often the system does what it may but need not do. The numbers are percentages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Waits that return a spurious event.
    pub(crate) spurious: usize,
    /// System calls that a signal interrupts.
    pub(crate) interrupts: usize,
    /// Calls on a socket before which bytes arrive for it.
    pub(crate) arrivals: usize,
    /// Accepts that fail.
    pub(crate) refused_accepts: usize,
    /// An event reports the full readiness of its socket, as epoll does, instead of only the changes.
    pub(crate) reports_all: bool,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    /// The size of the writer's buffer, in bytes.
    pub(crate) send_buffer: usize,
    /// The size of the reader's buffer, in bytes.
    pub(crate) receive_buffer: usize,
    /// The longest time until a piece arrives.
    pub(crate) delay: Time,
    /// The longest piece, in bytes.
    pub(crate) piece: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Client = 0,
    Server = 1,
}

/// The facts about a connection that an outside observer knows: the checks of the server's simulation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// When bytes last arrived at the server.
    pub(crate) arrived: Time,
    /// The number of bytes that have arrived at the server.
    pub(crate) arrived_bytes: usize,
    /// When the server was last notified that it can write, or wrote some bytes.
    pub(crate) last_writable: Time,
    /// When the end of the client's side arrived at the server.
    pub(crate) ended: Option<Time>,
    /// When a reset arrived at the server.
    pub(crate) reset: Option<Time>,
    /// The client was reset.
    pub(crate) client_reset: bool,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

impl Network {
    pub(crate) fn new(random: Random, workers: usize, faults: Faults, print: bool) -> Self {
        let workers = (0..workers).map(|_| PollState { is_listening: true, ..PollState::default() }).collect();
        Self(Arc::new(Mutex::new(State {
            now: 0,
            random,
            faults,
            moves: BinaryHeap::new(),
            sequence: 0,
            pairs: Vec::new(),
            workers,
            ready_clients: Vec::new(),
            trace: Trace { hash: 0xCBF2_9CE4_8422_2325, print },
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Time {
        self.lock().now
    }

    /// Writes a line into the trace.
    #[cfg(test)]
    pub(crate) fn note(&self, line: std::fmt::Arguments<'_>) {
        self.lock().note(line);
    }

    /// Returns the time of the next move.
    pub(crate) fn next_move(&self) -> Option<Time> {
        self.lock().moves.peek().map(|Reverse((at, ..))| *at)
    }

    /// Advances the clock to `time` and carries out the moves until then. Returns their number.
    pub(crate) fn advance(&self, time: Time) -> u64 {
        let mut state = self.lock();
        let mut moved = 0;
        while let Some(&Reverse((at, _, next))) = state.moves.peek()
            && at <= time
        {
            state.moves.pop();
            state.now = state.now.max(at);
            state.execute(next);
            moved += 1;
        }
        state.now = state.now.max(time);
        moved
    }

    /// Takes the clients that may have something to do since the last call.
    pub(crate) fn take_ready_clients(&self) -> Vec<usize> {
        std::mem::take(&mut self.lock().ready_clients)
    }

    /// Connects a client to a worker's listener. All clients have one address, and each a port of its own.
    #[cfg(test)]
    pub(crate) fn connect(&self, worker: usize, up: Wire, down: Wire) -> Peer {
        let port = 1024 + self.lock().pairs.len() as u16;
        self.connect_from(SocketAddr::from(([10, 0, 0, 1], port)), worker, up, down)
    }

    /// Connects a client with this address to a worker's listener.
    pub(crate) fn connect_from(&self, address: SocketAddr, worker: usize, up: Wire, down: Wire) -> Peer {
        let mut state = self.lock();
        let pair = state.pairs.len();
        state.pairs.push(Pair {
            address,
            flows: [Flow::new(up), Flow::new(down)],
            ends: Default::default(),
            watched: None,
            edges: Flags::default(),
            queued: false,
            facts: Facts::default(),
            arrivals: Vec::new(),
            writes: Vec::new(),
        });
        let at = state.now + state.delay(up.delay);
        state.schedule(at, Move::Connect { pair, worker });
        Peer { network: self.clone(), pair }
    }
}
