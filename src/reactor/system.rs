//! The system calls of the reactor: those of mio and rustix, or in tests those of `simulated/`.
//!
//! Without the feature `testing` each type here has one variant and no cost.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    time::Duration,
};

use mio::{
    Interest, Token,
    net::{TcpListener, TcpStream},
};

#[cfg(not(windows))]
use rustix::time::{ClockId, clock_gettime};
use rustix::{
    buffer::spare_capacity,
    net::{RecvFlags, SendFlags},
};

#[cfg(any(test, feature = "testing"))]
use super::simulated;

/// Writing to a closed connection returns an error instead of raising SIGPIPE. (On Apple's systems mio sets this on the
/// socket.)
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::empty();

/// Measures the time that a piece of work takes. In this crate's own tests each takes 400 µs, so that a simulated run
/// is the same each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(#[cfg(not(test))] std::time::Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(
            #[cfg(not(test))]
            std::time::Instant::now(),
        )
    }

    pub(crate) fn elapsed(self) -> Duration {
        #[cfg(not(test))]
        return self.0.elapsed();
        #[cfg(test)]
        return Duration::from_micros(400);
    }
}

/// Returns the CPU time of the calling thread. (On Windows, the real time: as if the thread never waited.)
pub(super) fn thread_cpu_time() -> Duration {
    #[cfg(not(windows))]
    return Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    #[cfg(windows)]
    return START.elapsed();
}

#[cfg(windows)]
static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);

/// The events of a stream. On Linux, an urgent byte is one.
#[cfg(target_os = "linux")]
const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(target_os = "linux"))]
const INTERESTS: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// A connected stream of bytes. TCP is read and written through rustix, which enters the kernel directly: the C
/// library's support for thread cancellation around each call is a tenth of our instructions for an echo.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(any(test, feature = "testing"))]
    Simulated(simulated::Stream),
}

/// A listening socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    #[cfg(any(test, feature = "testing"))]
    Simulated(simulated::Listener),
}

/// Where sockets are registered for events.
#[derive(Clone, Copy, Debug)]
pub(super) enum Registry<'a> {
    Mio(&'a mio::Registry),
    #[cfg(any(test, feature = "testing"))]
    Simulated(&'a simulated::Poller),
}

/// Ends a wait for readiness, from any thread.
#[derive(Debug)]
pub(super) enum Waker {
    Mio(mio::Waker),
    #[cfg(any(test, feature = "testing"))]
    Simulated(simulated::Waker),
}

impl Stream {
    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nodelay(true),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(_) => Ok(()),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Ok(rustix::net::recv(stream, buffer, RecvFlags::empty())?.0),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(stream) => stream.read(buffer),
        }
    }

    /// Reads into the spare capacity of `vec`.
    pub(super) fn append_to(&mut self, vec: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Ok(rustix::net::recv(stream, spare_capacity(vec), RecvFlags::empty())?.1),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(stream) => {
                let before = vec.len();
                vec.resize(vec.capacity(), 0);
                let read = stream.read(&mut vec[before..]);
                vec.truncate(before + read.as_ref().map_or(0, |&count| count));
                read
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Ok(rustix::net::send(stream, bytes, SEND_FLAGS)?),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(stream) => stream.write(bytes),
        }
    }

    pub(super) fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(stream) => stream.shutdown_write(),
        }
    }
}

impl Listener {
    pub(super) fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => listener.accept().map(|(stream, peer)| (Stream::Tcp(stream), peer)),
            #[cfg(any(test, feature = "testing"))]
            Self::Simulated(listener) => listener.accept().map(|(stream, peer)| (Stream::Simulated(stream), peer)),
        }
    }
}

impl Registry<'_> {
    /// Registers a stream for events in both directions.
    pub(super) fn watch(self, stream: &mut Stream, token: Token) -> io::Result<()> {
        match (self, stream) {
            (Self::Mio(registry), Stream::Tcp(stream)) => registry.register(stream, token, INTERESTS),
            #[cfg(any(test, feature = "testing"))]
            (Self::Simulated(poller), Stream::Simulated(stream)) => poller.watch(stream, token),
            #[cfg(any(test, feature = "testing"))]
            (Self::Mio(_) | Self::Simulated(_), _) => unreachable!("a stream of another kind"),
        }
    }

    /// Registers a listener.
    pub(super) fn watch_listener(self, listener: &mut Listener, token: Token) -> io::Result<()> {
        match (self, listener) {
            (Self::Mio(registry), Listener::Tcp(listener)) => registry.register(listener, token, Interest::READABLE),
            #[cfg(any(test, feature = "testing"))]
            (Self::Simulated(_), Listener::Simulated(_)) => Ok(()), // always registered: each worker has one
            #[cfg(any(test, feature = "testing"))]
            (Self::Mio(_) | Self::Simulated(_), _) => unreachable!("a listener of another kind"),
        }
    }

    pub(super) fn forget_listener(self, listener: &mut Listener) -> io::Result<()> {
        match (self, listener) {
            (Self::Mio(registry), Listener::Tcp(listener)) => registry.deregister(listener),
            #[cfg(any(test, feature = "testing"))]
            (Self::Mio(_) | Self::Simulated(_), _) => Ok(()),
        }
    }
}

impl Waker {
    pub(super) fn wake(&self) -> io::Result<()> {
        loop {
            let woken = match self {
                Self::Mio(waker) => waker.wake(),
                #[cfg(any(test, feature = "testing"))]
                Self::Simulated(waker) => waker.wake(),
            };
            match woken {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                woken => return woken,
            }
        }
    }
}
