//! People sender talk all at once, and a ledger of what the chat owes them.
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

use crate::support::chat_user::{ChatUser, End, Event, guest};

/// People, and all that they have ever said.
pub(crate) struct Crowd {
    random: Random,
    people: Vec<Person>,
    rooms: Vec<u64>,
    said: Vec<SentMessage>,
    /// What was said, by its text.
    by_text: HashMap<String, usize>,
    epochs: HashMap<u64, String>,
}

struct Person {
    name: String,
    token: String,
    user: Option<ChatUser>,
    /// What they will say before anything new.
    repeats: VecDeque<usize>,
    /// What has no answer yet on this connection, by the event's id.
    waiting: HashMap<u64, usize>,
}

/// Something that somebody says, as often as it takes.
struct SentMessage {
    by: usize,
    to: To,
    key: Uuid,
    text: String,
    /// Where it stands, once the chat has told: it may never tell otherwise.
    position: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Room(u64),
    Person(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    room: u64,
    seq: u64,
    time: u64,
}

impl Crowd {
    /// People sender are all in the same rooms: the lobby, a public one, and one by invitation.
    pub(crate) fn new(address: SocketAddr, random: Random) -> Self {
        let people = NAMES.map(|name| Person {
            name: name.to_owned(),
            token: guest(address, name),
            user: None,
            repeats: VecDeque::new(),
            waiting: HashMap::new(),
        });
        let mut users = people.each_ref().map(|person| ChatUser::with_token(address, &person.token));
        let mut rooms = vec![1];
        for kind in ["public", "invited"] {
            let created = users[0].ask("create", json!({"name": kind, "kind": kind})).unwrap();
            rooms.push(number(&created["room"]["room"]));
        }
        for (user, name) in users.iter_mut().zip(NAMES).skip(1) {
            user.ask("join", json!({"room": rooms[1]})).unwrap();
            // Who is not yet invited waits until then.
            assert_eq!(user.ask("join", json!({"room": rooms[2]})), Err("unknown_room".into()), "{name}");
        }
        for name in &NAMES[1..] {
            users[0].ask("invite", json!({"room": rooms[2], "name": name})).unwrap();
        }
        for user in &mut users[1..] {
            user.ask("join", json!({"room": rooms[2]})).unwrap();
        }
        let (said, by_text, epochs) = Default::default();
        Self { random, people: people.into(), rooms, said, by_text, epochs }
    }

    /// Everybody connects, and goes on where they were.
    pub(crate) fn connect(&mut self, address: SocketAddr) {
        for (number, person) in self.people.iter_mut().enumerate() {
            let mut user = ChatUser::with_token(address, &person.token);
            for room in &self.rooms {
                user.ask("join", json!({"room": room})).unwrap();
            }
            person.user = Some(user);
            let own = self.said.iter().enumerate().filter(|(_, said)| said.by == number);
            // What was acknowledged is repeated now and then, too: the acknowledgement might have been lost.
            let repeated = own.filter(|(_, said)| said.position.is_none() || self.random.chance(1, 8));
            person.repeats = repeated.map(|(index, _)| index).collect();
        }
    }

    /// Everybody talks without waiting for answers, until so many have come; more is on its way then.
    pub(crate) fn send_until_answered(&mut self, answers: usize) {
        let mut answered = 0;
        while answered < answers {
            let sender = self.random.below(self.people.len());
            let waiting = self.people[sender].waiting.len();
            if waiting == 0 || (waiting < MAX_UNANSWERED && self.random.chance(2, 3)) {
                self.send_next(sender);
            } else {
                while !self.receive_one(sender).expect("an answer") {}
                answered += 1;
            }
        }
        for _ in 0..self.random.below(MAX_UNANSWERED) {
            let sender = self.random.below(self.people.len());
            self.send_next(sender);
        }
    }

    /// Everybody says what they still have to repeat, and hears all answers.
    pub(crate) fn finish(&mut self) {
        for sender in 0..self.people.len() {
            while !self.people[sender].repeats.is_empty() {
                self.send_next(sender);
            }
            while !self.people[sender].waiting.is_empty() {
                self.receive_one(sender).expect("an answer");
            }
        }
        assert!(self.said.iter().all(|said| said.position.is_some()), "all has been acknowledged");
    }

    /// Everybody hears what has reached them, up to the end of their connection.
    pub(crate) fn drain(&mut self) -> Vec<End> {
        let people = 0..self.people.len();
        people
            .map(|sender| {
                let end = loop {
                    if let Err(end) = self.receive_one(sender) {
                        break end;
                    }
                };
                let person = &mut self.people[sender];
                (person.user, person.repeats, person.waiting) = Default::default();
                end
            })
            .collect()
    }

