//! Users who send messages at the same time, and a record of what the chat has acknowledged.
//!
//! Each user repeats unacknowledged messages before sending a new one, as the protocol requires of clients. So if
//! messages are lost, the logs hold the first messages of each user, without a gap and in the order of sending.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::SocketAddr,
};

use serde_json::{Value, json};
use switchboard_tests::random::Random;
use uuid::Uuid;

use crate::support::chat_user::{ChatUser, End, Event, guest};

/// The users, and all messages that they have sent.
pub(crate) struct Crowd {
    random: Random,
    users: Vec<User>,
    rooms: Vec<u64>,
    messages: Vec<SentMessage>,
    /// Index of each message, by its text.
    by_text: HashMap<String, usize>,
    epochs: HashMap<u64, String>,
}

struct User {
    name: String,
    token: String,
    chat: Option<ChatUser>,
    /// Messages to repeat before a new one.
    repeats: VecDeque<usize>,
    /// Messages without a reply on this connection, by the event's id.
    waiting: HashMap<u64, usize>,
}

/// A message, which its user repeats until it is acknowledged.
struct SentMessage {
    by: usize,
    to: To,
    key: Uuid,
    text: String,
    /// The position that the chat has reported. Later reports must be the same.
    position: Option<Position>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Room(u64),
    User(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    room: u64,
    seq: u64,
    time: u64,
}

impl Crowd {
    /// Registers the users, who all join the same rooms: the Lobby, a public one, and an invited one.
    pub(crate) fn new(address: SocketAddr, random: Random) -> Self {
        let users = NAMES.map(|name| User {
            name: name.to_owned(),
            token: guest(address, name),
            chat: None,
            repeats: VecDeque::new(),
            waiting: HashMap::new(),
        });
        let mut chats = users.each_ref().map(|user| ChatUser::with_token(address, &user.token));
        let mut rooms = vec![1];
        for kind in ["public", "invited"] {
            let created = chats[0].ask("create", json!({"name": kind, "kind": kind})).unwrap();
            rooms.push(number(&created["room"]["room"]));
        }
        for (chat, name) in chats.iter_mut().zip(NAMES).skip(1) {
            chat.ask("join", json!({"room": rooms[1]})).unwrap();
            // The invitation comes later.
            assert_eq!(chat.ask("join", json!({"room": rooms[2]})), Err("unknown_room".into()), "{name}");
        }
        for name in &NAMES[1..] {
            chats[0].ask("invite", json!({"room": rooms[2], "name": name})).unwrap();
        }
        for chat in &mut chats[1..] {
            chat.ask("join", json!({"room": rooms[2]})).unwrap();
        }
        let (messages, by_text, epochs) = Default::default();
        Self { random, users: users.into(), rooms, messages, by_text, epochs }
    }

    /// Connects all users.
    pub(crate) fn connect(&mut self, address: SocketAddr) {
        for (number, user) in self.users.iter_mut().enumerate() {
            let mut chat = ChatUser::with_token(address, &user.token);
            for room in &self.rooms {
                chat.ask("join", json!({"room": room})).unwrap();
            }
            user.chat = Some(chat);
            let own = self.messages.iter().enumerate().filter(|(_, message)| message.by == number);
            // Acknowledged messages are sometimes repeated, too: the acknowledgement might have been lost.
            let repeated = own.filter(|(_, message)| message.position.is_none() || self.random.chance(1, 8));
            user.repeats = repeated.map(|(index, _)| index).collect();
        }
    }

    /// Sends messages without waiting for each reply, until `replies` replies have come. Leaves more messages in
    /// flight.
    pub(crate) fn send_until_replied(&mut self, replies: usize) {
        let mut replied = 0;
        while replied < replies {
            let by = self.random.below(self.users.len());
            let waiting = self.users[by].waiting.len();
            if waiting == 0 || (waiting < MAX_WITHOUT_REPLY && self.random.chance(2, 3)) {
                self.send_next(by);
            } else {
                while !self.receive_one(by).expect("a reply") {}
                replied += 1;
            }
        }
        for _ in 0..self.random.below(MAX_WITHOUT_REPLY) {
            let by = self.random.below(self.users.len());
            self.send_next(by);
        }
    }

    /// Sends all repeats, and waits for all replies.
    pub(crate) fn finish(&mut self) {
        for by in 0..self.users.len() {
            while !self.users[by].repeats.is_empty() {
                self.send_next(by);
            }
            while !self.users[by].waiting.is_empty() {
                self.receive_one(by).expect("a reply");
            }
        }
        assert!(self.messages.iter().all(|message| message.position.is_some()), "all messages are acknowledged");
    }

    /// Reads all connections until they end.
    pub(crate) fn drain(&mut self) -> Vec<End> {
        let users = 0..self.users.len();
        users
            .map(|by| {
                let end = loop {
                    if let Err(end) = self.receive_one(by) {
                        break end;
                    }
                };
                let user = &mut self.users[by];
                (user.chat, user.repeats, user.waiting) = Default::default();
                end
            })
            .collect()
    }

