//! A server's end of a connection with permessage-deflate: the engine's, and one with its own compressor and
//! decompressor of zlib.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use switchboard::{
    Connection, Deflate, DeflateConfig, DeflateParams, Delivery, Event, FrameHeader, Limits, MessageKind,
};

use crate::{Outcome, codec::bare};

/// A server's end of a connection.
pub trait End {
    /// Appends a frame with the message, compressed.
    ///
    /// # Errors
    /// The message cannot be sent.
    fn send(&mut self, text: &str, out: &mut Vec<u8>) -> Outcome<()>;

    /// Receives a masked frame with a compressed text, and passes the text to `take`.
    ///
    /// # Errors
    /// The frame contains no valid text.
    fn receive(&mut self, frame: &mut [u8], take: &mut dyn FnMut(&str)) -> Outcome<()>;
}

/// The implementation of the compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Zlib { level: u32 },
}

/// All implementations, by name: zlib at our default level, and at its own.
pub const KINDS: [(&str, Kind); 3] =
    [("ours", Kind::Ours), ("zlib, level 1", Kind::Zlib { level: 1 }), ("zlib, level 6", Kind::Zlib { level: 6 })];

/// Many connections of one kind.
pub struct Ends {
    all: Vec<Box<dyn End>>,
    kind: Kind,
    takeover: bool,
    /// The compressor that all connections of [`Kind::Ours`] share.
    deflate: Deflate,
}

impl Ends {
    /// Makes an empty collection with capacity for `max` connections.
    #[must_use]
    pub fn new(kind: Kind, takeover: bool, max: usize) -> Self {
        let (deflate, _) = agreed(takeover);
        Self { all: Vec::with_capacity(max), kind, takeover, deflate }
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// The engine rejects the parameters.
    pub fn add(&mut self) -> Outcome<()> {
        self.all.push(match self.kind {
            Kind::Ours => Box::new(ours(&self.deflate, self.takeover)?),
            Kind::Zlib { level } => Box::new(Zlib::new(level, self.takeover)),
        });
        Ok(())
    }

    pub fn all(&mut self) -> &mut [Box<dyn End>] {
        &mut self.all
    }
}

/// Returns parameters with context takeover in both directions, with enough memory for it, or in neither.
pub(super) fn agreed(takeover: bool) -> (Deflate, DeflateParams) {
    let mut config = DeflateConfig::default();
    config.memory_bytes = if takeover { usize::MAX / 2 } else { 0 };
    let params = DeflateParams {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        ..DeflateParams::default()
    };
    (Deflate::new(config), params)
}

/// Makes our end of a connection.
///
/// # Errors
/// The memory limit does not allow context takeover.
pub fn ours(deflate: &Deflate, takeover: bool) -> Outcome<Connection> {
    let (_, params) = agreed(takeover);
    let connection = Connection::server(Limits::default(), Delivery::Messages).with_deflate(deflate, params);
    Ok(connection.ok_or("no memory for context takeover")?)
}

impl End for Connection {
    fn send(&mut self, text: &str, out: &mut Vec<u8>) -> Outcome<()> {
        Ok(self.sender.text(text, out)?)
    }

    fn receive(&mut self, frame: &mut [u8], take: &mut dyn FnMut(&str)) -> Outcome<()> {
        let mut events = self.receiver.receive(frame);
        match events.next_event()? {
            Some(Event::Text(text)) => take(text),
            other => return Err(format!("{other:?} instead of a text").into()),
        }
        Ok(())
    }
}

/// A compressor and a decompressor of zlib.
#[derive(Debug)]
pub(super) struct Zlib {
    compress: Compress,
    decompress: Decompress,
    takeover: bool,
}

impl Zlib {
    pub(super) fn new(level: u32, takeover: bool) -> Self {
        let compress = Compress::new(Compression::new(level), false);
        Self { compress, decompress: Decompress::new(false), takeover }
    }

    /// Appends the compressed payload of a message.
    pub(super) fn compress(&mut self, text: &str, out: &mut Vec<u8>) -> Outcome<()> {
        if !self.takeover {
            self.compress.reset();
        }
        let mut rest = text.as_bytes();
        loop {
            out.reserve(rest.len() / 2 + 64);
            let before = self.compress.total_in();
            self.compress.compress_vec(rest, out, FlushCompress::Sync)?;
            rest = &rest[(self.compress.total_in() - before) as usize..];
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        // RFC 7692 §7.2.1: the last four bytes of the flush are not sent.
        out.truncate(out.len() - TAIL.len());
        Ok(())
    }

    fn inflate(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
        loop {
            out.reserve((4 * input.len()).max(64));
            let before = self.decompress.total_in();
            let status = self.decompress.decompress_vec(input, out, FlushDecompress::Sync)?;
            input = &input[(self.decompress.total_in() - before) as usize..];
            if status == Status::StreamEnd || (input.is_empty() && out.len() < out.capacity()) {
                return Ok(());
            }
        }
    }
}

impl End for Zlib {
    fn send(&mut self, text: &str, out: &mut Vec<u8>) -> Outcome<()> {
        // The length is known only afterwards. Most messages have a header of four bytes.
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_ROOM]);
        self.compress(text, out)?;
        let payload_len = (out.len() - start - HEADER_ROOM) as u64;
        let opcode = MessageKind::Text.opcode();
        let header = FrameHeader { fin: true, rsv1: true, opcode, mask: None, payload_len }.encode();
        out.splice(start..start + HEADER_ROOM, header.as_ref().iter().copied());
        Ok(())
    }

    fn receive(&mut self, frame: &mut [u8], take: &mut dyn FnMut(&str)) -> Outcome<()> {
        let (head, length) = bare::header(frame).ok_or("no whole header")?;
        let (header, payload) = frame.split_at_mut(head);
        let payload = payload.get_mut(..length).ok_or("no whole frame")?;
        bare::unmask(payload, [header[head - 4], header[head - 3], header[head - 2], header[head - 1]]);
        if !self.takeover {
            self.decompress.reset(false);
        }
        let mut text = Vec::new();
        self.inflate(payload, &mut text)?;
        self.inflate(&TAIL, &mut text)?;
        take(simdutf8::basic::from_utf8(&text)?);
        Ok(())
    }
}

/// The last four bytes of an empty uncompressed block, which end a flush (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
const HEADER_ROOM: usize = 4;

#[cfg(test)]
mod tests {
    use super::{super::Messages, *};

    #[test]
    fn every_kind_receives_the_same_texts() {
        for takeover in [false, true] {
            for length in [256, 16 << 10] {
                let messages = Messages::new(length, takeover).expect("zlib works");
                for (name, kind) in KINDS {
                    let mut ends = Ends::new(kind, takeover, 1);
                    ends.add().expect("the engine agrees");
                    let end = &mut ends.all()[0];
                    for (text, frame) in messages.texts.iter().zip(&messages.frames) {
                        let mut received = String::new();
                        end.receive(&mut frame.clone(), &mut |text| received = text.to_owned()).expect(name);
                        assert_eq!(received, *text, "{name}");
                    }
                }
            }
        }
    }
}
