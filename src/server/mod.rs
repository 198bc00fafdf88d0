//! Floor 2: a WebSocket server. One engine connection on each reactor socket; outboxes, limits, deadlines, topics.
//!
//! A service is an [`App`]; a [`Server`] runs one value of it per worker. Other threads reach connections and topics
//! by a [`Remote`].
//!
//! | file | what |
//! |---|---|
//! | `app.rs` | [`App`], [`Message`], [`Handshake`], [`End`]: what a service is and is told |
//! | `context.rs` | [`Context`]: what it can do meanwhile |
//! | `answer.rs` | [`Responder`], [`Verdict`]: what it owes, now or later |
//! | `http.rs` | [`Request`], [`Response`]: plain HTTP on the same port |
//! | `origin.rs` | [`OriginPolicy`]: which pages may connect |
//! | `remote.rs` | [`Remote`], [`ConnectionId`]: from other threads |
//! | `config.rs` | [`Config`]: every limit and its default |
//! | `worker.rs` | the incoming half: bytes to events to the app, a share for each in every turn |
//! | `inbound.rs` | one connection's incoming half, and its mail |
//! | `requests.rs` | from the request to the open connection |
//! | `ending.rs` | how connections end, and the server |
//! | `deadlines.rs` | what a peer can stall, and for how long |
//! | `hub.rs` | the outgoing half: what is written when |
//! | `link.rs`, `outbox.rs` | one connection's outgoing half, and what the kernel did not take |
//! | `topics.rs`, `fanout.rs` | subscriptions, the logs of a turn, and how they go out |
//! | `bounds.rs` | what may wait for peers, for each and for all |
//! | `simulation/` | tests: the workers among simulated clients, from seeds |
//!
//! ```no_run
//! use switchboard::{App, Config, Context, Handshake, Message, Server, Verdict};
//!
//! struct Shout;
//!
//! impl App for Shout {
//!     type Peer = ();
//!
//!     fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
//!         verdict.accept(());
//!     }
//!
//!     fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
//!         if let Message::Text(text) = message {
//!             context.send(Message::Text(&text.to_uppercase()));
//!         }
//!     }
//! }
//!
//! let server = Server::bind("127.0.0.1:8080".parse()?, Config::default())?;
//! println!("listening on {}", server.address());
//! server.start(|_| Shout)?.join()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod app;
mod bounds;
mod config;
mod context;
mod deadlines;
mod ending;
mod fanout;
mod http;
mod hub;
mod inbound;
mod link;
mod origin;
mod outbox;
mod remote;
mod requests;
#[cfg(test)]
mod simulation;
mod topics;
mod worker;

use std::{
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Instant,
};

use log::info;

pub use answer::{Acceptance, Responder, Verdict};
pub use app::{App, End, Handshake, Message};
pub use config::{Config, SlowSubscriber};
pub use context::Context;
pub use http::{Request, Response};
pub use origin::OriginPolicy;
pub use remote::{ConnectionId, InvalidConnectionId, Remote};

use crate::reactor::{Clock, Listeners, Reactor, raise_descriptor_limit};
use worker::{Capacity, Worker};

/// A server that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    config: Config,
}

/// A server that runs, also when this handle is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    remote: Remote,
    workers: Vec<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Binds the listeners of all workers to one address; port 0 takes any free one.
    ///
    /// # Errors
    /// What the system says: a port that is taken is [`io::ErrorKind::AddrInUse`], also where whoever has it would
    /// share it.
    pub fn bind(address: SocketAddr, config: Config) -> io::Result<Self> {
        let workers = config.workers.clamp(1, MAX_WORKERS);
        Ok(Self { listeners: Listeners::bind(address, workers)?, config })
    }

    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listeners.address
    }

    /// Starts the workers. Each calls `make_app` once, on its own thread.
    ///
    /// # Errors
    /// What the system says when a worker cannot be made.
    pub fn start<A, F>(self, make_app: F) -> io::Result<Running>
    where
        A: App,
        F: Fn(&Remote) -> A + Send + Sync + 'static,
    {
        let Self { listeners: Listeners { address, sockets }, config } = self;
        let descriptors = usize::try_from(raise_descriptor_limit()).unwrap_or(usize::MAX);
        let reserve = RESERVED_DESCRIPTORS.min(descriptors / 4);
        let share = (descriptors - reserve) / sockets.len();
        let over_capacity = MAX_OVER_CAPACITY.min(share / 4);
        let connections = config.max_connections.unwrap_or(usize::MAX).min((share - over_capacity).max(1));
        let capacity = Capacity { connections, over_capacity };
        let clock = Clock::starting_now();
        let mut reactors = Vec::new();
        let mut mailboxes = Vec::new();
        for socket in sockets {
            let (reactor, mailbox) = Reactor::new(socket, clock, MAILBOX_BYTES)?;
            reactors.push(reactor);
            mailboxes.push(mailbox);
        }
        let remote = Remote::new(&mailboxes);
        let stopper = Stopper(remote.clone());
        let config = Arc::new(config);
        let make_app = Arc::new(make_app);
        let mut workers = Vec::new();
        for (number, (reactor, mailbox)) in (0..).zip(reactors.into_iter().zip(mailboxes)) {
            let (config, remote, make_app) = (Arc::clone(&config), remote.clone(), Arc::clone(&make_app));
            let run = move || {
                let app = make_app(&remote);
                let now = clock.tick(Instant::now());
                let mut worker = Worker::new(app, config, remote, number, mailbox, capacity, now);
                reactor.run(&mut worker)
            };
            let thread = Builder::new().name(format!("switchboard-{number}"));
            match thread.spawn(move || exit_on_panic("a worker", run)) {
                Ok(thread) => workers.push(thread),
                Err(error) => {
                    stopper.0.stop();
                    return Err(error);
                }
            }
        }
        info!("listening on {address} with {} workers, {connections} connections each", workers.len());
        Ok(Running { address, remote, workers })
    }
}

impl Running {
    /// The address that is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to connections and topics.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// A handle that stops the server: see [`Stopper::stop`].
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.remote.clone())
    }

    /// Waits until the server has stopped.
    ///
    /// # Errors
    /// What the system said when a worker could not go on.
    pub fn join(self) -> io::Result<()> {
        for worker in self.workers {
            match worker.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        info!("stopped");
        Ok(())
    }
}

/// Stops a server from any thread.
#[derive(Clone, Debug)]
pub struct Stopper(Remote);

impl Stopper {
    /// Stops accepting, sends Close 1001 to all, and lets the closing handshakes finish, for
    /// [`Config::stop_timeout`] at most. Returns at once; [`Running::join`] waits.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Runs `run` on this thread. If it panics, the process ends with exit code 101, and an error is logged that names
/// `who`.
///
/// The server's workers run in it: a worker that died alone would keep its share of the port, and nobody would serve it.
/// Use it for a thread of your own that the service cannot do without.
pub fn exit_on_panic<T>(who: &str, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        log::error!("{who} panicked; the process ends");
        std::process::exit(101)
    })
}

/// What a connection's name has room for.
const MAX_WORKERS: usize = 1 << 16;
/// Descriptors kept for everything but connections: listeners, epoll, files, an app's own.
const RESERVED_DESCRIPTORS: usize = 64;
/// Connections per worker, beyond its limit, that are told so at the same time.
const MAX_OVER_CAPACITY: usize = 64;
/// What may wait for one worker before nothing more is read that could add to it.
const MAILBOX_BYTES: usize = 64 << 20;
