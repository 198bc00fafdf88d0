//! The kernel's cost, and next to nothing else: a loop on mio that parses frames without any check.
//!
//! Each read has one write, of all its answers. Broadcasts are encoded once per turn of the loop, and the same bytes
//! are written to all connections.

use std::{
    io::{self, ErrorKind, Read, Write},
    ops::Range,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use switchboard::{Delivery, HeadLimits, Limits, RequestReader, ServerHandshake};

use super::{Mode, accept};

pub(super) fn serve(listener: std::net::TcpListener, mode: Mode) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listener);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut baseline = Baseline { poll, listener, mode, connections: Slab::new(), output: Vec::new() };
    let mut input = vec![0; READ_BYTES];
    let mut events = Events::with_capacity(1024);
    loop {
        baseline.poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                baseline.accept()?;
                continue;
            }
            let slot = event.token().0;
            let served = baseline.ready(slot, event.is_readable(), event.is_writable(), &mut input);
            baseline.end_if_failed(slot, served);
        }
        baseline.flush_broadcast();
    }
}

struct Baseline {
    poll: Poll,
    listener: TcpListener,
    mode: Mode,
    connections: Slab<Connection>,
    /// The answers to one read, or all broadcasts of one turn.
    output: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// `Some` until the request is complete.
    request: Option<Box<RequestReader>>,
    /// The beginning of an incomplete frame.
    partial: Vec<u8>,
    /// The bytes that the kernel did not take.
    unsent: Vec<u8>,
}

impl Baseline {
    fn accept(&mut self) -> io::Result<()> {
        while let Some(mut stream) = accept(&self.listener)? {
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            let request = Some(Box::new(RequestReader::new(HeadLimits::default())));
            entry.insert(Connection { stream, request, partial: Vec::new(), unsent: Vec::new() });
        }
        Ok(())
    }

    fn ready(&mut self, slot: usize, readable: bool, writable: bool, input: &mut [u8]) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(slot) else { return Ok(()) };
        if writable {
            connection.flush()?;
        }
        if readable { connection.read(self.mode, input, &mut self.output) } else { Ok(()) }
    }

    fn flush_broadcast(&mut self) {
        if self.output.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        for (slot, connection) in &mut self.connections {
            if connection.request.is_none() && connection.write(&self.output).is_err() {
                failed.push(slot);
            }
        }
        self.output.clear();
        for slot in failed {
            self.connections.remove(slot);
        }
    }

    /// Closing a socket also removes it from the poll.
    fn end_if_failed(&mut self, slot: usize, served: io::Result<()>) {
        if served.is_err() {
            self.connections.try_remove(slot);
        }
    }
}

impl Connection {
    /// Reads until the socket is empty.
    fn read(&mut self, mode: Mode, input: &mut [u8], output: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let length = match self.stream.read(input) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let taken = if self.request.is_some() { self.open(&input[..length])? } else { 0 };
            self.take(&input[taken..length], output);
            if mode == Mode::Echo {
                self.write(output)?;
                output.clear();
            }
            if length < input.len() {
                return Ok(());
            }
        }
    }

    /// Reads the request and answers it. Returns the number of bytes that belong to it.
    fn open(&mut self, input: &[u8]) -> io::Result<usize> {
        let Some(reader) = &mut self.request else { return Ok(0) };
        let Some((head, used)) = reader.receive(input).map_err(io::Error::other)? else { return Ok(input.len()) };
        let handshake = ServerHandshake::from_request(&head).map_err(io::Error::other)?;
        let mut answer = Vec::new();
        handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut answer).map_err(io::Error::other)?;
        self.request = None;
        self.write(&answer)?;
        Ok(used)
    }

    /// Appends the answers to all complete frames to `output`.
    fn take(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if self.partial.is_empty() {
            let used = answer_frames(input, output);
            self.partial.extend_from_slice(&input[used..]);
        } else {
            self.partial.extend_from_slice(input);
            let used = answer_frames(&self.partial, output);
            self.partial.drain(..used);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        if self.unsent.is_empty() {
            written = write_some(&mut self.stream, bytes)?;
        }
        self.unsent.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let written = write_some(&mut self.stream, &self.unsent)?;
            self.unsent.drain(..written);
        }
        Ok(())
    }
}

/// Writes as much as the kernel takes. Returns the number of bytes.
fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Appends an echo of each complete frame: the same first byte, the length, and the unmasked payload. Returns the
/// number of bytes parsed.
fn answer_frames(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut used = 0;
    while let Some(frame) = Frame::decode(&input[used..]) {
        let Frame { first, key, payload, end } = frame;
        let length = payload.len();
        match length {
            0..=125 => output.extend_from_slice(&[first, length as u8]),
            126..=0xffff => {
                output.extend_from_slice(&[first, 126, (length >> 8) as u8, length as u8]);
            }
            _ => {
                output.extend_from_slice(&[first, 127]);
                output.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let start = output.len();
        output.extend_from_slice(&input[used..][payload]);
        unmask(&mut output[start..], key);
        used += end;
    }
    used
}

struct Frame {
    first: u8,
    key: [u8; 4],
    payload: Range<usize>,
    end: usize,
}

impl Frame {
    /// Decodes a masked frame at the front of `input`. Returns `None` if it is incomplete.
    fn decode(input: &[u8]) -> Option<Self> {
        let (&first, &second) = (input.first()?, input.get(1)?);
        let (length, header) = match second & 0x7f {
            126 => (u16::from_be_bytes(input.get(2..4)?.try_into().ok()?) as usize, 4),
            127 => (u64::from_be_bytes(input.get(2..10)?.try_into().ok()?) as usize, 10),
            short => (short as usize, 2),
        };
        let key = input.get(header..header + 4)?.try_into().ok()?;
        let payload = header + 4..header + 4 + length;
        let end = payload.end;
        (end <= input.len()).then_some(Self { first, key, payload, end })
    }
}

fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let half = u64::from(u32::from_ne_bytes(key));
    let word = half << 32 | half;
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

const LISTENER: Token = Token(usize::MAX);
/// Enough to read a message of 64 KiB at once.
const READ_BYTES: usize = 128 << 10;
