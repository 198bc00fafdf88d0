//! The chat messages, and the events on the wire.
//!
//! Each text contains its author, its number among the author's messages, and the time of sending. So a receiver can
//! check that the text is unchanged and in order, and compute the latency.

use std::time::Duration;

use serde::{Deserialize, de::IgnoredAny};

/// A chat message that a user sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SentMessage {
    pub(super) author: usize,
    /// Counts the messages of each author, from 1.
    pub(super) number: u64,
    /// The time of sending, in nanoseconds since the checker began.
    pub(super) at: u64,
}

impl SentMessage {
    /// Returns the text, [`TEXT_BYTES`] long.
    pub(super) fn text(self) -> String {
        let Self { author, number, at } = self;
        let mut text = format!("{author} {number} {at} ");
        text.extend(FILLER.chars().cycle().take(TEXT_BYTES - 1 - text.len()));
        // Not a space at the end: the server trims it.
        text.push('.');
        text
    }

    /// Reads a text that [`Self::text`] has made; returns `None` for any other.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(4, ' ').map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (author, number, at) = (next()?, next()?, next()?);
        let sent = Self { author: usize::try_from(author).ok()?, number, at };
        (sent.text() == text).then_some(sent)
    }

    /// Returns the event that sends it to a room.
    pub(super) fn event(self, room: u64, key: [u8; 16]) -> String {
        let (text, number, key) = (self.text(), self.number, uuid(Duration::from_nanos(self.at), key));
        format!(r#"["say",{{"room":{room},"text":"{text}","key":"{key}"}},{number}]"#)
    }
}

