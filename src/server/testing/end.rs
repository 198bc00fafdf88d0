//! A client's end of a connection: bytes to the engine and back.

use std::{collections::VecDeque, io::ErrorKind};

use super::Received;
use crate::{
    ClientHandshake, ClientHandshakeError, ClientRequest, Connection, Delivery, Driver, Event, HeadLimits,
    InvalidHeader, KeySource, Limits, Masked, MaskingKey, ResponseHead,
    reactor::simulated::{NEVER, Peer, Random, Side},
};

/// A client's end of a connection.
pub(super) struct End {
    peer: Peer,
    phase: Phase,
    /// Bytes that the network has not taken.
    out: VecDeque<u8>,
    pub(super) received: VecDeque<Received>,
    /// The client reads what arrives.
    pub(super) reads: bool,
    /// Nothing more arrives: the server has ended TCP, or it was reset.
    pub(super) has_ended: bool,
    /// The client has ended its side.
    has_finished: bool,
    random: Random,
}

enum Phase {
    /// Bytes without a meaning.
    Bytes(Vec<u8>),
    Connecting(Box<ClientHandshake>),
    /// Refused; the body may not be complete.
    Refused(Box<ResponseHead>, Vec<u8>),
    Open(Box<ClientDriver>),
    /// No more input has a meaning.
    Over,
}

pub(super) type ClientDriver = Driver<Masked<Keys>>;

/// Masking keys that are the same in each run.
pub(super) struct Keys(Random);

impl KeySource for Keys {
    fn next_key(&mut self) -> MaskingKey {
        MaskingKey((self.0.next() as u32).to_le_bytes())
    }
}

impl End {
    pub(super) fn new(peer: Peer) -> Self {
        let random = Random::new(peer.pair as u64);
        Self {
            peer,
            phase: Phase::Bytes(Vec::new()),
            out: VecDeque::new(),
            received: VecDeque::new(),
            reads: true,
            has_ended: false,
            has_finished: false,
            random,
        }
    }

