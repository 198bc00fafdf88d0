//! Listening: one socket per worker on the same port, and an accept loop that neither spins nor goes deaf.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use log::{debug, warn};
use mio::Token;
use socket2::{Domain, Protocol, Type};

use super::{
    Socket,
    system::{Listener, Registry},
};

/// The listeners of a server's workers, all on one address.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Binds `count` listeners to `address`; port 0 takes any free one.
    ///
    /// The kernel spreads connections over sockets that share a port by `SO_REUSEPORT`, and so it would share ours
    /// with a stranger who set the same option. So the port is first bound alone, which fails where it is taken.
    pub(crate) fn bind(address: SocketAddr, count: usize) -> io::Result<Self> {
        let alone = bind(address, false)?;
        let address = alone.local_addr()?;
        if count == 1 {
            return Ok(Self { address, sockets: vec![alone] });
        }
        drop(alone);
        let sockets = (0..count).map(|_| bind(address, true)).collect::<io::Result<_>>()?;
        Ok(Self { address, sockets })
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections are in TIME_WAIT is not taken.
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

/// Raises the soft limit of descriptors as far as the hard one allows, and gives what holds now.
pub(crate) fn raise_descriptor_limit() -> u64 {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => limit,
        Err(error) => {
            warn!("the limit of open files could not be raised: {error}");
            FALLBACK_DESCRIPTORS
        }
    }
}

/// One worker's listener, and whether to ask it.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: Option<Listener>,
    state: AcceptState,
    /// When running out of descriptors was last written to the log.
    last_warning: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum AcceptState {
    /// Nobody waits; an event will tell.
    Idle,
    /// Somebody may wait. Stays so until `accept` would block, since readiness is told only once.
    Ready,
    /// The system refused a descriptor; asked again then, without an event.
    Paused(Instant),
}

impl Acceptor {
    pub(super) fn new(mut listener: Listener, registry: Registry<'_>, token: Token) -> io::Result<Self> {
        registry.watch_listener(&mut listener, token)?;
        Ok(Self { listener: Some(listener), state: AcceptState::Ready, last_warning: None })
    }

    pub(super) fn set_ready(&mut self) {
        match self.state {
            AcceptState::Idle => self.state = AcceptState::Ready,
            AcceptState::Ready | AcceptState::Paused(_) => {}
        }
    }

    /// In how long to ask again without an event.
    pub(super) fn resumes_in(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        self.listener.as_ref()?;
        match self.state {
            AcceptState::Idle => None,
            AcceptState::Ready => Some(Duration::ZERO),
            AcceptState::Paused(until) => Some(until.saturating_duration_since(now())),
        }
    }

    pub(super) fn accept(&mut self, now: Instant) -> Option<(Socket, SocketAddr)> {
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
                    // The peer gave up while it waited.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {
                        debug!("a connection was given up before it was accepted: {error}");
                        continue;
                    }
                    io::ErrorKind::Interrupted => continue,
                    // Out of descriptors or memory: asking at once would spin, and no event will come when there
                    // are some again.
                    _ => {
                        if self.last_warning.is_none_or(|at| now.duration_since(at) >= WARN_INTERVAL) {
                            self.last_warning = Some(now);
                            warn!("no connection can be accepted for now: {error}");
                        }
                        self.state = AcceptState::Paused(now + ACCEPT_PAUSE);
                    }
                },
            }
            return None;
        }
    }

    pub(super) fn close(&mut self, registry: Registry<'_>) {
        if let Some(mut listener) = self.listener.take() {
            // Closing the socket ends its registration too; this only says so first.
            let _ = registry.forget_listener(&mut listener);
        }
    }
}

const BACKLOG: i32 = 4096;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const WARN_INTERVAL: Duration = Duration::from_secs(10);
const FALLBACK_DESCRIPTORS: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_shared() {
        for count in [1, 3] {
            let first = Listeners::bind("127.0.0.1:0".parse().unwrap(), count).unwrap();
            assert_eq!(first.sockets.len(), count);
            for socket in &first.sockets {
                assert_eq!(socket.local_addr().unwrap(), first.address);
            }
            for other in [1, 3] {
                let error = Listeners::bind(first.address, other).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{count} listeners, then {other}");
            }
        }
    }
}
