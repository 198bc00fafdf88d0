//! Many sockets, and which of them are ready.

use std::{
    io::{self, ErrorKind},
    time::Instant,
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};

/// A ready socket: its number, whether it is readable, and whether it is writable.
pub(crate) type Ready = (usize, bool, bool);

/// Reports sockets that became ready (edge-triggered).
#[derive(Debug)]
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(1024) })
    }

    /// Registers a socket under `number`.
    pub(crate) fn add(&self, number: usize, stream: &mut TcpStream) -> io::Result<()> {
        self.poll.registry().register(stream, Token(number), Interest::READABLE | Interest::WRITABLE)
    }

    /// Waits until a socket is ready, at most until `deadline`.
    pub(crate) fn wait(&mut self, deadline: Instant, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let timeout = deadline.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        ready.extend(self.events.iter().map(|event| (event.token().0, event.is_readable(), event.is_writable())));
        Ok(())
    }
}
