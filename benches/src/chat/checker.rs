//! Who has said and heard what, and how long it took. What the protocol promises is checked here, for everybody and
//! everything: one acknowledgement for each message, in front of the message itself; all messages of a room to all who
//! are in it, in one order, without gap or double.

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

/// A crowd as it knows itself.
#[derive(Debug)]
pub(super) struct Checker {
    users: Vec<User>,
    rooms: Vec<Room>,
    begin: Instant,
    /// What has been said and not acknowledged, by all.
    in_flight: usize,
    acknowledged: u64,
    delivered: u64,
    pub(super) latency: Latency,
}

/// How long things took, in nanoseconds, since that was last forgotten.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    /// From when something was said to its acknowledgement.
    pub(super) acknowledgement: Histogram<u64>,
    /// From when something was said to when somebody was told it.
    pub(super) delivery: Histogram<u64>,
}

#[derive(Debug)]
struct User {
    name: String,
    room: usize,
    /// The latest entry of the room's log that they have been told, once they are in the room.
    last_seq: Option<u64>,
    /// How much they have said.
    sent: u64,
    unacknowledged: VecDeque<SentMessage>,
    /// Entries that are theirs and that they have not been told yet.
    acknowledged: VecDeque<u64>,
    /// The number of what they said last, as others have been told.
    last_received: u64,
}

