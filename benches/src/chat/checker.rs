//! Checks what every user receives, and records latencies. The rules: each message is acknowledged once, before its
//! author receives the message itself; all members of a room receive all of its messages, in one order, without gaps or
//! duplicates.

use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    messages::{self, MessageEvent, SentMessage, ServerEvent},
    room::Room,
};
use crate::load::histogram;

/// What all users have sent and received.
#[derive(Debug)]
pub(super) struct Checker {
    users: Vec<User>,
    rooms: Vec<Room>,
    begin: Instant,
    /// The number of messages sent and not acknowledged.
    in_flight: usize,
    acknowledged: u64,
    delivered: u64,
    /// The number of refused messages; `None` if none may be refused.
    refused: Option<u64>,
    pub(super) latency: Latency,
}

/// Latencies since the last reset, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    /// From sending a message to its acknowledgement.
    pub(super) acknowledgement: Histogram<u64>,
    /// From sending a message to its delivery to one member.
    pub(super) delivery: Histogram<u64>,
}

#[derive(Debug)]
struct User {
    name: String,
    room: usize,
    /// The number of the latest entry received of the room's log; `None` until the user has joined.
    last_seq: Option<u64>,
    /// The number of messages sent.
    sent: u64,
    unacknowledged: VecDeque<SentMessage>,
    /// The user's own entries that are acknowledged and not yet received.
    acknowledged: VecDeque<u64>,
    /// The number of the user's latest message that any member has received.
    last_received: u64,
}

impl Checker {
    /// Creates a checker for `users` users, spread evenly over `rooms` rooms.
    pub(super) fn new(users: usize, rooms: usize) -> io::Result<Self> {
        let user = |at| User {
            name: messages::name(at),
            room: at % rooms,
            last_seq: None,
            sent: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            last_received: 0,
        };
        Ok(Self {
            users: (0..users).map(user).collect(),
            rooms: (0..rooms).map(|_| Room::new((users / rooms) as u64)).collect(),
            begin: Instant::now(),
            in_flight: 0,
            acknowledged: 0,
            delivered: 0,
            refused: None,
            latency: Latency { acknowledgement: histogram()?, delivery: histogram()? },
        })
    }

    /// Allows the server to refuse messages from now on. They are counted.
    pub(super) fn allow_refusals(&mut self) {
        self.refused = Some(0);
    }

    /// Records that `author` sends its next message at `at`. Returns the message and the room's id.
    pub(super) fn send(&mut self, author: usize, at: Instant) -> (SentMessage, u64) {
        let at = self.nanoseconds(at);
        let user = &mut self.users[author];
        user.sent += 1;
        let sent = SentMessage { author, number: user.sent, at };
        user.unacknowledged.push_back(sent);
        self.in_flight += 1;
        (sent, self.rooms[user.room].id)
    }

    /// Checks an event that a user receives at `now`.
    ///
    /// # Errors
    /// The event is not allowed now.
    pub(super) fn receive(&mut self, receiver: usize, text: &str, now: Instant) -> io::Result<()> {
        let result = if messages::is_message(text) {
            self.receive_message(receiver, text, now)
        } else {
            self.receive_reply(receiver, text, now)
        };
        result.map_err(|error| io::Error::other(format!("{}: {error}", messages::name(receiver))))
    }

    fn receive_message(&mut self, receiver: usize, text: &str, now: Instant) -> io::Result<()> {
        let now = self.nanoseconds(now);
        let User { last_seq, room, .. } = self.users[receiver];
        let last_seq = last_seq.ok_or_else(|| unexpected(text))?;
        let (due, users, room) = (last_seq + 1, &mut self.users, &mut self.rooms[room]);
        let refused = self.refused;
        let id = room.id;
        let sent = room.receive(due, text, || match ServerEvent::read(text) {
            Some(ServerEvent::Message(message)) if (message.room, message.seq) == (id, due) => {
                check_message(&message, users, refused.is_some())
            }
            _ => Err(io::Error::other(format!("{text} is delivered where entry {due} of room {id} is due"))),
        })?;
        self.users[receiver].last_seq = Some(due);
        if let Some(SentMessage { author, at, .. }) = sent {
            self.delivered += 1;
            self.latency.delivery.saturating_record(now.saturating_sub(at));
            if author == receiver && self.users[receiver].acknowledged.pop_front() != Some(due) {
                return Err(io::Error::other(format!(
                    "{text} is delivered before its acknowledgement, or with another number"
                )));
            }
        }
        Ok(())
    }