    /// Begins an opening handshake.
    pub(super) fn open(&mut self, request: &ClientRequest<'_>) -> Result<(), InvalidHeader> {
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&self.random.bytes(16));
        let mut out = Vec::new();
        let handshake = ClientHandshake::new(request, nonce, HeadLimits::default(), &mut out)?;
        self.phase = Phase::Connecting(Box::new(handshake));
        self.write(&out);
        Ok(())
    }

    /// Returns the engine's connection, if it is open.
    pub(super) fn driver(&mut self) -> Option<&mut ClientDriver> {
        match &mut self.phase {
            Phase::Open(driver) if !self.has_ended => Some(driver),
            _ => None,
        }
    }

    /// Writes bytes as they are, behind what the engine has to send.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.take_output();
        self.out.extend(bytes);
        self.flush();
    }

    /// Takes the bytes that have arrived and that no engine reads.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        match &mut self.phase {
            Phase::Bytes(bytes) => std::mem::take(bytes),
            _ => Vec::new(),
        }
    }

    /// Reads and writes what the network allows now.
    pub(super) fn pump(&mut self) {
        self.flush();
        let mut buffer = vec![0; READ_BYTES];
        while self.reads && !self.has_ended {
            match self.peer.read(&mut buffer) {
                Ok(0) => self.ended(Received::End),
                Ok(count) => self.receive(&mut buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ended(Received::Reset),
            }
        }
        self.flush();
    }

    /// Ends the client's side of TCP.
    pub(super) fn finish(&mut self) {
        self.has_finished = true;
        self.flush();
    }

    pub(super) fn reset(&mut self) {
        self.peer.reset();
        self.give_up();
    }

    /// Closes the client's end, as when its process ends.
    pub(super) fn close(&mut self) {
        self.peer.close();
        self.give_up();
    }

    /// From now on nothing arrives in either direction.
    pub(super) fn vanish(&mut self) {
        self.peer.stall(Side::Client, NEVER);
        self.peer.stall(Side::Server, NEVER);
    }

    fn give_up(&mut self) {
        self.has_ended = true;
        self.out.clear();
    }

    fn take_output(&mut self) {
        if let Phase::Open(driver) = &mut self.phase {
            let output = driver.output();
            self.out.extend(output);
            let count = output.len();
            driver.wrote(count);
        }
    }

    fn flush(&mut self) {
        self.take_output();
        while !self.out.is_empty() {
            match self.peer.write(self.out.as_slices().0) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.out.clear(), // reading reports the error
            }
        }
        if self.has_finished && !self.has_ended {
            self.peer.shutdown_write();
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        match &mut self.phase {
            Phase::Bytes(kept) => kept.extend_from_slice(bytes),
            Phase::Over => {}
            Phase::Connecting(_) => self.receive_response(bytes),
            Phase::Refused(_, body) => {
                let room = MAX_BODY_BYTES - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                self.check_body();
            }
            Phase::Open(driver) => {
                let (mut incoming, mut outgoing) = driver.receive(bytes);
                let is_over = loop {
                    match incoming.next_event(&mut outgoing) {
                        Ok(None) => break false,
                        Ok(Some(event)) => {
                            let is_over = matches!(event, Event::Close(_));
                            self.received.extend(received(event));
                            if is_over {
                                break true;
                            }
                        }
                        Err(error) => panic!("the server breaks the protocol: {error}"),
                    }
                };
                if is_over {
                    self.take_output();
                    self.phase = Phase::Over;
                    self.has_finished = true;
                }
            }
        }
    }

    fn receive_response(&mut self, bytes: &mut [u8]) {
        let Phase::Connecting(handshake) = &mut self.phase else { return };
        match handshake.receive(bytes) {
            Ok(None) => {}
            Ok(Some((established, used))) => {
                self.received.push_back(Received::Open(Box::new(established.response().clone())));
                let keys = Keys(self.random.clone());
                let connection: Connection<Masked<Keys>> =
                    established.into_connection(keys, Limits::default(), Delivery::Messages);
                self.phase = Phase::Open(Box::new(Driver::new(connection, Vec::new())));
                self.receive(&mut bytes[used..]);
            }
            Err(ClientHandshakeError::Status { response, used })
            | Err(ClientHandshakeError::Redirect { response, used, .. }) => {
                self.phase = Phase::Refused(response, Vec::new());
                self.receive(&mut bytes[used..]);
            }
            Err(error) => panic!("the server's response opens no connection: {error}"),
        }
    }

    /// Lists the refusal once its body is complete.
    fn check_body(&mut self) {
        let Phase::Refused(head, body) = &mut self.phase else { return };
        let length =
            head.values("content-length").next().and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let length: usize = length.unwrap_or(usize::MAX);
        if body.len() >= length.min(MAX_BODY_BYTES) || self.has_ended {
            self.received.push_back(Received::Refused(head.clone(), std::mem::take(body)));
            self.phase = Phase::Over;
        }
    }

    fn ended(&mut self, how: Received) {
        self.has_ended = true;
        match self.phase {
            Phase::Refused(..) => self.check_body(),
            Phase::Connecting(_) | Phase::Open(_) => {
                self.received.push_back(how);
                self.phase = Phase::Over;
            }
            Phase::Bytes(_) | Phase::Over => {}
        }
        self.has_finished = true;
        self.peer.shutdown_write();
    }
}

fn received(event: Event<'_>) -> Option<Received> {
    match event {
        Event::Text(text) => Some(Received::Text(text.into())),
        Event::Binary(bytes) => Some(Received::Binary(bytes.into())),
        Event::Pong(payload) => Some(Received::Pong(payload.into())),
        Event::Close(frame) => Some(Received::Close(frame.map(Into::into))),
        Event::Ping(_) => None, // the driver has answered it
        Event::Piece(_) => unreachable!("whole messages were asked for"),
    }
}

const READ_BYTES: usize = 16 << 10;
const MAX_BODY_BYTES: usize = 64 << 10;
