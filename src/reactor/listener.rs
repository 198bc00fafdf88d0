//! Listening: one socket per worker and address, and an accept loop that neither spins nor stops when accepting fails.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use log::{debug, warn};
use mio::Token;
use socket2::{Domain, Protocol, Type};

use super::{
    LISTENER, Socket,
    system::{Listener, Registry},
};

/// The listeners of a server's workers.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// The bound addresses, in the order in which they were given.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The listeners of each worker, one for each address.
    pub(crate) workers: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// Binds a listener for each of `workers` to each address. Port 0 takes any free port.
    ///
    /// # Errors
    /// The first address that cannot be bound, with the reason.
    pub(crate) fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Self, (SocketAddr, io::Error)> {
        for (number, &address) in addresses.iter().enumerate() {
            if let Some(other) = addresses[..number].iter().find(|other| overlap(address, **other)) {
                let why = format!("{other} is given as well, and one includes the other");
                return Err((address, io::Error::new(io::ErrorKind::InvalidInput, why)));
            }
        }
        let mut listeners = Self { addresses: Vec::new(), workers: (0..workers).map(|_| Vec::new()).collect() };
        for &address in addresses {
            let bound = listeners.add(address, Family::of(address, addresses)).map_err(|error| (address, error))?;
            listeners.addresses.push(bound);
        }
        Ok(listeners)
    }

    /// Shares listeners that exist among `workers`: each has all of them.
    ///
    /// # Errors
    /// One of them is no socket of TCP, or the process has too many descriptors.
    pub(crate) fn shared(listeners: Vec<TcpListener>, workers: usize) -> io::Result<Self> {
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        let clones = || listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>();
        let mut all = (1..workers).map(|_| clones()).collect::<io::Result<Vec<_>>>()?;
        all.push(listeners);
        Ok(Self { addresses, workers: all })
    }

    /// Binds the listeners of all workers to an address, and returns it with its port.
    ///
    /// The kernel spreads connections over all sockets that share a port with `SO_REUSEPORT`, including those of
    /// another process of the same user. So the port is first bound without sharing, which fails if it is in use.
    fn add(&mut self, address: SocketAddr, family: Family) -> io::Result<SocketAddr> {
        let alone = bind(address, family, false)?;
        let address = alone.local_addr()?;
        if let [worker] = &mut *self.workers {
            worker.push(alone);
            return Ok(address);
        }
        drop(alone);
        for worker in &mut self.workers {
            worker.push(bind(address, family, true)?);
        }
        Ok(address)
    }
}

/// The connections that a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Those of the address's own family.
    Own,
    /// Those of both families: the address is all of IPv6, or one of IPv4 inside of it.
    Both,
}

impl Family {
    /// Returns the family for an address, one of `all`. All of IPv6 includes all of IPv4, unless a listener of IPv4 has
    /// the same port.
    fn of(address: SocketAddr, all: &[SocketAddr]) -> Self {
        match address.ip() {
            IpAddr::V4(_) => Self::Own,
            IpAddr::V6(ip) if ip.is_unspecified() => {
                let is_rival = |other: &SocketAddr| other.port() == address.port() && is_v4(*other);
                if all.iter().any(is_rival) { Self::Own } else { Self::Both }
            }
            IpAddr::V6(_) if is_v4(address) => Self::Both,
            IpAddr::V6(_) => Self::Own,
        }
    }
}

