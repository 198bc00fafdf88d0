//! People who talk all at once, and a ledger of what the chat owes them.
//!
//! Each repeats what was not acknowledged before saying anything new, as the protocol tells clients to. So whatever is
//! lost, of each person's messages those that are in the logs are the first so many, and in each log they stand in the
//! order in which they were said.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::SocketAddr,
};

use serde_json::{Value, json};
use uuid::Uuid;

use switchboard_tests::random::Random;

use crate::support::visitor::{End, Event, Visitor, guest};

/// People, and all that they have ever said.
pub(crate) struct Crowd {
    random: Random,
    people: Vec<Person>,
    rooms: Vec<u64>,
    said: Vec<Said>,
    /// What was said, by its text.
    by_text: HashMap<String, usize>,
    epochs: HashMap<u64, String>,
}

struct Person {
    name: String,
    token: String,
    visitor: Option<Visitor>,
    /// What they will say before anything new.
    repeats: VecDeque<usize>,
    /// What has no answer yet on this connection, by the event's id.
    waiting: HashMap<u64, usize>,
}

/// Something that somebody says, as often as it takes.
struct Said {
    by: usize,
    to: To,
    key: Uuid,
    text: String,
    /// Where it stands, once the chat has told: it may never tell otherwise.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Room(u64),
    Person(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    room: u64,
    seq: u64,
    time: u64,
}

impl Crowd {
    /// People who are all in the same rooms: the lobby, a public one, and one for who is invited.
    pub(crate) fn gather(address: SocketAddr, random: Random) -> Self {
        let people = NAMES.map(|name| Person {
            name: name.to_owned(),
            token: guest(address, name),
            visitor: None,
            repeats: VecDeque::new(),
            waiting: HashMap::new(),
        });
        let mut visitors = people.each_ref().map(|person| Visitor::of(address, &person.token));
        let mut rooms = vec![1];
        for kind in ["public", "invited"] {
            let created = visitors[0].ask("create", json!({"name": kind, "kind": kind})).unwrap();
            rooms.push(number(&created["room"]["room"]));
        }
        for (visitor, name) in visitors.iter_mut().zip(NAMES).skip(1) {
            visitor.ask("join", json!({"room": rooms[1]})).unwrap();
            // Who is not yet invited waits until then.
            assert_eq!(visitor.ask("join", json!({"room": rooms[2]})), Err("unknown_room".into()), "{name}");
        }
        for name in &NAMES[1..] {
            visitors[0].ask("invite", json!({"room": rooms[2], "name": name})).unwrap();
        }
        for visitor in &mut visitors[1..] {
            visitor.ask("join", json!({"room": rooms[2]})).unwrap();
        }
        let (said, by_text, epochs) = Default::default();
        Self { random, people: people.into(), rooms, said, by_text, epochs }
    }

    /// Everybody connects, and goes on where they were.
    pub(crate) fn connect(&mut self, address: SocketAddr) {
        for (number, person) in self.people.iter_mut().enumerate() {
            let mut visitor = Visitor::of(address, &person.token);
            for room in &self.rooms {
                visitor.ask("join", json!({"room": room})).unwrap();
            }
            person.visitor = Some(visitor);
            let own = self.said.iter().enumerate().filter(|(_, said)| said.by == number);
            // What was acknowledged is repeated now and then, too: the acknowledgement might have been lost.
            let repeated = own.filter(|(_, said)| said.place.is_none() || self.random.chance(1, 8));
            person.repeats = repeated.map(|(index, _)| index).collect();
        }
    }

    /// Everybody talks without waiting for answers, until so many have come; more is on its way then.
    pub(crate) fn talk(&mut self, answers: usize) {
        let mut answered = 0;
        while answered < answers {
            let who = self.random.below(self.people.len());
            let waiting = self.people[who].waiting.len();
            if waiting == 0 || (waiting < MOST_UNANSWERED && self.random.chance(2, 3)) {
                self.say_next(who);
            } else {
                while !self.hear(who).expect("an answer") {}
                answered += 1;
            }
        }
        for _ in 0..self.random.below(MOST_UNANSWERED) {
            let who = self.random.below(self.people.len());
            self.say_next(who);
        }
    }

    /// Everybody says what they still have to repeat, and hears all answers.
    pub(crate) fn finish(&mut self) {
        for who in 0..self.people.len() {
            while !self.people[who].repeats.is_empty() {
                self.say_next(who);
            }
            while !self.people[who].waiting.is_empty() {
                self.hear(who).expect("an answer");
            }
        }
        assert!(self.said.iter().all(|said| said.place.is_some()), "all has been acknowledged");
    }

    /// Everybody hears what has reached them, up to the end of their connection.
    pub(crate) fn hear_the_end(&mut self) -> Vec<End> {
        let people = 0..self.people.len();
        people
            .map(|who| {
                let end = loop {
                    if let Err(end) = self.hear(who) {
                        break end;
                    }
                };
                let person = &mut self.people[who];
                (person.visitor, person.repeats, person.waiting) = Default::default();
                end
            })
            .collect()
    }

    /// Somebody repeats something, or says something new.
    fn say_next(&mut self, who: usize) {
        let index = self.people[who].repeats.pop_front().unwrap_or_else(|| self.think(who));
        let Said { to, key, ref text, .. } = self.said[index];
        let (event, data) = match to {
            To::Room(room) => ("say", json!({"room": room, "text": text, "key": key.to_string()})),
            To::Person(other) => {
                ("tell", json!({"name": self.people[other].name, "text": text, "key": key.to_string()}))
            }
        };
        let person = &mut self.people[who];
        let id = person.visitor.as_mut().expect("a connection").send(event, &data);
        person.waiting.insert(id, index);
    }

