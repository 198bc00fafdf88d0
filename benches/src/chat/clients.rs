//! The connected users, each in one room.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{checker::Checker, connection::ChatConnection, messages, sign_in};
use crate::{
    load::{Poller, Ready},
    random::Random,
};

/// The numbers of users and rooms. All rooms have equally many members.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) users: usize,
    pub(super) rooms: usize,
}

/// Connected users. Dropping it resets their connections.
#[derive(Debug)]
pub(super) struct Clients {
    poller: Poller,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    connections: Vec<ChatConnection>,
    pub(super) checker: Checker,
    keys: Random,
}

impl Clients {
    /// Signs all users in, connects them, and lets each join its room.
    ///
    /// # Errors
    /// An I/O error, or the server refuses a user.
    pub(super) fn connect(address: SocketAddr, Size { users, rooms }: Size) -> io::Result<Self> {
        let mut connections = sign_in::connect_all(address, 0..users)?;
        let poller = Poller::new()?;
        for (number, connection) in connections.iter_mut().enumerate() {
            poller.add(number, &mut connection.stream)?;
        }
        let checker = Checker::new(users, rooms)?;
        let keys = Random(KEYS_SEED);
        let mut clients = Self { poller, ready: Vec::new(), buffer: vec![0; READ_BYTES], connections, checker, keys };
        for room in 0..rooms {
            clients.connections[room].send(&messages::create(room))?;
        }
        clients.poll_until(|checker| (0..rooms).all(|user| checker.has_joined(user)))?;
        for member in rooms..users {
            clients.connections[member].send(&messages::join(member % rooms))?;
        }
        clients.poll_until(|checker| (rooms..users).all(|member| checker.has_joined(member)))?;
        clients.settle()?;
        Ok(clients)
    }

    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Sends the next message of `author`. Its latency counts from `at`.
    pub(super) fn send(&mut self, author: usize, at: Instant) -> io::Result<()> {
        let (sent, room) = self.checker.send(author, at);
        self.connections[author].send(&sent.event(room, self.keys.bytes()))
    }

    /// Receives and checks events from the server. Waits for the first one until `deadline` at most.
    ///
    /// # Errors
    /// An I/O error, or an event that breaks the protocol.
    pub(super) fn poll(&mut self, deadline: Instant) -> io::Result<()> {
        let Self { poller, ready, buffer, connections, checker, .. } = self;
        poller.wait(deadline, ready)?;
        for &(at, readable, writable) in &*ready {
            if writable {
                connections[at].flush()?;
            }
            if readable {
                connections[at].receive(buffer, |text| checker.receive(at, text, Instant::now()))?;
            }
        }
        Ok(())
    }

    /// Polls until every message is acknowledged and delivered to every member, once each.
    ///
    /// # Errors
    /// An event is wrong, or some are missing after [`SETTLE_TIMEOUT`].
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.poll_until(Checker::is_settled)?;
        self.checker.check_count()
    }

    fn poll_until(&mut self, done: impl Fn(&Checker) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !done(&self.checker) {
            if Instant::now() >= deadline {
                return Err(io::Error::other("the server did not send all expected events in time"));
            }
            self.poll(deadline)?;
        }
        Ok(())
    }
}

const READ_BYTES: usize = 64 << 10;
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
const KEYS_SEED: u64 = 0x5EED;
