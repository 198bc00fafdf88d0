//! A crowd: people who are connected, each in a room.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{guests, line::Line, scene::Scene, words};
use crate::{
    load::{Poller, Ready},
    random::Random,
};

/// How many people in how many rooms, as many in each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) people: usize,
    pub(super) rooms: usize,
}

/// Connected people. Dropped, they are gone by a reset.
#[derive(Debug)]
pub(super) struct Crowd {
    poller: Poller,
    ready: Vec<Ready>,
    buffer: Vec<u8>,
    lines: Vec<Line>,
    pub(super) scene: Scene,
    keys: Random,
}

impl Crowd {
    /// Everybody signs in, connects, and enters their room.
    ///
    /// # Errors
    /// What the system says, or that the server does not let somebody in.
    pub(super) fn enter(address: SocketAddr, Size { people, rooms }: Size) -> io::Result<Self> {
        let mut lines = guests::enter(address, people)?;
        let poller = Poller::new()?;
        for (number, line) in lines.iter_mut().enumerate() {
            poller.add(number, &mut line.stream)?;
        }
        let scene = Scene::new(people, rooms)?;
        let keys = Random(KEYS_SEED);
        let mut crowd = Self { poller, ready: Vec::new(), buffer: vec![0; READ_BYTES], lines, scene, keys };
        for room in 0..rooms {
            crowd.lines[room].send(&words::create(room))?;
        }
        crowd.listen_until(|scene| (0..rooms).all(|founder| scene.has_entered(founder)))?;
        for member in rooms..people {
            crowd.lines[member].send(&words::join(member % rooms))?;
        }
        crowd.listen_until(|scene| (rooms..people).all(|member| scene.has_entered(member)))?;
        crowd.settle()?;
        Ok(crowd)
    }

    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Somebody says something, as of `at`.
    pub(super) fn say(&mut self, author: usize, at: Instant) -> io::Result<()> {
        let (saying, room) = self.scene.say(author, at);
        self.lines[author].send(&saying.event(room, self.keys.bytes()))
    }

    /// Hears what the server has to say, and waits for that if need be, but not past `deadline`.
    ///
    /// # Errors
    /// It is not what it must be.
    pub(super) fn listen(&mut self, deadline: Instant) -> io::Result<()> {
        let Self { poller, ready, buffer, lines, scene, .. } = self;
        poller.wait(deadline, ready)?;
        for &(at, readable, writable) in &*ready {
            if writable {
                lines[at].flush()?;
            }
            if readable {
                lines[at].receive(buffer, |text| scene.hear(at, text, Instant::now()))?;
            }
        }
        Ok(())
    }

    /// Listens until all is acknowledged and all have been told all, each once.
    ///
    /// # Errors
    /// They have not, or not in time.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.listen_until(Scene::is_settled)?;
        self.scene.check_count()
    }

    fn listen_until(&mut self, done: impl Fn(&Scene) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + TOLD_WITHIN;
        while !done(&self.scene) {
            if Instant::now() >= deadline {
                return Err(io::Error::other("the server has not said all that it owes"));
            }
            self.listen(deadline)?;
        }
        Ok(())
    }
}

const READ_BYTES: usize = 64 << 10;
const TOLD_WITHIN: Duration = Duration::from_secs(10);
const KEYS_SEED: u64 = 0x5EED;