    /// Something new to say.
    fn think(&mut self, by: usize) -> usize {
        let random = &mut self.random;
        let to = match random.below(4) {
            0 => To::Person((by + 1 + random.below(NAMES.len() - 1)) % NAMES.len()),
            _ => To::Room(self.rooms[random.below(self.rooms.len())]),
        };
        let key = Uuid::from_u64_pair(random.next_u64(), random.next_u64());
        let most = [10, 100, 3_900][random.below(3)];
        let text = format!("{key} {}", "x".repeat(1 + random.below(most)));
        let index = self.said.len();
        self.by_text.insert(text.clone(), index);
        self.said.push(Said { by, to, key, text, place: None });
        index
    }

    /// Somebody hears one thing; says whether it was an answer.
    fn hear(&mut self, who: usize) -> Result<bool, End> {
        let Event { name, data, id } = self.people[who].visitor.as_mut().expect("a connection").receive()?;
        match &*name {
            "ack" => {
                let id = number(&id);
                let index = self.people[who].waiting.remove(&id).expect("what was asked is answered once");
                let room = match self.said[index].to {
                    To::Room(room) => room,
                    To::Person(_) => number(&data["room"]),
                };
                self.learn(index, Place { room, seq: number(&data["seq"]), time: number(&data["time"]) });
                return Ok(true);
            }
            "message" if data["kind"] == "said" => {
                let (index, place) = self.read(&data);
                self.learn(index, place);
            }
            "message" | "presence" | "room" => {}
            _ => panic!("{name} {data}"),
        }
        Ok(false)
    }

    /// What a message says, and where it stands.
    fn read(&self, message: &Value) -> (usize, Place) {
        let index = *self.by_text.get(message["text"].as_str().expect("a text")).expect("somebody has said it");
        assert_eq!(message["from"], *self.people[self.said[index].by].name, "{message}");
        let place =
            Place { room: number(&message["room"]), seq: number(&message["seq"]), time: number(&message["time"]) };
        (index, place)
    }

    fn learn(&mut self, index: usize, place: Place) {
        let said = &mut self.said[index];
        let known = *said.place.get_or_insert(place);
        assert_eq!(known, place, "{} is at two places", said.key);
        if let To::Room(room) = said.to {
            assert_eq!(place.room, room);
        }
    }

    /// Holds all logs to the ledger: whatever anybody was told is there, once, and where it was told to be; nothing else
    /// is there; nothing is missing between.
    pub(crate) fn verify(&mut self, address: SocketAddr) {
        let mut found = HashSet::new();
        let mut logs = BTreeMap::new();
        for token in self.people.iter().map(|person| person.token.clone()).collect::<Vec<_>>() {
            let (mut visitor, welcome) = Visitor::welcomed(address, &token);
            for room in welcome["rooms"].as_array().expect("rooms") {
                let epoch = self.epochs.entry(number(&room["room"])).or_insert_with(|| room["epoch"].to_string());
                assert_eq!(*epoch, room["epoch"].to_string(), "the log is the same");
                logs.entry(number(&room["room"])).or_insert_with(|| log(&mut visitor, room));
            }
        }
        for message in logs.values().flatten().filter(|message| message["kind"] == "said") {
            let (index, place) = self.read(message);
            assert!(found.insert(index), "twice there: {message}");
            self.learn(index, place);
        }
        (0..self.people.len()).for_each(|by| self.verify_order(by, &found));
    }

    /// Of what somebody said, the first so many things are in the logs, in the order in which they were said.
    fn verify_order(&self, by: usize, found: &HashSet<usize>) {
        let own = || self.said.iter().enumerate().filter(|(_, said)| said.by == by);
        let there = own().take_while(|(index, _)| found.contains(index)).count();
        for (index, said) in own().skip(there) {
            let key = said.key;
            assert!(said.place.is_none(), "{key} is lost, and was at {:?}", said.place);
            assert!(!found.contains(&index), "{key} is there, and something said before it is not");
        }
        let mut heads = HashMap::new();
        for place in own().filter_map(|(_, said)| said.place) {
            let before = heads.insert(place.room, place.seq);
            assert!(before < Some(place.seq), "{place:?} is behind {before:?}, and was said before");
        }
    }
}

/// The whole log of a room, in which nothing is missing.
fn log(visitor: &mut Visitor, room: &Value) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let page = json!({"room": room["room"], "after": log.len(), "limit": 100});
        let Value::Object(mut page) = visitor.ask("history", page).unwrap() else { panic!("no page") };
        let Some(Value::Array(messages)) = page.remove("messages") else { panic!("no messages") };
        log.extend(messages);
        if page["more"] == false {
            break;
        }
    }
    for (seq, message) in (1..).zip(&log) {
        assert_eq!((number(&message["seq"]), &message["epoch"]), (seq, &room["epoch"]), "{message}");
    }
    assert_eq!(log.len() as u64, number(&room["seq"]), "the log ends where the welcome says");
    log
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

const NAMES: [&str; 4] = ["Ann", "Bob", "Cem", "Dora"];
/// What one person says without an answer, at most.
const MOST_UNANSWERED: usize = 40;