/// Returns whether two listeners cannot be bound, since one takes the connections of the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.port() != 0
        && is_v4(one) == is_v4(other)
        && (one == other || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Returns whether an address is one of IPv4, also if it is written inside of IPv6.
fn is_v4(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv4()
}

fn bind(address: SocketAddr, family: Family, shared: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // The default is a setting of the system. Some systems have no sockets for both families.
    match (address, family) {
        (SocketAddr::V4(_), _) => {}
        (SocketAddr::V6(_), Family::Own) => socket.set_only_v6(true)?,
        (SocketAddr::V6(_), Family::Both) => {
            if let Err(error) = socket.set_only_v6(false) {
                warn!("{address} takes no connections of IPv4: {error}");
            }
        }
    }
    // Connections in TIME_WAIT do not keep the port in use.
    socket.set_reuse_address(true)?;
    if shared {
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Returns the soft limit of open files.
pub(crate) fn descriptor_limit() -> u64 {
    #[cfg(unix)]
    match rlimit::Resource::NOFILE.get_soft() {
        Ok(limit) => return limit,
        Err(error) => warn!("the limit of open files is unknown: {error}"),
    }
    FALLBACK_DESCRIPTORS
}

/// Raises the soft limit of open files to the hard limit, and returns the resulting limit.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// The listeners of one worker. They take turns, so that a burst at one of them does not keep the others waiting.
#[derive(Debug)]
pub(super) struct Acceptors {
    acceptors: Vec<Acceptor>,
    /// The acceptor whose turn it is.
    next: usize,
}

/// One listener of a worker, and whether to call `accept` on it.
#[derive(Debug)]
struct Acceptor {
    listener: Option<Listener>,
    state: AcceptState,
    /// When a failure to accept was last logged.
    last_warning: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum AcceptState {
    /// No connection waits; an event will announce the next one.
    Idle,
    /// A connection may wait. Remains until `accept` would block, since readiness is announced only once.
    Ready,
    /// Accepting failed. The next attempt is at this time, without an event.
    Paused(Instant),
}

impl Acceptors {
    /// Registers the listeners: the first with the token [`LISTENER`], each other with the next one below.
    pub(super) fn new(listeners: impl IntoIterator<Item = Listener>, registry: Registry<'_>) -> io::Result<Self> {
        let tokens = (0..=LISTENER.0).rev().map(Token);
        let acceptors = listeners.into_iter().zip(tokens);
        let acceptors = acceptors.map(|(listener, token)| Acceptor::new(listener, registry, token));
        Ok(Self { acceptors: acceptors.collect::<io::Result<_>>()?, next: 0 })
    }

    /// Notes that a listener may have connections. Returns whether the token is that of a listener.
    pub(super) fn set_ready(&mut self, token: Token) -> bool {
        let acceptor = LISTENER.0.checked_sub(token.0).and_then(|number| self.acceptors.get_mut(number));
        acceptor.map(Acceptor::set_ready).is_some()
    }

    /// Returns the time until the next call of `accept` that needs no event.
    pub(super) fn resumes_in(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let now = std::cell::LazyCell::new(now);
        self.acceptors.iter().filter_map(|acceptor| acceptor.resumes_in(|| *now)).min()
    }

    /// Accepts the next connection. The address of a peer of IPv4 is one of IPv4, also at a listener of IPv6.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(Socket, SocketAddr)> {
        for _ in 0..self.acceptors.len() {
            let number = self.next;
            self.next = (number + 1) % self.acceptors.len();
            let acceptor = &mut self.acceptors[number];
            if let Some((socket, peer)) = acceptor.accept(now) {
                return Some((socket, SocketAddr::new(peer.ip().to_canonical(), peer.port())));
            }
        }
        None
    }

    pub(super) fn close(&mut self, registry: Registry<'_>) {
        for acceptor in &mut self.acceptors {
            acceptor.close(registry);
        }
    }
}

impl Acceptor {
    fn new(mut listener: Listener, registry: Registry<'_>, token: Token) -> io::Result<Self> {
        registry.watch_listener(&mut listener, token)?;
        Ok(Self { listener: Some(listener), state: AcceptState::Ready, last_warning: None })
    }

    fn set_ready(&mut self) {
        match self.state {
            AcceptState::Idle => self.state = AcceptState::Ready,
            AcceptState::Ready | AcceptState::Paused(_) => {}
        }
    }

    fn resumes_in(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.listener.as_ref()?;
        match self.state {
            AcceptState::Idle => None,
            AcceptState::Ready => Some(Duration::ZERO),
            AcceptState::Paused(until) => Some(until.saturating_duration_since(now())),
        }
    }

    fn accept(&mut self, now: Instant) -> Option<(Socket, SocketAddr)> {
        let listener = self.listener.as_ref()?;
        match self.state {
            AcceptState::Idle => return None,
            AcceptState::Paused(until) if now < until => return None,
            AcceptState::Ready | AcceptState::Paused(_) => self.state = AcceptState::Ready,
        }
        loop {
            match listener.accept() {
                Ok((stream, peer)) => return Some((Socket::new(stream), peer)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.state = AcceptState::Idle,
                    // The peer closed the connection before it was accepted.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {
                        debug!("a connection was closed before it was accepted: {error}");
                        continue;
                    }
                    io::ErrorKind::Interrupted => continue,
                    // Out of descriptors or memory. Retrying at once would spin, and no event announces when some are
                    // free again.
                    _ => {
                        if self.last_warning.is_none_or(|at| now.duration_since(at) >= WARN_INTERVAL) {
                            self.last_warning = Some(now);
                            warn!("connections cannot be accepted for now: {error}");
                        }
                        self.state = AcceptState::Paused(now + ACCEPT_PAUSE);
                    }
                },
            }
            return None;
        }
    }

    fn close(&mut self, registry: Registry<'_>) {
        if let Some(mut listener) = self.listener.take() {
            // Closing the socket would end its registration anyway, so an error does not matter.
            let _ = registry.forget_listener(&mut listener);
        }
    }
}

/// The connections that may wait in the kernel for `accept`.
const BACKLOG: i32 = 4096;
/// The pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The shortest time between two warnings about it.
const WARN_INTERVAL: Duration = Duration::from_secs(10);
/// The assumed limit of open files if the system does not report it.
const FALLBACK_DESCRIPTORS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_shared() {
        for count in [1, 3] {
            let first = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], count).unwrap();
            assert_eq!(first.workers.len(), count);
            for listeners in &first.workers {
                let bound: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
                assert_eq!(bound, first.addresses);
            }
            for other in [1, 3] {
                let (address, error) = Listeners::bind(&first.addresses, other).unwrap_err();
                assert_eq!((address, error.kind()), (first.addresses[0], io::ErrorKind::AddrInUse), "{count}, {other}");
            }
        }
    }

    #[test]
    fn all_of_ipv6_includes_ipv4_unless_ipv4_has_a_listener_of_its_own() {
        let rows: [(&str, &[&str], Family); 9] = [
            ("[::]:80", &[], Family::Both),
            ("[::]:80", &["0.0.0.0:80"], Family::Own),
            ("[::]:80", &["127.0.0.1:80"], Family::Own),
            ("[::]:80", &["[::ffff:127.0.0.1]:80"], Family::Own),
            ("[::]:80", &["0.0.0.0:81"], Family::Both),
            ("[::]:80", &["[::1]:81"], Family::Both),
            ("[::1]:80", &[], Family::Own),
            ("[::ffff:127.0.0.1]:80", &[], Family::Both),
            ("0.0.0.0:80", &["[::]:80"], Family::Own),
        ];
        for (address, others, expected) in rows {
            let mut all: Vec<SocketAddr> = others.iter().map(|other| other.parse().unwrap()).collect();
            let address = address.parse().unwrap();
            all.push(address);
            assert_eq!(Family::of(address, &all), expected, "{address} with {others:?}");
        }
    }

    #[test]
    fn one_of_two_addresses_that_overlap_is_refused() {
        let rows = [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::]:80", "[::]:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("127.0.0.1:80", "[::]:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "[::1]:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
        ];
        for (one, other, expected) in rows {
            let [one, other] = [one, other].map(|address| address.parse().unwrap());
            assert_eq!((overlap(one, other), overlap(other, one)), (expected, expected), "{one} and {other}");
        }
        let taken = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], 1).unwrap();
        let all = SocketAddr::from(([0, 0, 0, 0], taken.addresses[0].port()));
        let (address, error) = Listeners::bind(&[taken.addresses[0], all], 1).unwrap_err();
        assert_eq!((address, error.kind()), (all, io::ErrorKind::InvalidInput));
    }

    #[test]
    fn the_listeners_of_a_worker_take_turns() {
        let mut bound = Listeners::bind(&["127.0.0.1:0".parse().unwrap(); 2], 1).unwrap();
        let [first, second] = bound.addresses[..] else { panic!("two addresses") };
        let poll = mio::Poll::new().unwrap();
        let listeners = bound.workers.remove(0).into_iter().map(mio::net::TcpListener::from_std).map(Listener::Tcp);
        let mut acceptors = Acceptors::new(listeners, Registry::Mio(poll.registry())).unwrap();
        let clients = [first, first, first, second].map(|address| std::net::TcpStream::connect(address).unwrap());
        let [a, b, c, d] = clients.each_ref().map(|client| client.local_addr().unwrap());
        let now = Instant::now();
        let accepted: Vec<_> = std::iter::from_fn(|| acceptors.accept(now)).map(|(_, peer)| peer).collect();
        assert_eq!(accepted, [a, d, b, c]);
        assert_eq!(acceptors.resumes_in(|| now), None);
        assert!(acceptors.set_ready(LISTENER) && acceptors.set_ready(Token(LISTENER.0 - 1)));
        assert!([LISTENER.0 + 1, LISTENER.0 - 2, 0].iter().all(|other| !acceptors.set_ready(Token(*other))));
        assert_eq!(acceptors.resumes_in(|| now), Some(Duration::ZERO));
    }
}
