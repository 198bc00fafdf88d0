//! Hostile clients: signed-in guests who request the most expensive replies as fast as the server takes the events, and
//! strangers who sign in, or try to, as fast as the server answers.
//!
//! They share the load generator's thread. Each [`Flood::step`] takes some microseconds, so that the others' messages
//! are sent on time and received as soon as they arrive.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::net::TcpStream;

use super::{clients::Size, connection::ChatConnection, messages, sign_in, strangers::Strangers};
use crate::random::Random;

/// A kind of flood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloodKind {
    /// One guest, who reads the replies.
    OneReading,
    /// One guest, who reads nothing.
    OneUnread,
    /// Ten guests, who read the replies.
    TenReading,
    /// Clients without a session.
    Strangers,
}

/// What a flood finds in the chat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    /// The number of public rooms beside the users', for a search to look at.
    pub(super) rooms: usize,
    /// The number of connections of each flooding guest.
    pub(super) connections_each: usize,
}

/// A running flood. Dropping it resets its connections.
#[derive(Debug)]
pub(super) enum Flood {
    Guests(Guests),
    Strangers(Strangers),
}

/// The connections of signed-in guests.
#[derive(Debug)]
pub(super) struct Guests {
    connections: Vec<Connection>,
    /// The index of the connection that has the next turn.
    next: usize,
    is_reading: bool,
    /// Frames with [`EVENTS_PER_BLOCK`] events.
    block: Vec<u8>,
    received_bytes: u64,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// How many bytes of the block are sent.
    sent: usize,
}

impl FloodKind {
    pub(super) const ALL: [Self; 4] = [Self::OneReading, Self::OneUnread, Self::TenReading, Self::Strangers];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneReading => "1 guest",
            Self::OneUnread => "1 guest, who reads nothing",
            Self::TenReading => "10 guests",
            Self::Strangers => "strangers",
        }
    }

    fn guests(self) -> usize {
        match self {
            Self::OneReading | Self::OneUnread => 1,
            Self::TenReading => 10,
            Self::Strangers => 0,
        }
    }
}

impl Stage {
    /// Fills a chat that will have `size` users with public rooms, the last one with long texts. Returns the number of
    /// that room.
    ///
    /// # Errors
    /// An I/O error, or the server refuses something.
    pub(super) fn set_up(self, address: SocketAddr, size: Size) -> io::Result<u64> {
        let first = size.users + FLOODING_GUESTS;
        let mut makers = sign_in::connect_all(address, first..first + MAKERS)?;
        let mut buffer = vec![0; READ_BYTES];
        for (at, maker) in makers.iter_mut().enumerate() {
            for room in (at..self.rooms).step_by(MAKERS) {
                maker.send(&messages::create(size.rooms + room))?;
            }
        }
        for (at, maker) in makers.iter_mut().enumerate() {
            let rooms = (at..self.rooms).step_by(MAKERS).len();
            await_replies(maker, rooms, &mut buffer)?;
        }
        let author = &mut makers[0];
        author.send(&messages::create(size.rooms + self.rooms))?;
        let room = await_replies(author, 1, &mut buffer)?;
        let mut keys = Random(KEYS_SEED);
        for number in 1..=LONG_TEXTS {
            author.send(&messages::say_long(room, number, LONG_TEXT_BYTES, keys.bytes()))?;
        }
        await_replies(author, LONG_TEXTS, &mut buffer)?;
        Ok(room)
    }
}

impl Flood {
    /// Begins a flood of a chat that has `size` users and this stage. `room` is the room with long texts.
    ///
    /// # Errors
    /// An I/O error, or the server refuses a guest.
    pub(super) fn begin(kind: FloodKind, address: SocketAddr, size: Size, stage: Stage, room: u64) -> io::Result<Self> {
        if kind == FloodKind::Strangers {
            return Ok(Self::Strangers(Strangers::new(address)));
        }
        let members = size.users..size.users + kind.guests();
        let tokens = sign_in::sign_in(address, members.clone())?;
        let (mut connections, mut block) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; READ_BYTES];
        for (member, token) in members.zip(&tokens) {
            for number in 0..stage.connections_each {
                let mut connection = sign_in::connect(address, member, token)?;
                if number == 0 {
                    connection.send(&messages::join_by_number(room))?;
                    await_replies(&mut connection, 1, &mut buffer)?;
                }
                if block.is_empty() {
                    let events = messages::expensive(room);
                    for event in events.iter().cycle().take(EVENTS_PER_BLOCK) {
                        connection.encode(event, &mut block)?;
                    }
                }
                connections.push(Connection { stream: connection.stream, sent: 0 });
            }
        }
        let is_reading = kind != FloodKind::OneUnread;
        Ok(Self::Guests(Guests { connections, next: 0, is_reading, block, received_bytes: 0, buffer }))
    }

    /// Reads from and writes to one connection.
    ///
    /// # Errors
    /// The server has closed a connection of a guest.
    pub(super) fn step(&mut self) -> io::Result<()> {
        match self {
            Self::Guests(guests) => guests.step(),
            Self::Strangers(strangers) => strangers.step(),
        }
    }

    /// Returns what it has got: for guests, bytes of replies; for strangers, connections that were answered or closed.
    pub(super) fn got(&self) -> u64 {
        match self {
            Self::Guests(guests) => guests.received_bytes,
            Self::Strangers(strangers) => strangers.answered(),
        }
    }
}

impl Guests {
    fn step(&mut self) -> io::Result<()> {
        let count = self.connections.len();
        let connection = &mut self.connections[self.next];
        self.next = (self.next + 1) % count;
        if self.is_reading {
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a flooding connection")),
                Ok(length) => self.received_bytes += length as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        match connection.stream.write(&self.block[connection.sent..]) {
            Ok(length) => {
                connection.sent = (connection.sent + length) % self.block.len();
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Waits until `count` events are acknowledged. Returns the number of the room that was joined last, or 0.
fn await_replies(connection: &mut ChatConnection, count: usize, buffer: &mut [u8]) -> io::Result<u64> {
    let deadline = Instant::now() + SET_UP_TIMEOUT;
    let (mut replies, mut room) = (0, 0);
    while replies < count {
        if Instant::now() >= deadline {
            return Err(io::Error::other("the server did not acknowledge all events in time"));
        }
        connection.flush()?;
        connection.receive(buffer, |text| {
            if text.starts_with(r#"["ack","#) {
                replies += 1;
                room = messages::joined_room(text).unwrap_or(room);
            } else if text.starts_with(r#"["error","#) {
                return Err(io::Error::other(format!("the server refuses to set up: {text}")));
            }
            Ok(())
        })?;
    }
    Ok(room)
}

/// The guests with the next numbers after the users' flood; those after them make rooms.
const FLOODING_GUESTS: usize = 10;
/// Each makes a part of the rooms: a guest in many rooms takes longer to enter the next.
const MAKERS: usize = 20;
/// The texts fill a page of `history`: it has at most 100 messages and 64 KiB of text.
const LONG_TEXTS: usize = 100;
const LONG_TEXT_BYTES: usize = 650;
const EVENTS_PER_BLOCK: usize = 400;
const READ_BYTES: usize = 64 << 10;
const SET_UP_TIMEOUT: Duration = Duration::from_secs(30);
const KEYS_SEED: u64 = 0xF100D;
