//! Layer 2: a WebSocket server. Each reactor socket carries one connection of the engine; this layer adds outboxes,
//! limits, deadlines and topics.
//!
//! A service is an [`App`]; a [`Server`] runs one value of it per worker. Other threads reach connections and topics
//! through a [`Remote`].
//!
//! | file | what |
//! |---|---|
//! | `app.rs` | [`App`], [`Handshake`], [`End`]: the service and its callbacks |
//! | `context.rs` | [`Context`]: the actions of an app during a callback |
//! | `decision.rs` | [`Responder`], [`Verdict`]: an app's decision on a request or a handshake, now or later |
//! | `http.rs` | [`Request`], [`Response`]: plain HTTP on the same port |
//! | `files.rs` | [`StaticFiles`]: files in memory, as responses |
//! | `forwarded.rs` | [`client_address`]: the client behind reverse proxies |
//! | `origin.rs` | decides a handshake by an `OriginPolicy` alone |
//! | `remote.rs` | [`Remote`], [`Batch`], [`ConnectionId`]: access from other threads |
//! | `commands.rs` | what other threads and workers have asked for, carried out |
//! | `addresses.rs` | how many connections each address has |
//! | `config.rs` | [`Config`]: every limit and its default |
//! | `worker.rs` | the incoming half of a worker: what is read when, with a budget per connection and turn |
//! | `frames.rs` | frames that have arrived, and the app's callbacks for them |
//! | `inbound.rs` | the incoming half of one connection, and the mail of a worker |
//! | `date.rs` | the Date of responses |
//! | `securing.rs` | handshakes of TLS, and their share of a turn |
//! | `response_body.rs` | [`ResponseBody`]: a response that is written while it is made |
//! | `requests.rs` | from the HTTP request to the open connection |
//! | `ending.rs` | how connections end, and how the server stops |
//! | `tasks.rs` | [`TaskPool`]: threads for work that would block an event loop |
//! | `timers.rs` | [`TooManyTimers`]; the timers that an app sets |
//! | `worker_context.rs` | [`WorkerContext`]: the actions of an app that concern no single connection |
//! | `deadlines.rs` | the deadlines for everything that a peer can stall |
//! | `hub.rs` | the outgoing half of a worker: what is sent, and where it collects until it is written |
//! | `topics.rs`, `fanout.rs` | subscriptions, the publication logs of a turn, and their delivery |
//! | `links.rs` | the outgoing halves of all connections, and all that is written to sockets |
//! | `link.rs`, `outbox.rs` | the outgoing half of one connection, and the bytes that the kernel did not take |
//! | `droppable.rs` | publications among those bytes that later ones replace |
//! | `state.rs` | every state of a connection, and every step from one to the next |
//! | `bind_error.rs` | [`BindError`]: why a server cannot be bound |
//! | `bounds.rs` | how many bytes may wait for one peer, and how many a worker keeps for all |
//! | `eviction.rs` | which connections give way when there are more, and how |
//! | `simulation/` | tests: workers and simulated clients, driven by seeds |
//! | `testing/` | `TestServer`: a simulated network for the tests of apps |
//!
//! How far a connection has come is one `State`, which its `Link` (the outgoing half) has. What its `Inbound` (the
//! incoming half) works with, its `Input`, follows from that. Why it ends is one [`End`], and `ending.rs` says what
//! follows from each.

mod addresses;
mod app;
mod bind_error;
mod bounds;
mod commands;
mod config;
mod context;
mod date;
mod deadlines;
mod decision;
mod droppable;
mod ending;
mod eviction;
mod fanout;
mod files;
mod forwarded;
mod frames;
mod http;
mod hub;
mod inbound;
mod link;
mod links;
mod origin;
mod outbox;
mod remote;
mod requests;
mod response_body;
mod securing;
#[cfg(test)]
mod simulation;
mod state;
mod tasks;
#[cfg(feature = "testing")]
pub mod testing;
mod timers;
mod topics;
mod worker;
mod worker_context;

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Instant,
};

use log::{info, warn};

pub use app::{App, End, Handshake};
pub use bind_error::BindError;
pub use config::{Config, SlowSubscriber};
pub use context::Context;
pub use decision::{Acceptance, Responder, Verdict};
pub use files::StaticFiles;
pub use forwarded::client_address;
pub use http::{Request, Response};
pub use remote::{Batch, ConnectionId, InvalidConnectionId, Remote};
pub use response_body::ResponseBody;
pub use tasks::{TaskPool, TaskPoolFull};
pub use timers::TooManyTimers;
pub use worker_context::WorkerContext;

