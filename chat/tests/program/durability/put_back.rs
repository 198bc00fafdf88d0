//! Copies of the data are put back at random times: every client ends with the log of the server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
};

use serde_json::{Value, json};
use switchboard_tests::random::{Random, for_each_seed};
use uuid::Uuid;

use super::{
    copies::{DataCopy, Lock, PutBack},
    crowd::log,
    serve,
};
use crate::support::{
    chat_user::{ChatUser, guest},
    folder::Folder,
    program::Program,
};

/// The server cannot notice such a copy: its lock file and its file are the same.
#[test]
fn a_copy_that_is_put_back_during_the_same_run_is_a_gap_to_clients_that_have_seen_other_messages() {
    let folder = Folder::new("put-back");
    let mut program = serve(&folder);
    let tokens = ["Ann", "Bob"].map(|name| guest(program.address(), name));
    let mut ann = ChatUser::with_token(program.address(), &tokens[0]);
    let say = |ann: &mut ChatUser, text: &str| {
        let key = Uuid::from_u128(text.bytes().fold(0, |key, byte| (key << 8) | u128::from(byte)));
        ann.ask("say", json!({"room": 1, "text": text, "key": key.to_string()})).unwrap()
    };
    say(&mut ann, "one");
    let copy = DataCopy::of_a_database_in_use(&folder);
    say(&mut ann, "two");
    let lost = say(&mut ann, "three");
    let epoch = ann.ask("join", json!({"room": 1})).unwrap()["room"]["epoch"].clone();

    program.kill();
    copy.put_back(&folder, PutBack { over: true, lock: Lock::Kept });
    program = serve(&folder);
    let mut ann = ChatUser::with_token(program.address(), &tokens[0]);
    for text in ["other two", "other three", "four"] {
        say(&mut ann, text);
    }
    let mut bob = ChatUser::with_token(program.address(), &tokens[1]);
    let mut join = |hash: &Value| {
        let since = json!({"epoch": epoch, "seq": lost["seq"], "hash": hash});
        let reply = bob.ask("join", json!({"room": 1, "since": since})).unwrap();
        assert_eq!(reply["room"]["epoch"], epoch);
        let texts = reply["messages"].as_array().unwrap().iter().map(|message| message["text"].clone());
        (reply["gap"] == true, texts.collect::<Vec<_>>())
    };
    let all = ["one", "other two", "other three", "four"].map(Value::from).to_vec();
    assert_eq!(join(&lost["hash"]), (true, all));
    assert_eq!(join(&Value::Null), (false, vec!["four".into()]), "without a hash, nothing tells the two logs apart");
}

#[test]
fn clients_end_with_the_log_of_the_server_whenever_a_copy_of_its_data_is_put_back() {
    for_each_seed(4, |random| {
        let mut chat = Chat::new(random);
        (0..8).for_each(|_| chat.live_end_and_start());
    });
}

/// A server, its clients, and copies of its data.
struct Chat {
    random: Random,
    folder: Folder,
    program: Program,
    clients: Vec<Client>,
    rooms: [u64; 2],
    copies: Vec<DataCopy>,
}

impl Chat {
    fn new(random: Random) -> Self {
        let folder = Folder::new("copies");
        let program = serve(&folder);
        let clients: Vec<_> = NAMES.iter().map(|name| Client::new(guest(program.address(), name))).collect();
        let mut chats = clients.iter().map(|client| ChatUser::with_token(program.address(), &client.token));
        let created = chats.next().expect("a client").ask("create", json!({"name": "Attic"})).unwrap();
        let rooms = [1, number(&created["room"]["room"])];
        chats.for_each(|mut chat| drop(chat.ask("join", json!({"room": rooms[1]})).unwrap()));
        let copies = vec![DataCopy::of_a_database_in_use(&folder)];
        Self { random, folder, program, clients, rooms, copies }
    }

