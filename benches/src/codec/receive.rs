//! All implementations that receive masked frames, each through its public interface.

use std::{
    hint::black_box,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use fastwebsockets::FragmentCollector;
use futures_util::StreamExt;
use switchboard::{Connection, Delivery, Event, Limits, SpareBuffer};
use tungstenite::{Message, WebSocket, protocol::WebSocketConfig};

use super::{Block, Payload, Receiving, Wire, Work, bare};
use crate::Outcome;

/// A copy of the same bytes: the minimum cost of receiving them.
pub const MEMCPY: &str = "memcpy";
pub const OURS: &str = "ours";
/// The peers. uWebSockets is another one if it can be built.
pub const PEERS: [&str; 3] = ["tungstenite", "fastwebsockets", "tokio-websockets"];

/// The sizes of the reads with which each implementation is measured, in bytes. Which is best depends on the
/// implementation and on the frames.
pub const READS: [usize; 4] = [16 << 10, 32 << 10, 64 << 10, 128 << 10];

/// All implementations, in the order of the table's columns.
pub const IMPLEMENTATIONS: &[(&str, Receiving)] = &[
    (MEMCPY, memcpy),
    ("bare loop", bare_loop),
    (OURS, ours),
    (PEERS[0], tungstenite),
    (PEERS[1], fastwebsockets),
    (PEERS[2], tokio_websockets),
];

/// Copies into a buffer like the engines' own, which holds a whole frame.
fn memcpy(block: &Rc<Block>, read_bytes: usize) -> Work {
    let (frame_length, mut wire) = (block.frame_length, Wire::reading(block, read_bytes));
    let mut buffer = Buffer::new(frame_length.next_multiple_of(read_bytes));
    Box::new(move |frames| {
        let buffer = buffer.moved();
        let mut left = frames * frame_length as u64;
        while left > 0 {
            for room in buffer.chunks_mut(read_bytes) {
                left = left.saturating_sub(wire.read_into(room) as u64);
                black_box(room);
            }
        }
        Ok(frames)
    })
}

/// Finds the frames and unmasks them, which any server has to do. The only check is that of a text's UTF-8.
fn bare_loop(block: &Rc<Block>, read_bytes: usize) -> Work {
    let (payload, mut wire) = (block.payload, Wire::reading(block, read_bytes));
    let mut buffer = vec![0; block.frame_length + read_bytes];
    let mut filled = 0;
    Box::new(move |frames| {
        let (mut received, mut bytes) = (0, 0);
        while received < frames {
            filled += wire.read_into(&mut buffer[filled..]);
            let mut at = 0;
            while let Some((head, length)) = bare::header(&buffer[at..filled]) {
                let end = at + head + length;
                if end > filled {
                    break;
                }
                let (header, content) = buffer[at..end].split_at_mut(head);
                bare::unmask(content, [header[head - 4], header[head - 3], header[head - 2], header[head - 1]]);
                if payload.is_text() {
                    bytes += black_box(simdutf8::basic::from_utf8(content)?).len();
                } else {
                    bytes += black_box(&*content).len();
                }
                received += 1;
                at = end;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
        }
        checked(&payload, received, bytes)
    })
}

fn ours(block: &Rc<Block>, read_bytes: usize) -> Work {
    let (payload, mut wire) = (block.payload, Wire::reading(block, read_bytes));
    let mut connection = Connection::server(Limits::default(), Delivery::Messages);
    let (mut buffer, mut spare) = (Buffer::new(read_bytes), SpareBuffer::new(2 << 20));
    Box::new(move |frames| {
        let buffer = buffer.moved();
        let (mut received, mut bytes) = (0, 0);
        while received < frames {
            let receiver = &mut connection.receiver;
            let mut events = match receiver.room(buffer) {
                Some(mut room) => {
                    wire.append_to(room.vec());
                    room.receive()
                }
                None => {
                    let limit = receiver.read_limit(buffer.len());
                    let read = wire.read_into(&mut buffer[..limit]);
                    receiver.receive(&mut buffer[..read])
                }
            }
            .with_spare(&mut spare);
            while let Some(event) = events.next_event()? {
                bytes += match event {
                    Event::Text(text) => black_box(text).len(),
                    Event::Binary(payload) => black_box(payload).len(),
                    other => return Err(format!("{other:?} was not sent").into()),
                };
                received += 1;
            }
        }
        checked(&payload, received, bytes)
    })
}

fn tungstenite(block: &Rc<Block>, read_bytes: usize) -> Work {
    let payload = block.payload;
    // tungstenite fills its whole buffer with zeros before a read, so a buffer as large as a read is best.
    let config = WebSocketConfig::default().read_buffer_size(read_bytes);
    let role = tungstenite::protocol::Role::Server;
    let mut socket = WebSocket::from_raw_socket(Wire::reading(block, read_bytes), role, Some(config));
    Box::new(move |frames| {
        let mut bytes = 0;
        for _ in 0..frames {
            bytes += match black_box(socket.read()?) {
                Message::Text(text) => text.as_str().len(),
                Message::Binary(payload) => payload.len(),
                other => return Err(format!("{other:?} was not sent").into()),
            };
        }
        checked(&payload, frames, bytes)
    })
}

fn fastwebsockets(block: &Rc<Block>, read_bytes: usize) -> Work {
    let payload = block.payload;
    let socket =
        fastwebsockets::WebSocket::after_handshake(Wire::reading(block, read_bytes), fastwebsockets::Role::Server);
    let mut socket = FragmentCollector::new(socket);
    Box::new(move |frames| {
        let bytes = poll_once(async {
            let mut bytes = 0;
            for _ in 0..frames {
                bytes += black_box(socket.read_frame().await?).payload.len();
            }
            Ok::<_, fastwebsockets::WebSocketError>(bytes)
        })??;
        checked(&payload, frames, bytes)
    })
}

fn tokio_websockets(block: &Rc<Block>, read_bytes: usize) -> Work {
    let payload = block.payload;
    let mut socket = tokio_websockets::ServerBuilder::new().serve(Wire::reading(block, read_bytes));
    Box::new(move |frames| {
        let bytes = poll_once(async {
            let mut bytes = 0;
            for _ in 0..frames {
                let message = socket.next().await.ok_or("the stream ended unexpectedly")??;
                bytes += match black_box(&message).as_text() {
                    Some(text) => text.len(),
                    None => message.as_payload().len(),
                };
            }
            Outcome::Ok(bytes)
        })??;
        checked(&payload, frames, bytes)
    })
}

/// A buffer that begins at another place of its page each time it is used. A copy can take several times as long if
/// source and destination have nearly the same offsets in their pages, so one place says little.
struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    start: usize,
}

impl Buffer {
    fn new(length: usize) -> Self {
        Self { bytes: vec![0; length + PAGE_BYTES], length, start: 0 }
    }

    /// Returns the bytes, at the next place.
    fn moved(&mut self) -> &mut [u8] {
        self.start = (self.start + STEP_BYTES) % PAGE_BYTES;
        &mut self.bytes[self.start..][..self.length]
    }
}

const PAGE_BYTES: usize = 4 << 10;
/// A number without a common factor with the page's size: all places come once.
const STEP_BYTES: usize = 1_093;

/// Returns the output of a future that never waits.
pub(super) fn poll_once<F: Future>(future: F) -> Outcome<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("the future waits although the wire is always ready".into()),
    }
}

/// Returns the number of frames, if their payloads have the expected length.
fn checked(payload: &Payload, frames: u64, bytes: usize) -> Outcome<u64> {
    let expected = frames * payload.length as u64;
    if bytes as u64 == expected {
        Ok(frames)
    } else {
        Err(format!("{bytes} bytes in {frames} messages instead of {expected}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::RECEIVED, *};

    #[test]
    fn every_implementation_receives_what_is_sent() {
        for payload in RECEIVED {
            let block = Rc::new(Block::new(payload));
            for (name, implementation) in IMPLEMENTATIONS {
                for read_bytes in READS {
                    let mut work = implementation(&block, read_bytes);
                    for frames in [1, 5] {
                        let done = work(frames).unwrap_or_else(|error| panic!("{name}, {}: {error}", payload.name));
                        assert!(done >= frames, "{name}, {}", payload.name);
                    }
                }
            }
        }
    }
}