    fn receive_reply(&mut self, receiver: usize, text: &str, now: Instant) -> io::Result<()> {
        let now = self.nanoseconds(now);
        let user = &mut self.users[receiver];
        let room = &mut self.rooms[user.room];
        match ServerEvent::read(text) {
            Some(ServerEvent::Joined { room: id, seq }) if user.last_seq.is_none() => {
                room.joined(id, seq);
                user.last_seq = Some(seq);
            }
            Some(ServerEvent::Acknowledged { number, seq }) => {
                let sent = user.unacknowledged.pop_front().filter(|sent| sent.number == number);
                let SentMessage { at, .. } = sent.ok_or_else(|| unexpected(text))?;
                user.acknowledged.push_back(seq);
                room.acknowledged(seq);
                self.in_flight -= 1;
                self.acknowledged += 1;
                self.latency.acknowledgement.saturating_record(now.saturating_sub(at));
            }
            Some(ServerEvent::Refused { number }) if self.refused.is_some() => {
                let at = user.unacknowledged.iter().position(|sent| sent.number == number);
                user.unacknowledged.remove(at.ok_or_else(|| unexpected(text))?);
                self.in_flight -= 1;
                self.refused = self.refused.map(|refused| refused + 1);
            }
            Some(ServerEvent::Other) => {}
            _ => return Err(unexpected(text)),
        }
        Ok(())
    }

    /// Returns whether a user has joined its room.
    pub(super) fn has_joined(&self, user: usize) -> bool {
        self.users[user].last_seq.is_some()
    }

    /// Returns the number of messages sent and not acknowledged.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the number of acknowledged messages.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns the number of deliveries: one for each message and member who has received it.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Returns the number of refused messages.
    pub(super) fn refused(&self) -> u64 {
        self.refused.unwrap_or(0)
    }

    /// Returns whether all messages are acknowledged or refused and delivered to all members.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.rooms.iter().all(Room::is_settled)
    }

    /// Checks at the end that the deliveries are the acknowledged messages times the members of a room.
    ///
    /// # Errors
    /// The numbers differ.
    pub(super) fn check_count(&self) -> io::Result<()> {
        let members = (self.users.len() / self.rooms.len()) as u64;
        if self.delivered == self.acknowledged * members {
            return Ok(());
        }
        let Self { acknowledged, delivered, .. } = self;
        Err(io::Error::other(format!("{acknowledged} messages to {members} members each, but {delivered} deliveries")))
    }

    fn nanoseconds(&self, at: Instant) -> u64 {
        as_nanoseconds(at.saturating_duration_since(self.begin))
    }
}

impl Latency {
    pub(super) fn reset(&mut self) {
        self.acknowledgement.reset();
        self.delivery.reset();
    }
}

/// Checks the content of an entry: it must be a join or its author's next message, or a later one if the server may
/// have refused some.
fn check_message(
    message: &MessageEvent<'_>,
    users: &mut [User],
    may_be_refused: bool,
) -> io::Result<Option<SentMessage>> {
    let sent = match (message.kind, message.text) {
        ("joined", None) => return Ok(None),
        ("said", Some(text)) => SentMessage::read(text),
        _ => None,
    };
    let author = sent.and_then(|sent| users.get_mut(sent.author));
    match (sent, author) {
        (Some(sent), Some(author))
            if message.from == author.name
                && sent.number > author.last_received
                && (may_be_refused || sent.number == author.last_received + 1) =>
        {
            author.last_received = sent.number;
            Ok(Some(sent))
        }
        _ => Err(io::Error::other(format!("{message:?} is not its author's next message"))),
    }
}

fn unexpected(text: &str) -> io::Error {
    io::Error::other(format!("unexpected from the server: {text}"))
}

