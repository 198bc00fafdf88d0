//! Listening: one socket per worker on the same port, and an accept loop that neither spins nor stops when accepting
//! fails.

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
    /// Binds `count` listeners to `address`. Port 0 takes any free port.
    ///
    /// The kernel spreads connections over all sockets that share a port with `SO_REUSEPORT`, including those of
    /// another process of the same user. So the port is first bound without sharing, which fails if it is in use.
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

/// One worker's listener, and whether to call `accept` on it.
#[derive(Debug)]
pub(super) struct Acceptor {
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

    /// Returns the time until the next call of `accept` that needs no event.
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

    pub(super) fn close(&mut self, registry: Registry<'_>) {
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
