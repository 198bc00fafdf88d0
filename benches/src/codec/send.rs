//! All implementations that write a server's frames into a buffer.
//!
//! The payload already exists in each implementation's cheapest form: a slice for ours and fastwebsockets, a
//! reference-counted `Bytes` for the others. The frames go into a buffer from which a server would write to a socket,
//! 64 KiB or more at a time.

use std::{hint::black_box, io::Write};

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, Payload as FastPayload};
use futures_util::SinkExt;
use switchboard::{Connection, Delivery, Limits};
use tokio_util::codec::Encoder;
use tungstenite::{Message, WebSocket, protocol::Role};

use super::{
    Implementations, Payload, Wire, Work,
    receive::{MEMCPY, poll_once},
    wire::WRITE_BYTES,
};
use crate::Outcome;

pub const OURS: &str = "ours";
/// The peers. uWebSockets is another one if it can be built.
pub const PEERS: [&str; 4] = ["tungstenite", "fastwebsockets", "tokio-websockets", "yawc"];

/// All implementations, in the order of the table's columns.
pub const IMPLEMENTATIONS: Implementations<Payload> = &[
    (MEMCPY, memcpy),
    (OURS, ours),
    (PEERS[0], tungstenite),
    (PEERS[1], fastwebsockets),
    (PEERS[2], tokio_websockets),
    (PEERS[3], yawc),
];

fn memcpy(payload: &Payload) -> Work {
    let content = payload.bytes();
    let mut wire = Wire::writing();
    Box::new(move |frames| {
        for _ in 0..frames {
            wire.write_all(black_box(&content))?;
        }
        black_box(&wire);
        Ok(frames)
    })
}

fn ours(payload: &Payload) -> Work {
    let (content, frame_length) = (payload.bytes(), payload.server_frame_length());
    let mut connection = Connection::server(Limits::default(), Delivery::Messages);
    let mut out = Vec::with_capacity(WRITE_BYTES + frame_length);
    let mut total = 0;
    Box::new(move |frames| {
        let before = total;
        for _ in 0..frames {
            connection.sender.binary(black_box(&content), &mut out)?;
            if out.len() >= WRITE_BYTES {
                total += out.len() as u64;
                black_box(&out);
                out.clear();
            }
        }
        total += out.len() as u64;
        out.clear();
        checked(frame_length, frames, total - before)
    })
}

fn tungstenite(payload: &Payload) -> Work {
    let (content, frame_length) = (Bytes::from(payload.bytes()), payload.server_frame_length());
    let mut socket = WebSocket::from_raw_socket(Wire::writing(), Role::Server, None);
    Box::new(move |frames| {
        let before = socket.get_ref().total_written();
        for _ in 0..frames {
            socket.write(Message::Binary(black_box(&content).clone()))?;
        }
        socket.flush()?;
        checked(frame_length, frames, socket.get_ref().total_written() - before)
    })
}

fn fastwebsockets(payload: &Payload) -> Work {
    let (content, frame_length) = (payload.bytes(), payload.server_frame_length());
    let mut total = 0;
    // The socket borrows the payload for its whole life, so each call makes a new one.
    let mut kept = Some(Wire::writing());
    Box::new(move |frames| {
        let wire = kept.take().ok_or("the wire was lost in an earlier failure")?;
        let mut socket = fastwebsockets::WebSocket::after_handshake(wire, fastwebsockets::Role::Server);
        poll_once(async {
            for _ in 0..frames {
                socket.write_frame(Frame::binary(FastPayload::Borrowed(black_box(&content)))).await?;
            }
            socket.flush().await
        })??;
        let wire = socket.into_inner();
        let before = std::mem::replace(&mut total, wire.total_written());
        kept = Some(wire);
        checked(frame_length, frames, total - before)
    })
}

fn tokio_websockets(payload: &Payload) -> Work {
    let (content, frame_length) = (Bytes::from(payload.bytes()), payload.server_frame_length());
    let mut socket = tokio_websockets::ServerBuilder::new().serve(Wire::writing());
    Box::new(move |frames| {
        let before = socket.get_ref().total_written();
        poll_once(async {
            for _ in 0..frames {
                socket.feed(tokio_websockets::Message::binary(black_box(&content).clone())).await?;
            }
            socket.flush().await
        })??;
        checked(frame_length, frames, socket.get_ref().total_written() - before)
    })
}

/// Only yawc's encoder, which is public. The connection around it is not measured.
fn yawc(payload: &Payload) -> Work {
    let (content, frame_length) = (Bytes::from(payload.bytes()), payload.server_frame_length());
    let mut encoder = yawc::codec::Encoder::new(yawc::Role::Server);
    let mut out = BytesMut::with_capacity(2 * WRITE_BYTES);
    Box::new(move |frames| {
        let mut total = 0;
        for _ in 0..frames {
            encoder.encode(yawc::Frame::binary(black_box(&content).clone()), &mut out)?;
            if out.len() >= WRITE_BYTES {
                total += out.len() as u64;
                black_box(&out);
                out.clear();
            }
        }
        total += out.len() as u64;
        out.clear();
        checked(frame_length, frames, total)
    })
}

/// Returns the number of frames, if the expected number of bytes was written.
fn checked(frame_length: usize, frames: u64, bytes: u64) -> Outcome<u64> {
    let expected = frames * frame_length as u64;
    if bytes == expected {
        Ok(frames)
    } else {
        Err(format!("{bytes} bytes written for {frames} frames instead of {expected}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::SENT, *};

    #[test]
    fn every_implementation_sends_whole_frames() {
        for payload in SENT {
            for (name, implementation) in IMPLEMENTATIONS {
                let mut work = implementation(&payload);
                for frames in [1, 20] {
                    let done = work(frames).unwrap_or_else(|error| panic!("{name}, {}: {error}", payload.name));
                    assert_eq!(done, frames, "{name}, {}", payload.name);
                }
            }
        }
    }
}
