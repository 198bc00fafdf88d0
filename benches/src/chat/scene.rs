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
    room::Room,
    words::{self, Message, Saying, Told},
};
use crate::load::histogram;

/// A crowd as it knows itself.
#[derive(Debug)]
pub(super) struct Scene {
    people: Vec<Person>,
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
struct Person {
    name: String,
    room: usize,
    /// The latest entry of the room's log that they have been told, once they are in the room.
    told: Option<u64>,
    /// How much they have said.
    said: u64,
    unacknowledged: VecDeque<Saying>,
    /// Entries that are theirs and that they have not been told yet.
    acknowledged: VecDeque<u64>,
    /// The number of what they said last, as others have been told.
    heard: u64,
}

impl Scene {
    /// So many people, who are to be in so many rooms, as many in each.
    pub(super) fn new(people: usize, rooms: usize) -> io::Result<Self> {
        let person = |at| Person {
            name: words::name(at),
            room: at % rooms,
            told: None,
            said: 0,
            unacknowledged: VecDeque::new(),
            acknowledged: VecDeque::new(),
            heard: 0,
        };
        Ok(Self {
            people: (0..people).map(person).collect(),
            rooms: (0..rooms).map(|_| Room::of((people / rooms) as u64)).collect(),
            begin: Instant::now(),
            in_flight: 0,
            acknowledged: 0,
            delivered: 0,
            latency: Latency { acknowledgement: histogram()?, delivery: histogram()? },
        })
    }

    /// Somebody says something, as of `at`. Gives what, and the room's number.
    pub(super) fn say(&mut self, author: usize, at: Instant) -> (Saying, u64) {
        let at = self.nanoseconds(at);
        let person = &mut self.people[author];
        person.said += 1;
        let saying = Saying { author, number: person.said, at };
        person.unacknowledged.push_back(saying);
        self.in_flight += 1;
        (saying, self.rooms[person.room].id)
    }

    /// Somebody is told something, at `now`.
    ///
    /// # Errors
    /// It is not what is due.
    pub(super) fn hear(&mut self, listener: usize, text: &str, now: Instant) -> io::Result<()> {
        let heard = if words::is_message(text) {
            self.hear_message(listener, text, now)
        } else {
            self.hear_answer(listener, text, now)
        };
        heard.map_err(|error| io::Error::other(format!("{}: {error}", words::name(listener))))
    }

    fn hear_message(&mut self, listener: usize, text: &str, now: Instant) -> io::Result<()> {
        let now = self.nanoseconds(now);
        let Person { told, room, .. } = self.people[listener];
        let told = told.ok_or_else(|| unexpected(text))?;
        let (due, people, room) = (told + 1, &mut self.people, &mut self.rooms[room]);
        let id = room.id;
        let said = room.told(due, text, || match Told::read(text) {
            Some(Told::Message(message)) if (message.room, message.seq) == (id, due) => read(&message, people),
            _ => Err(io::Error::other(format!("{text} is told where number {due} of room {id} is due"))),
        })?;
        self.people[listener].told = Some(due);
        if let Some(Saying { author, at, .. }) = said {
            self.delivered += 1;
            self.latency.delivery.saturating_record(now.saturating_sub(at));
            if author == listener && self.people[listener].acknowledged.pop_front() != Some(due) {
                return Err(io::Error::other(format!(
                    "{text} is told before it is acknowledged, or under another number"
                )));
            }
        }
        Ok(())
    }

    fn hear_answer(&mut self, listener: usize, text: &str, now: Instant) -> io::Result<()> {
        let now = self.nanoseconds(now);
        let person = &mut self.people[listener];
        let room = &mut self.rooms[person.room];
        match Told::read(text) {
            Some(Told::Entered { room: id, seq }) if person.told.is_none() => {
                room.entered(id, seq);
                person.told = Some(seq);
            }
            Some(Told::Acknowledged { number, seq }) => {
                let saying = person.unacknowledged.pop_front().filter(|saying| saying.number == number);
                let Saying { at, .. } = saying.ok_or_else(|| unexpected(text))?;
                person.acknowledged.push_back(seq);
                room.acknowledged(seq);
                self.in_flight -= 1;
                self.acknowledged += 1;
                self.latency.acknowledgement.saturating_record(now.saturating_sub(at));
            }
            Some(Told::Other) => {}
            _ => return Err(unexpected(text)),
        }
        Ok(())
    }

    /// Whether somebody is in their room.
    pub(super) fn has_entered(&self, person: usize) -> bool {
        self.people[person].told.is_some()
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
        let members = (self.people.len() / self.rooms.len()) as u64;
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
    pub(super) fn forget(&mut self) {
        self.acknowledgement.reset();
        self.delivery.reset();
    }
}

/// What an entry says that nobody has been told yet: the next thing that its author said.
fn read(message: &Message<'_>, people: &mut [Person]) -> io::Result<Option<Saying>> {
    let said = match (message.kind, message.text) {
        ("joined", None) => return Ok(None),
        ("said", Some(text)) => Saying::read(text),
        _ => None,
    };
    let author = said.and_then(|saying| people.get_mut(saying.author));
    match (said, author) {
        (Some(saying), Some(author)) if message.from == author.name && saying.number == author.heard + 1 => {
            author.heard = saying.number;
            Ok(Some(saying))
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
        let mut scene = Scene::new(2, 1).unwrap();
        let now = Instant::now();
        let entered = [
            (0, r#"["ack",{"room":{"room":7,"seq":1}},0]"#),
            (1, r#"["ack",{"room":{"room":7,"seq":2}},0]"#),
            (0, r#"["message",{"room":7,"seq":2,"from":"guest 1","kind":"joined"}]"#),
        ];
        for (listener, text) in entered {
            scene.hear(listener, text, now).unwrap();
        }
        assert!(scene.is_settled());
        let text = scene.say(0, now).0.text();
        for (listener, told) in told {
            if let Err(error) = scene.hear(*listener, &told.replace("TEXT", &text), now) {
                return error.to_string().replace(&text, "TEXT");
            }
        }
        if !scene.is_settled() {
            return "not settled".to_owned();
        }
        scene.check_count().unwrap();
        format!("{} acknowledged, {} delivered", scene.acknowledged(), scene.delivered())
    }

    #[test]
    fn what_the_protocol_promises_is_checked() {
        let ack = (0, r#"["ack",{"seq":3,"time":1},1]"#);
        let said = r#"["message",{"room":7,"seq":3,"from":"guest 0","kind":"said","text":"TEXT"}]"#;
        let (mine, yours) = ((0, said), (1, said));
        let like = |from: &str, to: &str| said.replace(from, to);
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