    /// Sends a user's next repeat, or a new message.
    fn send_next(&mut self, by: usize) {
        let index = self.users[by].repeats.pop_front().unwrap_or_else(|| self.new_message(by));
        let SentMessage { to, key, ref text, .. } = self.messages[index];
        let (event, data) = match to {
            To::Room(room) => ("say", json!({"room": room, "text": text, "key": key.to_string()})),
            To::User(other) => ("tell", json!({"name": self.users[other].name, "text": text, "key": key.to_string()})),
        };
        let user = &mut self.users[by];
        let id = user.chat.as_mut().expect("a connection").send(event, &data);
        user.waiting.insert(id, index);
    }

    /// Makes a new message. Returns its index.
    fn new_message(&mut self, by: usize) -> usize {
        let random = &mut self.random;
        let to = match random.below(4) {
            0 => To::User((by + 1 + random.below(NAMES.len() - 1)) % NAMES.len()),
            _ => To::Room(self.rooms[random.below(self.rooms.len())]),
        };
        let key = Uuid::from_u64_pair(random.next_u64(), random.next_u64());
        let max = [10, 100, 3_900][random.below(3)];
        let text = format!("{key} {}", "x".repeat(1 + random.below(max)));
        let index = self.messages.len();
        self.by_text.insert(text.clone(), index);
        self.messages.push(SentMessage { by, to, key, text, position: None });
        index
    }

    /// Reads one event of a user. Returns whether it is a reply.
    fn receive_one(&mut self, by: usize) -> Result<bool, End> {
        let Event { name, data, id } = self.users[by].chat.as_mut().expect("a connection").receive()?;
        match &*name {
            "ack" => {
                let id = number(&id);
                let index = self.users[by].waiting.remove(&id).expect("one reply to each event");
                let room = match self.messages[index].to {
                    To::Room(room) => room,
                    To::User(_) => number(&data["room"]),
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

    /// Returns the index of a received message, and its position.
    fn read(&self, message: &Value) -> (usize, Position) {
        let index = *self.by_text.get(message["text"].as_str().expect("a text")).expect("a message that was sent");
        assert_eq!(message["from"], *self.users[self.messages[index].by].name, "{message}");
        let position =
            Position { room: number(&message["room"]), seq: number(&message["seq"]), time: number(&message["time"]) };
        (index, position)
    }

    /// Records a reported position. It must equal an earlier one.
    fn record_position(&mut self, index: usize, position: Position) {
        let message = &mut self.messages[index];
        let known = *message.position.get_or_insert(position);
        assert_eq!(known, position, "{} has two positions", message.key);
        if let To::Room(room) = message.to {
            assert_eq!(position.room, room);
        }
    }

    /// Compares all logs with the record: each reported message is there once, at its reported position, nothing else
    /// is there, and no number is missing.
    pub(crate) fn verify(&mut self, address: SocketAddr) {
        let mut found = HashSet::new();
        let mut logs = BTreeMap::new();
        for token in self.users.iter().map(|user| user.token.clone()).collect::<Vec<_>>() {
            let (mut chat, welcome) = ChatUser::with_welcome(address, &token);
            for room in welcome["rooms"].as_array().expect("rooms") {
                let epoch = self.epochs.entry(number(&room["room"])).or_insert_with(|| room["epoch"].to_string());
                assert_eq!(*epoch, room["epoch"].to_string(), "the log is the same");
                logs.entry(number(&room["room"])).or_insert_with(|| log(&mut chat, room));
            }
        }
        for message in logs.values().flatten().filter(|message| message["kind"] == "said") {
            let (index, position) = self.read(message);
            assert!(found.insert(index), "twice in the logs: {message}");
            self.record_position(index, position);
        }
        (0..self.users.len()).for_each(|by| self.verify_order(by, &found));
    }

    /// Checks that the logs hold a user's first messages, without a gap and in the order of sending.
    fn verify_order(&self, by: usize, found: &HashSet<usize>) {
        let own = || self.messages.iter().enumerate().filter(|(_, message)| message.by == by);
        let there = own().take_while(|(index, _)| found.contains(index)).count();
        for (index, message) in own().skip(there) {
            let key = message.key;
            assert!(message.position.is_none(), "{key} is lost, and was at {:?}", message.position);
            assert!(!found.contains(&index), "{key} is there, and an earlier message is not");
        }
        let mut heads = HashMap::new();
        for position in own().filter_map(|(_, message)| message.position) {
            let before = heads.insert(position.room, position.seq);
            assert!(before < Some(position.seq), "{position:?} is after {before:?}, but was sent before it");
        }
    }
}

/// Returns the whole log of a room. Checks that no number is missing.
pub(super) fn log(chat: &mut ChatUser, room: &Value) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let page = json!({"room": room["room"], "after": log.len(), "limit": 100});
        let Value::Object(mut page) = chat.ask("history", page).unwrap() else { panic!("no page") };
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
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

const NAMES: [&str; 4] = ["Ann", "Bob", "Cem", "Dora"];
/// Maximum messages of one user without a reply.
const MAX_WITHOUT_REPLY: usize = 40;
