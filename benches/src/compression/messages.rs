//! Texts like those of a chat: all different, but similar.

use std::{fmt::Write as _, rc::Rc};

use switchboard::{Connection, Delivery, Event, FrameHeader, Limits, MaskingKey, MessageKind};

use super::ends::{Zlib, agreed};
use crate::{Outcome, random::Random};

/// Messages that a connection sends one after another, in a loop.
#[derive(Debug)]
pub struct Messages {
    pub texts: Vec<String>,
    /// The same texts as a client sends them: compressed by zlib at its default level, and masked.
    pub frames: Vec<Vec<u8>>,
}

impl Messages {
    /// Makes messages of `length` bytes. Together they are a few times as long as the window, so that a context does
    /// not contain a message from the previous loop.
    ///
    /// # Errors
    /// zlib fails.
    pub fn new(length: usize, takeover: bool) -> Outcome<Rc<Self>> {
        let mut random = Random(length as u64);
        let count = (MIN_BYTES / length).max(MIN_COUNT);
        let texts: Vec<String> = (0..count).map(|_| text(length, &mut random)).collect();
        let mut zlib = Zlib::new(ZLIB_LEVEL, takeover);
        let frames = texts.iter().map(|text| {
            let mut compressed = Vec::new();
            zlib.compress(text, &mut compressed)?;
            let key = MaskingKey((random.next() as u32).to_be_bytes());
            let opcode = MessageKind::Text.opcode();
            let payload_len = compressed.len() as u64;
            let mut frame =
                FrameHeader { fin: true, rsv1: true, opcode, mask: Some(key), payload_len }.encode().as_ref().to_vec();
            key.apply(&mut compressed);
            frame.extend_from_slice(&compressed);
            Ok(frame)
        });
        let frames = frames.collect::<Outcome<_>>()?;
        Ok(Rc::new(Self { texts, frames }))
    }

    /// Reads a server's frames with our engine as a client, and compares the texts.
    ///
    /// # Errors
    /// The frames do not contain these messages.
    pub fn check_as_client(&self, frames: &mut [u8], takeover: bool) -> Outcome<()> {
        let (deflate, params) = agreed(takeover);
        let no_keys = || MaskingKey([0; 4]);
        let client = Connection::client(no_keys, Limits::default(), Delivery::Messages);
        let mut client = client.with_deflate(&deflate, params).ok_or("no memory for context takeover")?;
        let mut events = client.receiver.receive(frames);
        for text in &self.texts {
            match events.next_event()? {
                Some(Event::Text(received)) if received == text => {}
                other => return Err(format!("{other:?} instead of {text}").into()),
            }
        }
        Ok(())
    }
}

const MIN_BYTES: usize = 128 << 10;
const MIN_COUNT: usize = 32;
const ZLIB_LEVEL: u32 = 6;

/// Returns a batch of entries in JSON, cut at `length` bytes.
fn text(length: usize, random: &mut Random) -> String {
    let mut text = String::from("{\"type\":\"messages\",\"room\":\"");
    text += random.one_of(&WORDS);
    text += "\",\"messages\":[";
    while text.len() < length {
        let (id, user, second) = (random.below(1_000_000), random.below(500), random.below(86_400));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            text,
            "{{\"id\":{id},\"from\":\"user-{user}\",\"at\":\"2026-01-09T{hour:02}:{minute:02}:{second:02}Z\",\"text\":\""
        )
        .expect("a String has room");
        for _ in 0..6 + random.below(20) {
            text += random.one_of(&WORDS);
            text.push(' ');
        }
        text += "\"},";
    }
    text.truncate(length);
    text
}

const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he",
    "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one", "you", "were", "all",
    "her", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "no", "more", "if",
    "out", "tomorrow", "meeting", "release", "server", "latency", "coffee", "lunch", "deploy", "question", "answer",
    "thanks", "please", "review", "weekend", "train",
];