    /// Lets clients come, write and go, and copies be made. Then ends the program, sometimes puts a copy back, and
    /// starts the program again.
    fn live_end_and_start(&mut self) {
        for _ in 0..(4 + self.random.below(16)) {
            match self.random.below(11) {
                0..3 => self.connect(),
                3 => {
                    let client = self.random.below(NAMES.len());
                    self.clients[client].chat = None;
                }
                4 => self.copies.push(DataCopy::of_a_database_in_use(&self.folder)),
                5 => self.copies.push(self.snapshot_of_files()),
                6 => self.copies.push(DataCopy::of_a_backup(&self.folder)),
                _ => self.write(),
            }
        }
        self.check();
        self.end();
        if self.random.chance(1, 3) {
            self.copies.push(DataCopy::of_files(&self.folder));
        } else if self.random.chance(1, 4) {
            self.copies.push(DataCopy::of_a_backup(&self.folder));
        }
        if self.random.chance(3, 4) {
            let back = if self.random.chance(2, 3) { 0 } else { self.random.below(self.copies.len()) };
            let how = PutBack {
                over: self.random.chance(7, 8),
                lock: [Lock::Kept, Lock::PutBack, Lock::PutBack, Lock::Removed][self.random.below(4)],
            };
            self.copies[self.copies.len() - 1 - back].put_back(&self.folder, how);
            self.clients.iter_mut().for_each(|client| client.is_restored = true);
        }
        self.program = serve(&self.folder);
        // Others write before the clients come back.
        for _ in 0..self.random.below(12) {
            self.write();
        }
        self.check();
    }

    /// Kills or stops the program, with messages in flight.
    fn end(&mut self) {
        for client in &mut self.clients {
            if let Some(chat) = &mut client.chat {
                for _ in 0..self.random.below(3) {
                    let message = new_message(&mut self.random, self.rooms);
                    chat.send("say", &message);
                    client.unacknowledged.push(message);
                }
            }
        }
        if self.random.chance(1, 2) {
            self.program.kill();
        } else {
            self.program.signal("TERM");
            self.clients.iter_mut().filter_map(|client| client.chat.take()).for_each(|mut chat| drop(chat.until_end()));
            assert_eq!(self.program.wait().code(), Some(0));
        }
        self.clients.iter_mut().for_each(|client| client.chat = None);
    }

    /// Connects a client that is not connected.
    fn connect(&mut self) {
        let mut away = self.clients.iter_mut().filter(|client| client.chat.is_none()).collect::<Vec<_>>();
        if !away.is_empty() {
            let client = away.swap_remove(self.random.below(away.len()));
            client.connect(&self.program, self.rooms);
        }
    }

    /// Lets a client that is connected write or delete a message.
    fn write(&mut self) {
        if self.clients.iter().all(|client| client.chat.is_none()) {
            self.connect();
        }
        let (random, rooms) = (&mut self.random, self.rooms);
        let mut there = self.clients.iter_mut().filter(|client| client.chat.is_some()).collect::<Vec<_>>();
        let client = there.swap_remove(random.below(there.len()));
        if random.chance(1, 6) {
            client.delete(rooms[random.below(2)], random);
        } else {
            let message = new_message(random, rooms);
            client.chat().ask("say", message).unwrap();
        }
    }

    /// Compares what all connected clients have seen with the logs, in which each message is once.
    fn check(&mut self) {
        let (mut chat, welcome) = ChatUser::with_welcome(self.program.address(), &self.clients[0].token);
        let rooms = welcome["rooms"].as_array().expect("rooms");
        let logs: BTreeMap<_, _> = rooms.iter().map(|room| (number(&room["room"]), log(&mut chat, room))).collect();
        let mut found = BTreeSet::new();
        for text in logs.values().flatten().filter_map(|message| message["text"].as_str()) {
            assert!(found.insert(text), "{text} was sent once, and is twice in the logs");
        }
        for (name, client) in NAMES.iter().zip(&mut self.clients).filter(|(_, client)| client.chat.is_some()) {
            client.receive();
            for (room, seen) in &client.rooms {
                assert!(logs[room].is_empty() || !seen.messages.is_empty(), "{name} has seen nothing of {room}");
                assert!(
                    logs[room].ends_with(&seen.messages),
                    "{name} has seen in {room}\n{:#?}\nbut the log is\n{:#?}",
                    seen.messages,
                    logs[room]
                );
            }
        }
    }

