//! A server's end of a connection with permessage-deflate: the engine's, and one with a compressor and a decompressor of
//! zlib's that belong to it alone.

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
    /// Where that cannot be done.
    fn send(&mut self, text: &str, out: &mut Vec<u8>) -> Outcome<()>;

    /// Takes a masked frame with a compressed text, and hands the text over.
    ///
    /// # Errors
    /// Where there is no text in it.
    fn receive(&mut self, frame: &mut [u8], take: &mut dyn FnMut(&str)) -> Outcome<()>;
}

/// Who compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ours,
    Zlib { level: u32 },
}

/// Everyone, by name: zlib at the level that ours has by default, and at its own.
pub const KINDS: [(&str, Kind); 3] =
    [("ours", Kind::Ours), ("zlib, level 1", Kind::Zlib { level: 1 }), ("zlib, level 6", Kind::Zlib { level: 6 })];

/// Many connections of one kind.
pub struct Ends {
    all: Vec<Box<dyn End>>,
    kind: Kind,
    takeover: bool,
    /// What those of our kind share.
    deflate: Deflate,
}

impl Ends {
    /// None yet; there is room for `max`.
    #[must_use]
    pub fn new(kind: Kind, takeover: bool, max: usize) -> Self {
        let (deflate, _) = agreed(takeover);
        Self { all: Vec::with_capacity(max), kind, takeover, deflate }
    }

    /// Adds one.
    ///
    /// # Errors
    /// Where the engine does not agree to the parameters.
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

/// Context takeover in both directions, with as much memory as that takes, or in neither.
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

/// Our end.
///
/// # Errors
/// Where there is no memory for context takeover.
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

/// A compressor and a decompressor of zlib's, and a buffer for what comes out of it.
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

    /// Appends a message's payload as it goes on the wire.
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
        // RFC 7692 §7.2.1: what the flush ends with is not sent.
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
        // The length is known afterwards; a header of four bytes has room for most messages.
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_ROOM]);
        self.compress(text, out)?;
        let payload_len = (out.len() - start - HEADER_ROOM) as u64;
        let opcode = MessageKind::Text.opcode();
        let header = FrameHeader { fin: true, rsv1: true, opcode, mask: None, payload_len }.encode();
        out.splice(start..start + HEADER_ROOM, header.iter().copied());
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

/// An empty block without compression, which a flush ends with (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
const HEADER_ROOM: usize = 4;

#[cfg(test)]
mod tests {
    use super::{super::Messages, *};

    #[test]
    fn everyone_sends_and_receives_the_same_texts() {
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