/// Returns the command that creates a room. Its acknowledgement, like that of [`join`], has the id [`JOIN_ID`].
pub(super) fn create(room: usize) -> String {
    format!(r#"["create",{{"name":"{}"}},{JOIN_ID}]"#, room_name(room))
}

/// Returns the command that joins an existing room.
pub(super) fn join(room: usize) -> String {
    format!(r#"["join",{{"name":"{}"}},{JOIN_ID}]"#, room_name(room))
}

/// Returns the command that joins a room by its number.
pub(super) fn join_by_number(room: u64) -> String {
    format!(r#"["join",{{"room":{room}}},{JOIN_ID}]"#)
}

/// Returns the event that sends a text of `bytes` quotation marks, each of which takes two bytes as JSON.
pub(super) fn say_long(room: u64, number: usize, bytes: usize, key: [u8; 16]) -> String {
    let (text, key) = (r#"\""#.repeat(bytes), uuid(Duration::ZERO, key));
    format!(r#"["say",{{"room":{room},"text":"{text}","key":"{key}"}},{number}]"#)
}

/// Returns the events that cost the server most: long replies, and a search that finds nothing. `room` is a room with
/// long texts.
pub(super) fn expensive(room: u64) -> [String; 4] {
    [
        format!(r#"["history",{{"room":{room},"limit":100}},1]"#),
        r#"["rooms",{"search":"no such room"},2]"#.to_owned(),
        join_by_number(room),
        r#"["people",{},3]"#.to_owned(),
    ]
}

/// Returns the number of the room that a client has joined, if this event acknowledges a join.
pub(super) fn joined_room(text: &str) -> Option<u64> {
    match ServerEvent::read(text) {
        Some(ServerEvent::Joined { room, .. }) => Some(room),
        _ => None,
    }
}

/// An event from the server.
#[derive(Debug)]
pub(super) enum ServerEvent<'a> {
    /// An entry of a room's log.
    Message(MessageEvent<'a>),
    /// The user has joined a room, whose latest entry has the number `seq`.
    Joined { room: u64, seq: u64 },
    /// The user's message `number` is stored as the log's entry `seq`.
    Acknowledged { number: u64, seq: u64 },
    /// The user's message `number` is refused.
    Refused { number: u64 },
    /// A welcome or a change of presence.
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct MessageEvent<'a> {
    pub(super) room: u64,
    pub(super) seq: u64,
    pub(super) from: &'a str,
    pub(super) kind: &'a str,
    pub(super) text: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ack {
    Joined { room: JoinedRoom },
    Sent { seq: u64 },
}

#[derive(Deserialize)]
struct JoinedRoom {
    room: u64,
    seq: u64,
}

impl<'a> ServerEvent<'a> {
    /// Reads an event. Returns `None` for any event that is not expected here.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if is_message(text) {
            let (_, message): (&str, MessageEvent<'_>) = serde_json::from_str(text).ok()?;
            return Some(Self::Message(message));
        }
        if text.starts_with(r#"["ack","#) {
            let (_, ack, number): (&str, Ack, u64) = serde_json::from_str(text).ok()?;
            return match ack {
                Ack::Joined { room: JoinedRoom { room, seq } } if number == JOIN_ID => Some(Self::Joined { room, seq }),
                Ack::Sent { seq } if number != JOIN_ID => Some(Self::Acknowledged { number, seq }),
                _ => None,
            };
        }
        if text.starts_with(r#"["error","#) {
            let (_, _, number): (&str, IgnoredAny, u64) = serde_json::from_str(text).ok()?;
            return (number != JOIN_ID).then_some(Self::Refused { number });
        }
        [r#"["welcome","#, r#"["presence","#].iter().any(|start| text.starts_with(start)).then_some(Self::Other)
    }
}

/// Returns whether an event is an entry of a room's log.
pub(super) fn is_message(text: &str) -> bool {
    text.starts_with(r#"["message","#)
}

/// Returns the name under which a user signs in.
pub(super) fn name(member: usize) -> String {
    format!("guest {member}")
}

fn room_name(room: usize) -> String {
    format!("room {room}")
}

/// Returns a UUID of version 7, as the chat's page makes them: the time in milliseconds, then random bits.
fn uuid(at: Duration, mut bytes: [u8; 16]) -> String {
    let time = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
    bytes[..6].copy_from_slice(&time[2..]);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The length of every text.
pub(super) const TEXT_BYTES: usize = 100;
const FILLER: &str = "the quick brown fox jumps over the lazy dog, ";
/// The id of create and join commands. Ids of messages are their numbers, from 1.
const JOIN_ID: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_as_its_message_and_no_other_text_does() {
        for sent in [
            SentMessage { author: 0, number: 1, at: 0 },
            SentMessage { author: 999, number: 123_456, at: 3_600_000_000_000 },
            SentMessage { author: usize::MAX, number: u64::MAX, at: u64::MAX },
        ] {
            let text = sent.text();
            assert_eq!((text.len(), SentMessage::read(&text)), (TEXT_BYTES, Some(sent)), "{text}");
            for other in [&text[..TEXT_BYTES - 1], &format!("{text} "), &text.replace("fox", "box"), &text[1..]] {
                assert_ne!(SentMessage::read(other), Some(sent), "{other}");
            }
        }
        for text in ["", "1", "1 2 3", "1 2 x the quick", "-1 2 3 the quick"] {
            assert_eq!(SentMessage::read(text), None, "{text}");
        }
    }

    #[test]
    fn events_of_each_kind_are_recognised() {
        let rows = [
            (
                r#"["ack",{"room":{"room":7,"name":"a","seq":3},"messages":[],"live":true},0]"#,
                "Joined { room: 7, seq: 3 }",
            ),
            (r#"["ack",{"seq":9,"time":1},4]"#, "Acknowledged { number: 4, seq: 9 }"),
            (r#"["ack",{"seq":9,"time":1},0]"#, "nothing"),
            (r#"["ack",{},4]"#, "nothing"),
            (r#"["error",{"code":"too_fast","message":"Wait."},4]"#, "Refused { number: 4 }"),
            (r#"["error",{"code":"too_fast","message":"Wait."},0]"#, "nothing"),
            (r#"["error",{"code":"too_fast","message":"Wait."}]"#, "nothing"),
            (r#"["welcome",{}]"#, "Other"),
            (r#"["expired",{"reason":"none"}]"#, "nothing"),
            (
                r#"["message",{"room":7,"epoch":"e","seq":4,"time":1,"from":"guest 2","kind":"joined"}]"#,
                r#"Message(MessageEvent { room: 7, seq: 4, from: "guest 2", kind: "joined", text: None })"#,
            ),
        ];
        for (text, expected) in rows {
            let event = ServerEvent::read(text).map_or_else(|| "nothing".to_owned(), |event| format!("{event:?}"));
            assert_eq!(event, expected, "{text}");
        }
    }

    #[test]
    fn keys_are_uuids_of_version_7() {
        let long = Duration::from_millis(0x0123_4567_89ab);
        assert_eq!(uuid(long, [0xff; 16]), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(uuid(Duration::ZERO, [0; 16]), "00000000-0000-7000-8000-000000000000");
    }
}