    /// Copies the files while the program cannot run, as a snapshot of a file system does.
    fn snapshot_of_files(&self) -> DataCopy {
        self.program.signal("STOP");
        let status = format!("/proc/{}/stat", self.program.id());
        while !fs::read_to_string(&status).unwrap().contains(") T ") {
            thread::yield_now();
        }
        let copy = DataCopy::of_files(&self.folder);
        self.program.signal("CONT");
        copy
    }
}

/// A client that keeps what it has seen, over all connections.
struct Client {
    token: String,
    chat: Option<ChatUser>,
    rooms: BTreeMap<u64, Seen>,
    /// The data of events `say` without a reply.
    unacknowledged: Vec<Value>,
    /// Whether a copy was put back since the client was last connected.
    is_restored: bool,
}

/// The part of a room that a client has seen.
#[derive(Default)]
struct Seen {
    /// The position, as it is sent.
    since: Option<Value>,
    messages: Vec<Value>,
}

impl Client {
    fn new(token: String) -> Self {
        Self { token, chat: None, rooms: BTreeMap::new(), unacknowledged: Vec::new(), is_restored: false }
    }

    fn chat(&mut self) -> &mut ChatUser {
        self.chat.as_mut().expect("a connection")
    }

    /// Connects, repeats unacknowledged messages, and joins the rooms from their positions on. If no copy was put back
    /// meanwhile, all positions must be known.
    fn connect(&mut self, program: &Program, rooms: [u64; 2]) {
        let chat = self.chat.insert(ChatUser::with_token(program.address(), &self.token));
        for message in self.unacknowledged.drain(..) {
            chat.ask("say", message).unwrap();
        }
        for room in rooms {
            let seen = self.rooms.entry(room).or_default();
            let mut live = false;
            while !live {
                let reply = chat.ask("join", json!({"room": room, "since": seen.since})).unwrap();
                if reply["gap"] == true {
                    assert!(self.is_restored, "the log is the same: {:?} {reply}", seen.since);
                    *seen = Seen::default();
                }
                seen.since.get_or_insert_with(|| position(&reply["room"]));
                for message in reply["messages"].as_array().unwrap() {
                    seen.add(message);
                }
                live = reply["live"] == true;
            }
        }
        self.is_restored = false;
    }

    /// Adds the messages that have come.
    fn receive(&mut self) {
        for event in self.chat().received(&["message"]) {
            let room = number(&event.data["room"]);
            self.rooms.get_mut(&room).expect("a room that was joined").add(&event.data);
        }
    }

    /// Deletes a message that this client has seen, if it may.
    fn delete(&mut self, room: u64, random: &mut Random) {
        self.receive();
        let said = self.rooms[&room].messages.iter().filter(|message| message["text"].is_string());
        let seqs: Vec<_> = said.map(|message| message["seq"].clone()).collect();
        if !seqs.is_empty() {
            // Refused if another client has written it, unless this one owns the room.
            let _ = self.chat().ask("delete", json!({"room": room, "seq": seqs[random.below(seqs.len())]}));
        }
    }
}

impl Seen {
    /// Adds a message, which must be the next one.
    fn add(&mut self, message: &Value) {
        if let Some(last) = self.messages.last() {
            assert_eq!(number(&message["seq"]), number(&last["seq"]) + 1, "{message} after {last}");
            assert_eq!(message["epoch"], last["epoch"], "{message} after {last}");
        }
        if message["kind"] == "deleted"
            && let Some(deleted) = self.messages.iter_mut().find(|other| other["seq"] == message["target"])
            && let Some(fields) = deleted.as_object_mut()
        {
            fields.remove("text");
            fields.insert("deleted".to_owned(), true.into());
            if message["who"].is_string() {
                fields.insert("by".to_owned(), message["from"].clone());
            }
        }
        self.messages.push(message.clone());
        self.since = Some(position(message));
    }
}

/// Returns the position of a message, or of a room's last one.
fn position(of: &Value) -> Value {
    json!({"epoch": of["epoch"], "seq": of["seq"], "hash": of["hash"]})
}

/// Returns the data of an event `say`.
fn new_message(random: &mut Random, rooms: [u64; 2]) -> Value {
    let key = Uuid::from_u64_pair(random.next_u64(), random.next_u64()).to_string();
    json!({"room": rooms[random.below(2)], "text": key, "key": key})
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a number"))
}

const NAMES: [&str; 4] = ["Ann", "Bob", "Cem", "Dora"];