impl Checker {
    /// So many people, who are to be in so many rooms, as many in each.
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
            latency: Latency { acknowledgement: histogram()?, delivery: histogram()? },
        })
    }

    /// Somebody says something, as of `at`. Gives what, and the room's number.
    pub(super) fn send(&mut self, author: usize, at: Instant) -> (SentMessage, u64) {
        let at = self.nanoseconds(at);
        let user = &mut self.users[author];
        user.sent += 1;
        let sent = SentMessage { author, number: user.sent, at };
        user.unacknowledged.push_back(sent);
        self.in_flight += 1;
        (sent, self.rooms[user.room].id)
    }

    /// Somebody is told something, at `now`.
    ///
    /// # Errors
    /// It is not what is due.
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
        let id = room.id;
        let sent = room.receive(due, text, || match ServerEvent::read(text) {
            Some(ServerEvent::Message(message)) if (message.room, message.seq) == (id, due) => {
                check_message(&message, users)
            }
            _ => Err(io::Error::other(format!("{text} is told where number {due} of room {id} is due"))),
        })?;
        self.users[receiver].last_seq = Some(due);
        if let Some(SentMessage { author, at, .. }) = sent {
            self.delivered += 1;
            self.latency.delivery.saturating_record(now.saturating_sub(at));
            if author == receiver && self.users[receiver].acknowledged.pop_front() != Some(due) {
                return Err(io::Error::other(format!(
                    "{text} is told before it is acknowledged, or under another number"
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
            Some(ServerEvent::Entered { room: id, seq }) if user.last_seq.is_none() => {
                room.entered(id, seq);
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
            Some(ServerEvent::Other) => {}
            _ => return Err(unexpected(text)),
        }
        Ok(())
    }

    /// Whether somebody is in their room.
    pub(super) fn has_entered(&self, user: usize) -> bool {
        self.users[user].last_seq.is_some()
    }

    /// What has been said and not acknowledged, by all.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Messages that were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Messages times those who were told them.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether all is acknowledged, and all have been told all.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight == 0 && self.rooms.iter().all(Room::is_settled)
    }

    /// Checks at the end that each message was told to each member once.
    ///
    /// # Errors
    /// It was not.
    pub(super) fn check_count(&self) -> io::Result<()> {
        let members = (self.users.len() / self.rooms.len()) as u64;
        if self.delivered == self.acknowledged * members {
            return Ok(());
        }
        let Self { acknowledged, delivered, .. } = self;
        Err(io::Error::other(format!("{acknowledged} messages to {members} each are not {delivered} deliveries")))
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

/// What an entry says that nobody has been told yet: the next thing that its author said.
fn check_message(message: &MessageEvent<'_>, users: &mut [User]) -> io::Result<Option<SentMessage>> {
    let sent = match (message.kind, message.text) {
        ("joined", None) => return Ok(None),
        ("said", Some(text)) => SentMessage::read(text),
        _ => None,
    };
    let author = sent.and_then(|sent| users.get_mut(sent.author));
    match (sent, author) {
        (Some(sent), Some(author)) if message.from == author.name && sent.number == author.last_received + 1 => {
            author.last_received = sent.number;
            Ok(Some(sent))
        }
        _ => Err(io::Error::other(format!("{message:?} is not what its author said next"))),
    }
}

fn unexpected(text: &str) -> io::Error {
    io::Error::other(format!("the server says {text}"))
}

pub(super) fn as_nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is told what.
    type Telling<'a> = (usize, &'a str);

    /// What a room of two says of what they are told, after both have entered and guest 0 has said one thing.
    fn verdict(told: &[Telling<'_>]) -> String {
        let mut checker = Checker::new(2, 1).unwrap();
        let now = Instant::now();
        let entered = [
            (0, r#"["ack",{"room":{"room":7,"seq":1}},0]"#),
            (1, r#"["ack",{"room":{"room":7,"seq":2}},0]"#),
            (0, r#"["message",{"room":7,"seq":2,"from":"guest 1","kind":"joined"}]"#),
        ];
        for (receiver, text) in entered {
            checker.receive(receiver, text, now).unwrap();
        }
        assert!(checker.is_settled());
        let text = checker.send(0, now).0.text();
        for (receiver, told) in told {
            if let Err(error) = checker.receive(*receiver, &told.replace("TEXT", &text), now) {
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
    fn what_the_protocol_promises_is_checked() {
        let ack = (0, r#"["ack",{"seq":3,"time":1},1]"#);
        let sent = r#"["message",{"room":7,"seq":3,"from":"guest 0","kind":"said","text":"TEXT"}]"#;
        let (mine, yours) = ((0, sent), (1, sent));
        let like = |from: &str, to: &str| sent.replace(from, to);
        let (skipped, forged, altered) =
            (like("seq\":3", "seq\":4"), like("guest 0", "guest 1"), like("TEXT", "TEXT."));
        let rows: &[(&str, &[Telling<'_>], &str)] = &[
            ("all is well", &[ack, mine, yours], "1 acknowledged, 2 delivered"),
            ("others hear it first", &[yours, ack, mine], "1 acknowledged, 2 delivered"),
            ("presence is passed over", &[(1, r#"["presence",{}]"#), ack, mine, yours], "1 acknowledged, 2 delivered"),
            ("nothing", &[], "not settled"),
            ("no acknowledgement", &[yours], "not settled"),
            ("one is not told", &[ack, mine], "not settled"),
            ("the message first", &[mine, ack], "told before it is acknowledged"),
            ("another number", &[(0, r#"["ack",{"seq":4,"time":1},1]"#), mine], "told before it is acknowledged"),
            ("twice acknowledged", &[ack, ack], "guest 0: the server says [\"ack\""),
            ("another id", &[(0, r#"["ack",{"seq":3,"time":1},2]"#)], "guest 0: the server says [\"ack\""),
            ("nobody's", &[(1, ack.1)], "guest 1: the server says [\"ack\""),
            ("twice", &[ack, yours, yours], "is told where number 4 of room 7 is due"),
            ("a gap", &[ack, (1, &skipped)], "is told where number 3 of room 7 is due"),
            ("another author", &[ack, (1, &forged)], "is not what its author said next"),
            ("other words", &[ack, (1, &altered)], "is not what its author said next"),
            ("other words for the second", &[ack, mine, (1, &altered)], "is told where [\"message\""),
            ("an error", &[(0, r#"["error",{"code":"too_fast"},1]"#)], "guest 0: the server says [\"error\""),
        ];
        for (name, told, expected) in rows {
            let verdict = verdict(told);
            assert!(verdict.contains(expected), "{name}: {verdict}");
        }
    }
}