pub(super) fn as_nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver, and the event.
    type Delivery<'a> = (usize, &'a str);

    /// Returns the verdict on deliveries to a room of two, after both have joined and guest 0 has sent a message.
    fn verdict(deliveries: &[Delivery<'_>]) -> String {
        let mut checker = Checker::new(2, 1).unwrap();
        let now = Instant::now();
        let joined = [
            (0, r#"["ack",{"room":{"room":7,"seq":1}},0]"#),
            (1, r#"["ack",{"room":{"room":7,"seq":2}},0]"#),
            (0, r#"["message",{"room":7,"seq":2,"from":"guest 1","kind":"joined"}]"#),
        ];
        for (receiver, text) in joined {
            checker.receive(receiver, text, now).unwrap();
        }
        assert!(checker.is_settled());
        let text = checker.send(0, now).0.text();
        for (receiver, event) in deliveries {
            if let Err(error) = checker.receive(*receiver, &event.replace("TEXT", &text), now) {
                return error.to_string().replace(&text, "TEXT");
            }
        }
        if !checker.is_settled() {
            return "not settled".to_owned();
        }
        checker.check_count().unwrap();
        format!("{} acknowledged, {} delivered", checker.acknowledged(), checker.delivered())
    }

    #[test]
    fn refused_messages_are_counted_where_they_are_allowed() {
        let mut checker = Checker::new(1, 1).unwrap();
        let now = Instant::now();
        checker.receive(0, r#"["ack",{"room":{"room":7,"seq":1}},0]"#, now).unwrap();
        checker.allow_refusals();
        let (_, later) = (checker.send(0, now), checker.send(0, now).0.text());
        checker.receive(0, r#"["error",{"code":"overloaded"},1]"#, now).unwrap();
        assert!(checker.receive(0, r#"["error",{"code":"overloaded"},1]"#, now).is_err(), "it is refused already");
        checker.receive(0, r#"["ack",{"seq":2,"time":1},2]"#, now).unwrap();
        let message = r#"["message",{"room":7,"seq":2,"from":"guest 0","kind":"said","text":"TEXT"}]"#;
        checker.receive(0, &message.replace("TEXT", &later), now).unwrap();
        assert!(checker.is_settled());
        assert_eq!((checker.refused(), checker.acknowledged()), (1, 1));
    }

    #[test]
    fn events_that_break_the_protocol_are_found() {
        let ack = (0, r#"["ack",{"seq":3,"time":1},1]"#);
        let sent = r#"["message",{"room":7,"seq":3,"from":"guest 0","kind":"said","text":"TEXT"}]"#;
        let (mine, yours) = ((0, sent), (1, sent));
        let like = |from: &str, to: &str| sent.replace(from, to);
        let (skipped, forged, altered) =
            (like("seq\":3", "seq\":4"), like("guest 0", "guest 1"), like("TEXT", "TEXT."));
        let rows: &[(&str, &[Delivery<'_>], &str)] = &[
            ("all is well", &[ack, mine, yours], "1 acknowledged, 2 delivered"),
            ("another member receives it first", &[yours, ack, mine], "1 acknowledged, 2 delivered"),
            ("presence is ignored", &[(1, r#"["presence",{}]"#), ack, mine, yours], "1 acknowledged, 2 delivered"),
            ("nothing", &[], "not settled"),
            ("no acknowledgement", &[yours], "not settled"),
            ("one member does not receive it", &[ack, mine], "not settled"),
            ("the message first", &[mine, ack], "delivered before its acknowledgement"),
            ("another number", &[(0, r#"["ack",{"seq":4,"time":1},1]"#), mine], "delivered before its acknowledgement"),
            ("acknowledged twice", &[ack, ack], "guest 0: unexpected from the server: [\"ack\""),
            ("another id", &[(0, r#"["ack",{"seq":3,"time":1},2]"#)], "guest 0: unexpected from the server: [\"ack\""),
            ("acknowledged to another user", &[(1, ack.1)], "guest 1: unexpected from the server: [\"ack\""),
            ("delivered twice", &[ack, yours, yours], "is delivered where entry 4 of room 7 is due"),
            ("a gap", &[ack, (1, &skipped)], "is delivered where entry 3 of room 7 is due"),
            ("another author", &[ack, (1, &forged)], "is not its author's next message"),
            ("another text", &[ack, (1, &altered)], "is not its author's next message"),
            ("another text for the second member", &[ack, mine, (1, &altered)], "is delivered where [\"message\""),
            (
                "an error",
                &[(0, r#"["error",{"code":"too_fast"},1]"#)],
                "guest 0: unexpected from the server: [\"error\"",
            ),
        ];
        for (name, deliveries, expected) in rows {
            let verdict = verdict(deliveries);
            assert!(verdict.contains(expected), "{name}: {verdict}");
        }
    }
}
