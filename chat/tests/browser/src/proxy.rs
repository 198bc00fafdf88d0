//! The network between the browser and the server: forwards bytes, slowly if it should, and fails on demand.
//!
//! DevTools' offline mode keeps open WebSockets alive, so it does not simulate a lost network.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

/// A TCP proxy on its own port. Dropping it ends it and its connections.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

/// State that the proxy's threads share.
struct Network {
    server: SocketAddr,
    /// Whether new connections are forwarded.
    works: AtomicBool,
    /// Of the connections from now on.
    round_trip: Mutex<Duration>,
    links: Mutex<Vec<Link>>,
    ended: AtomicBool,
}

/// A forwarded connection.
struct Link {
    browser: TcpStream,
    server: TcpStream,
    /// Whether everything from the server is dropped, even the end of the connection.
    drops_answers: Arc<AtomicBool>,
}

impl Proxy {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let network = Arc::new(Network {
            server,
            works: AtomicBool::new(true),
            round_trip: Mutex::default(),
            links: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&network);
        thread::spawn(move || shared.accept_from(&listener));
        Self { address, network }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and each new one at once. The port stays bound, so that it is still ours after `restore`.
    pub fn cut(&self) {
        self.network.works.store(false, Ordering::SeqCst);
        self.network.end_links();
    }

    /// Forwards new connections again.
    pub fn restore(&self) {
        self.network.works.store(true, Ordering::SeqCst);
    }

    /// From now on, connections are over a network with this round-trip time, at first none. Setting up a connection
    /// takes one round trip, as in TCP, and the bandwidth has no limit.
    pub fn set_round_trip(&self, round_trip: Duration) {
        *self.network.round_trip.lock().expect("no panic while it is held") = round_trip;
    }

    /// On all current connections, requests reach the server but its answers are dropped. New connections work.
    pub fn drop_answers(&self) {
        for link in &*self.network.links.lock().expect("no panic while it is held") {
            link.drops_answers.store(true, Ordering::SeqCst);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.ended.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Network {
    fn accept_from(self: &Arc<Self>, listener: &TcpListener) {
        for browser in listener.incoming().map_while(Result::ok) {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            // If the server does not listen, the browser's connection ends too.
            if let Ok(server) = TcpStream::connect(self.server) {
                self.link(browser, server);
            }
        }
    }

    fn link(self: &Arc<Self>, browser: TcpStream, server: TcpStream) {
        let drops_answers = Arc::new(AtomicBool::new(false));
        let (from_browser, from_server) = (twin(&browser), twin(&server));
        let (to_server, to_browser) = (twin(&server), twin(&browser));
        let mute = Arc::clone(&drops_answers);
        self.links.lock().expect("no panic while it is held").push(Link { browser, server, drops_answers });
        // From here on, `cut` finds the link in the list and ends it.
        if !self.works.load(Ordering::SeqCst) {
            self.end_links();
            return;
        }
        let round_trip = *self.round_trip.lock().expect("no panic while it is held");
        let way = round_trip / 2;
        // The proxy accepts at once, so the first bytes wait for the connection too.
        let established = Instant::now() + round_trip;
        thread::spawn(move || pass(from_browser, to_server, &AtomicBool::new(false), established, way));
        thread::spawn(move || pass(from_server, to_browser, &mute, established, way));
    }

    fn end_links(&self) {
        for link in self.links.lock().expect("no panic while it is held").drain(..) {
            // Fails if the connection has already ended.
            let _ = link.browser.shutdown(Shutdown::Both);
            let _ = link.server.shutdown(Shutdown::Both);
        }
    }
}

/// Reads bytes until the connection ends. They arrive a time of `delay` after they came or, if that is later, after
/// `established`. Drops them if `drops_answers` is set.
fn pass(mut from: TcpStream, to: TcpStream, drops_answers: &AtomicBool, established: Instant, delay: Duration) {
    let (on_their_way, arriving) = mpsc::channel();
    let other = twin(&from);
    thread::spawn(move || deliver(&arriving, to, &other));
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if !drops_answers.load(Ordering::SeqCst) {
            let due = Instant::now().max(established) + delay;
            if on_their_way.send((due, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
        if count == 0 {
            return;
        }
    }
}

/// Writes bytes when they are due. Empty ones are the end of the connection, which then ends for `other` too.
fn deliver(arriving: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream, other: &TcpStream) {
    for (due, bytes) in arriving {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            let _ = other.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn twin(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("another handle of the socket")
}