use crate::reactor::{self, Clock, Listeners, Reactor};
use addresses::Addresses;
use worker::{Capacity, Worker};

/// A server that is bound to its addresses and does not run yet.
///
/// ```rust
/// use switchboard::{Config, OriginPolicy, Server, apps::Echo};
///
/// let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?; // port 0 takes any free one
/// let running = server.start(|_remote| Echo::new(OriginPolicy::Any))?; // one app per worker
/// println!("listening on {}", running.local_addr());
/// let stopper = running.stopper(); // for a signal handler, or another thread
/// stopper.stop();
/// running.join()?; // all connections got their Close
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Server {
    listeners: Listeners,
    config: Config,
}

/// A running server. It keeps running if this handle is dropped.
///
/// `T` is [`App::Told`].
#[derive(Debug)]
pub struct Running<T = Infallible> {
    addresses: Vec<SocketAddr>,
    remote: Remote<T>,
    workers: Vec<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Binds the listeners of all workers to one address; port 0 takes any free one.
    ///
    /// # Errors
    /// - [`io::ErrorKind::InvalidInput`]: the configuration makes no sense ([`Config::check`]).
    /// - Otherwise the system's error. A port in use is [`io::ErrorKind::AddrInUse`], even if the other process would
    ///   share it (`SO_REUSEPORT`).
    pub fn bind(address: SocketAddr, config: Config) -> io::Result<Self> {
        Self::bind_all(&[address], config).map_err(io::Error::from)
    }