    /// Somebody repeats something, or says something new.
    fn send_next(&mut self, sender: usize) {
        let index = self.people[sender].repeats.pop_front().unwrap_or_else(|| self.new_message(sender));
        let SentMessage { to, key, ref text, .. } = self.said[index];
        let (event, data) = match to {
            To::Room(room) => ("say", json!({"room": room, "text": text, "key": key.to_string()})),
            To::Person(other) => {
                ("tell", json!({"name": self.people[other].name, "text": text, "key": key.to_string()}))
            }
        };
        let person = &mut self.people[sender];
        let id = person.user.as_mut().expect("a connection").send(event, &data);
        person.waiting.insert(id, index);
    }

    /// Something new to say.
    fn new_message(&mut self, by: usize) -> usize {
        let random = &mut self.random;
        let to = match random.below(4) {
            0 => To::Person((by + 1 + random.below(NAMES.len() - 1)) % NAMES.len()),
            _ => To::Room(self.rooms[random.below(self.rooms.len())]),
        };
        let key = Uuid::from_u64_pair(random.next_u64(), random.next_u64());
        let max = [10, 100, 3_900][random.below(3)];
        let text = format!("{key} {}", "x".repeat(1 + random.below(max)));
        let index = self.said.len();
        self.by_text.insert(text.clone(), index);
        self.said.push(SentMessage { by, to, key, text, position: None });
        index
    }

    /// Somebody hears one thing; says whether it was an answer.
    fn receive_one(&mut self, sender: usize) -> Result<bool, End> {
        let Event { name, data, id } = self.people[sender].user.as_mut().expect("a connection").receive()?;
        match &*name {
            "ack" => {
                let id = number(&id);
                let index = self.people[sender].waiting.remove(&id).expect("what was asked is answered once");
                let room = match self.said[index].to {
                    To::Room(room) => room,
                    To::Person(_) => number(&data["room"]),
                };
                self.record_position(index, Position { room, seq: number(&data["seq"]), time: number(&data["time"]) });
                return Ok(true);
            }
            "message" if data["kind"] == "said" => {
                let (index, position) = self.read(&data);
                self.record_position(index, position);
            }
            "message" | "presence" | "room" => {}
            _ => panic!("{name} {data}"),
        }
        Ok(false)
    }

    /// What a message says, and where it stands.
    fn read(&self, message: &Value) -> (usize, Position) {
        let index = *self.by_text.get(message["text"].as_str().expect("a text")).expect("somebody has said it");
        assert_eq!(message["from"], *self.people[self.said[index].by].name, "{message}");
        let position =
            Position { room: number(&message["room"]), seq: number(&message["seq"]), time: number(&message["time"]) };
        (index, position)
    }

    fn record_position(&mut self, index: usize, position: Position) {
        let said = &mut self.said[index];
        let known = *said.position.get_or_insert(position);
        assert_eq!(known, position, "{} is at two places", said.key);
        if let To::Room(room) = said.to {
            assert_eq!(position.room, room);
        }
    }

    /// Holds all logs to the ledger: whatever anybody was told is there, once, and where it was told to be; nothing else
    /// is there; nothing is missing between.
    pub(crate) fn verify(&mut self, address: SocketAddr) {
        let mut found = HashSet::new();
        let mut logs = BTreeMap::new();
        for token in self.people.iter().map(|person| person.token.clone()).collect::<Vec<_>>() {
            let (mut user, welcome) = ChatUser::with_welcome(address, &token);
            for room in welcome["rooms"].as_array().expect("rooms") {
                let epoch = self.epochs.entry(number(&room["room"])).or_insert_with(|| room["epoch"].to_string());
                assert_eq!(*epoch, room["epoch"].to_string(), "the log is the same");
                logs.entry(number(&room["room"])).or_insert_with(|| log(&mut user, room));
            }
        }
        for message in logs.values().flatten().filter(|message| message["kind"] == "said") {
            let (index, position) = self.read(message);
            assert!(found.insert(index), "twice there: {message}");
            self.record_position(index, position);
        }
        (0..self.people.len()).for_each(|by| self.verify_order(by, &found));
    }

    /// Of what somebody said, the first so many things are in the logs, in the order in which they were said.
    fn verify_order(&self, by: usize, found: &HashSet<usize>) {
        let own = || self.said.iter().enumerate().filter(|(_, said)| said.by == by);
        let there = own().take_while(|(index, _)| found.contains(index)).count();
        for (index, said) in own().skip(there) {
            let key = said.key;
            assert!(said.position.is_none(), "{key} is lost, and was at {:?}", said.position);
            assert!(!found.contains(&index), "{key} is there, and something said before it is not");
        }
        let mut heads = HashMap::new();
        for position in own().filter_map(|(_, said)| said.position) {
            let before = heads.insert(position.room, position.seq);
            assert!(before < Some(position.seq), "{position:?} is behind {before:?}, and was said before");
        }
    }
}

/// The whole log of a room, in which nothing is missing.
fn log(user: &mut ChatUser, room: &Value) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let page = json!({"room": room["room"], "after": log.len(), "limit": 100});
        let Value::Object(mut page) = user.ask("history", page).unwrap() else { panic!("no page") };
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
const MAX_UNANSWERED: usize = 40;
