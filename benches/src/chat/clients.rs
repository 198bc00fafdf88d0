//! A crowd: people who are connected, each in a room.

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

/// How many people in how many rooms, as many in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) users: usize,
    pub(super) rooms: usize,
}

/// Connected people. Dropped, they are gone by a reset.
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
    /// Everybody signs in, connects, and enters their room.
    ///
    /// # Errors
    /// What the system says, or that the server does not let somebody in.
    pub(super) fn connect(address: SocketAddr, Size { users, rooms }: Size) -> io::Result<Self> {
        let mut connections = sign_in::connect(address, users)?;
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
        clients.poll_until(|checker| (0..rooms).all(|user| checker.has_entered(user)))?;
        for member in rooms..users {
            clients.connections[member].send(&messages::join(member % rooms))?;
        }
        clients.poll_until(|checker| (rooms..users).all(|member| checker.has_entered(member)))?;
        clients.settle()?;
        Ok(clients)
    }

    pub(super) fn count(&self) -> usize {
        self.connections.len()
    }

    /// Somebody says something, as of `at`.
    pub(super) fn send(&mut self, author: usize, at: Instant) -> io::Result<()> {
        let (sent, room) = self.checker.send(author, at);
        self.connections[author].send(&sent.event(room, self.keys.bytes()))
    }

    /// Hears what the server has to say, and waits for that if need be, but not past `deadline`.
    ///
    /// # Errors
    /// It is not what it must be.
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

    /// Listens until all is acknowledged and all have been told all, each once.
    ///
    /// # Errors
    /// They have not, or not in time.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.poll_until(Checker::is_settled)?;
        self.checker.check_count()
    }

    fn poll_until(&mut self, done: impl Fn(&Checker) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        while !done(&self.checker) {
            if Instant::now() >= deadline {
                return Err(io::Error::other("the server has not said all that it owes"));
            }
            self.poll(deadline)?;
        }
        Ok(())
    }
}

const READ_BYTES: usize = 64 << 10;
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);
const KEYS_SEED: u64 = 0x5EED;