    /// Binds the listeners of all workers to each of the addresses; port 0 takes any free one.
    ///
    /// `[::]` takes the connections of IPv4 as well, unless one of the other addresses is of IPv4 and has the same
    /// port. A client of IPv4 has an address of IPv4 ([`Request::peer`], [`Handshake::peer`]) either way.
    ///
    /// # Errors
    /// [`BindError`], with the first address that the system refuses. Of two addresses that overlap, such as
    /// `0.0.0.0:80` and `127.0.0.1:80`, the later one is refused with [`io::ErrorKind::InvalidInput`].
    pub fn bind_all(addresses: &[SocketAddr], config: Config) -> Result<Self, BindError> {
        config.check().map_err(BindError::Config)?;
        if addresses.is_empty() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a server needs an address to listen on");
            return Err(BindError::Config(error));
        }
        let bound = Listeners::bind(addresses, config.workers);
        let listeners = bound.map_err(|(address, error)| BindError::Address(address, error))?;
        Ok(Self { listeners, config })
    }

    /// Takes listeners that exist: those of a service manager, which keeps them while the process is replaced, or those
    /// of the process before. An [`OwnedFd`](std::os::fd::OwnedFd) becomes one by `TcpListener::from`.
    ///
    /// All workers accept from each of them: so that they take turns, they are not as even as those of
    /// [`bind_all`](Self::bind_all). Connections that wait are served. Other handles to the same sockets stay open when
    /// the server stops, and become non-blocking.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use switchboard::{Config, OriginPolicy, Server, apps::Echo};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let kept = listener.try_clone()?; // clients that connect during a restart wait in it
    /// let server = Server::from_listeners(vec![listener], Config::default())?;
    /// let running = server.start(|_| Echo::new(OriginPolicy::Any))?;
    /// running.stopper().stop();
    /// running.join()?;
    /// let next = Server::from_listeners(vec![kept], Config::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - [`io::ErrorKind::InvalidInput`]: the configuration makes no sense ([`Config::check`]), there is no listener,
    ///   or one is of another kind than TCP.
    /// - Otherwise the system's error.
    pub fn from_listeners(listeners: Vec<TcpListener>, config: Config) -> io::Result<Self> {
        config.check()?;
        if listeners.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a server needs a listener"));
        }
        let listeners = Listeners::shared(listeners, config.workers)?;
        Ok(Self { listeners, config })
    }

    /// Returns the bound address, with the actual port; the first one if there are several.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.listeners.addresses[0]
    }

    /// Returns the bound addresses in the order in which they were given, with the actual ports.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.listeners.addresses
    }

    /// Starts the workers. Each worker calls `make_app` once, on its own thread.
    ///
    /// The process's limit of open files bounds the number of connections; [`raise_descriptor_limit`] raises it.
    ///
    /// # Errors
    /// Returns the system's error if a worker cannot be created.
    pub fn start<A, F>(self, make_app: F) -> io::Result<Running<A::Told>>
    where
        A: App,
        F: Fn(&Remote<A::Told>) -> A + Send + Sync + 'static,
    {
        let Self { listeners: Listeners { addresses, workers: listeners }, config } = self;
        let descriptors = usize::try_from(reactor::descriptor_limit()).unwrap_or(usize::MAX);
        let own = config.workers * (addresses.len() + 2); // the listeners, and the event loop and waker of each worker
        let reserve = config.reserved_descriptors.saturating_add(own).min(descriptors / 4);
        let share = (descriptors - reserve) / config.workers;
        let over_capacity = MAX_OVER_CAPACITY.min(share / 4);
        let connections = config.max_connections.unwrap_or(usize::MAX).min((share - over_capacity).max(1));
        let capacity = Capacity { connections, over_capacity, addresses: Arc::new(Addresses::new(&config)) };
        if config.limits.max_message_bytes > config.max_input_bytes() as u64 {
            let (message, input) = (config.limits.max_message_bytes, config.max_input_bytes());
            warn!("messages may have {message} bytes, but a worker has memory for {input} bytes of unfinished ones");
        }
        let clock = Clock::starting_now();
        let mut reactors = Vec::new();
        let mut mailboxes = Vec::new();
        for listeners in listeners {
            let (reactor, mailbox) = Reactor::new(listeners, clock, config.max_mail_bytes())?;
            reactors.push(reactor);
            mailboxes.push(mailbox);
        }
        let remote = Remote::new(&mailboxes);
        let stopper = Stopper(remote.untyped());
        let max_worker_bytes = config.max_worker_bytes;
        let config = Arc::new(config);
        let make_app = Arc::new(make_app);
        let mut workers = Vec::new();
        for (number, (reactor, mailbox)) in (0..).zip(reactors.into_iter().zip(mailboxes)) {
            let (config, remote, make_app) = (Arc::clone(&config), remote.clone(), Arc::clone(&make_app));
            let capacity = capacity.clone();
            let run = move || {
                #[cfg(feature = "tracing")]
                let _span = tracing::info_span!("worker", number).entered();
                let app = make_app(&remote);
                let now = clock.tick(Instant::now());
                let mut worker = Worker::new(app, config, remote.untyped(), number, mailbox, capacity, now);
                worker.started();
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
        info!(
            "listening on {} with {} workers, each with at most {connections} connections and {} MiB for peers",
            addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "),
            workers.len(),
            max_worker_bytes >> 20,
        );
        Ok(Running { addresses, remote, workers })
    }
}

impl<T> Running<T> {
    /// Returns the bound address, with the actual port; the first one if there are several.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Returns the bound addresses in the order in which they were given, with the actual ports.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns a handle to connections and topics.
    #[must_use]
    pub fn remote(&self) -> &Remote<T> {
        &self.remote
    }

    /// Returns a handle that can stop the server.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.remote.untyped())
    }

    /// Waits until the server has stopped.
    ///
    /// # Errors
    /// Returns the system's error if a worker's event loop failed.
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
    /// Stops accepting, sends Close 1001 to all connections, and lets the closing handshakes finish within
    /// [`Config::stop_timeout`].
    ///
    /// Returns at once; [`Running::join`] waits.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Raises the process's soft limit of open files to the hard limit, and returns the resulting limit.
///
/// Each connection takes a file descriptor, and many systems start a process with a soft limit of 1,024. The library
/// never changes the limit by itself, since it holds for the whole process and its children. A program that wants many
/// connections calls this before [`Server::start`].
///
/// # Errors
/// The system's error. The limit is then unchanged.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    reactor::raise_descriptor_limit()
}

/// Calls `run` on this thread and returns its result. If `run` panics, logs an error that names `who` and exits the
/// process with code 101.
///
/// The server runs its workers this way: the kernel would still assign new connections to the listener of a dead
/// worker, and nothing would serve them. Use it for the other threads that a service cannot work without. `who` is the
/// subject of the log line, such as `"the store"`.
pub fn exit_on_panic<T>(who: &str, run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        log::error!("{who} panicked; the process ends");
        std::process::exit(101)
    })
}

/// Connections beyond its limit that a worker refuses with 503 at the same time.
const MAX_OVER_CAPACITY: usize = 64;
