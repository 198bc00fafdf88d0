//! Tests of an [`App`] without sockets, threads or waiting: a server on a simulated network and clock.
//!
//! A [`TestServer`] runs the real workers of a [`Server`](crate::Server), with all their limits, deadlines and timers.
//! The network under them is simulated, and so is time: it passes only in [`TestServer::advance`], so a test of a
//! timeout of a minute takes microseconds. Whatever a client does, the server has handled it before the next look at
//! what arrived. Bytes are cut at places that are the same in each run.
//!
//! ```rust
//! use std::time::Duration;
//! use switchboard::{
//!     CloseCode, Config, OriginPolicy,
//!     apps::{Audience, Broadcast},
//!     testing::TestServer,
//! };
//!
//! let config = Config::default().ping_after(Duration::from_secs(30)).idle_timeout(Duration::from_secs(60));
//! let server = TestServer::new(config, |_remote| Broadcast::new(Audience::Others, OriginPolicy::Any));
//! let (mut ann, mut bob) = (server.connect("/"), server.connect("/"));
//! ann.text("hello");
//! bob.expect_text("1: hello"); // from connection 1
//! ann.expect_nothing();
//!
//! ann.vanish(); // as if its cable was cut
//! server.advance(Duration::from_secs(62));
//! bob.text("anyone?"); // answered Pings meanwhile, as each client does
//! bob.expect_nothing();
//! server.stop();
//! bob.expect_close(CloseCode::GOING_AWAY);
//! ```
//!
//! What an app does on threads of its own, such as those of a [`TaskPool`](crate::TaskPool), takes real time, and no
//! simulation waits for it: let the test wait for the thread, such as for a value from a channel.
//!
//! There is no TLS, no limit of open files, and the Date of responses is that of 1 January 1970. An app that looks at the
//! time itself, by [`Instant::now`](std::time::Instant::now), sees real time; its timers run in simulated time.

// | file | what |
// |---|---|
// | `network.rs` | the workers and the clients' ends of one server, and what comes to rest between two steps |
// | `end.rs` | a client's end of a connection: bytes to the engine and back |
// | `client.rs` | `TestClient` and `TestStream`: what a test does and expects |
// | `received.rs` | `Received`: what a client got |

mod client;
mod end;
mod network;
mod received;

use std::{fmt, net::SocketAddr, rc::Rc, time::Duration};

pub use client::{TestClient, TestStream};
pub use received::Received;

use super::{App, Config, Remote, Stopper};
use crate::ClientRequest;
use network::{Rest as _, TestNetwork};

/// A server for tests: the real workers, on a simulated network and clock. See the [module](self).
///
/// The server runs whenever a test calls a method of it or of one of its clients, until nothing more happens at this
/// time. If the server or a client is dropped, the other goes on.
///
/// ```rust
/// use switchboard::{ClientRequest, Config, OriginPolicy, apps::Echo, testing::TestServer};
///
/// let server = TestServer::new(Config::default(), |_remote| Echo::new(OriginPolicy::SameHostOr(vec![])));
/// let mut client = server.connect("/");
/// client.text("hello");
/// client.expect_text("hello");
///
/// let request = ClientRequest { origin: Some("https://evil.example"), ..ClientRequest::new("test.example", "/") };
/// server.connect_with(&request).expect_refused(403);
/// ```
pub struct TestServer<A: App + 'static> {
    network: Rc<TestNetwork<A>>,
    remote: Remote<A::Told>,
}

impl<A: App + 'static> fmt::Debug for TestServer<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestServer").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

impl<A: App + 'static> TestServer<A> {
    /// Starts a server with one worker, whatever [`Config::workers`] says. `make_app` is called as in
    /// [`Server::start`](crate::Server::start), on this thread.
    ///
    /// # Panics
    /// If [`Config::check`] finds an error.
    #[track_caller]
    pub fn new(config: Config, make_app: impl FnMut(&Remote<A::Told>) -> A) -> Self {
        Self::with_workers(1, config, make_app)
    }

    /// Starts a server with several workers, to which the clients are given in turn. `make_app` is called for each.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[track_caller]
    pub fn with_workers(workers: usize, config: Config, make_app: impl FnMut(&Remote<A::Told>) -> A) -> Self {
        let config = config.workers(workers);
        if let Err(error) = config.check() {
            panic!("a server cannot have this configuration: {error}");
        }
        let (network, remote) = TestNetwork::new(config, make_app);
        let server = Self { network: Rc::new(network), remote };
        server.network.rest();
        server
    }

    /// Opens a WebSocket connection to this target: a path, with or without a query.
    ///
    /// # Panics
    /// If the server does not accept it at once. [`connect_with`](Self::connect_with) is for connections that are
    /// refused, or accepted later.
    #[track_caller]
    pub fn connect(&self, target: &str) -> TestClient {
        let mut client = self.connect_with(&ClientRequest::new(HOST, target));
        client.expect_open();
        client
    }

    /// Sends the request of an opening handshake. Then [`TestClient::expect_open`] or
    /// [`TestClient::expect_refused`] says what the server made of it.
    ///
    /// # Panics
    /// If the request cannot be written, such as a target without `/`.
    #[track_caller]
    pub fn connect_with(&self, request: &ClientRequest<'_>) -> TestClient {
        self.connect_from(self.network.next_address(), request)
    }

    /// As [`connect_with`](Self::connect_with), with the client's address. Without this method all clients have the
    /// address 10.0.0.1.
    ///
    /// # Panics
    /// As [`connect_with`](Self::connect_with).
    #[track_caller]
    pub fn connect_from(&self, address: SocketAddr, request: &ClientRequest<'_>) -> TestClient {
        let end = self.network.connect(address);
        let written = end.borrow_mut().open(request);
        if let Err(error) = written {
            panic!("the request cannot be written: {error}");
        }
        self.network.rest();
        TestClient::new(Rc::clone(&self.network) as _, end)
    }

    /// Connects without a handshake: for plain HTTP, and for bytes that no client should send.
    pub fn stream(&self) -> TestStream {
        let end = self.network.connect(self.network.next_address());
        self.network.rest();
        TestStream::new(Rc::clone(&self.network) as _, end)
    }

    /// Lets this much time pass, in steps of a microsecond. Timers that are due run at their time.
    pub fn advance(&self, time: Duration) {
        self.network.advance(time);
    }

    /// Returns how much time has passed since the server was started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.network.elapsed()
    }

    /// Returns a handle to connections and topics, as [`Running::remote`](crate::Running::remote) does.
    #[must_use]
    pub fn remote(&self) -> &Remote<A::Told> {
        &self.remote
    }

    /// Calls `look` with the app of a worker. The workers are numbered from 0.
    ///
    /// # Panics
    /// If there are not as many workers.
    #[track_caller]
    pub fn with_app<T>(&self, worker: usize, look: impl FnOnce(&mut A) -> T) -> T {
        self.network.rest();
        self.network.with_app(worker, look)
    }

    /// Begins to stop the server, as [`Stopper::stop`](crate::Stopper::stop) does. The clients get their Close, and the
    /// deadlines of what follows pass with [`advance`](Self::advance).
    pub fn stop(&self) {
        Stopper(self.remote.untyped()).stop();
        self.network.rest();
    }

    /// Returns whether the server has stopped: all workers have ended.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.network.rest();
        self.network.has_stopped()
    }
}

/// The Host of requests that do not say another.
const HOST: &str = "test.example";
