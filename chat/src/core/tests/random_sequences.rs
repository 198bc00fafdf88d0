//! Random sequences of commands: every reader gets every room's log, without gaps or duplicates.

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// Lets some time pass, and sets the wall clock forward, back, or right again.
fn let_time_pass(random: &mut Random, chat: &mut TestChat) {
    let right = 1_800_000_000_000 + u64::try_from((chat.now.instant - chat.start).as_millis()).unwrap();
    let unit = [1, 60, 3_600, 365 * 86_400][random.below(4) as usize] * 1_000;
    let step = random.below(10 * unit);
    match random.below(4) {
        0 => chat.now.wall = right,
        1 => chat.now.wall += step,
        2 => chat.now.wall = chat.now.wall.saturating_sub(step),
        _ => {}
    }
    let time = Duration::from_millis(random.below(2_000));
    chat.now.instant += time;
    chat.now.wall += u64::try_from(time.as_millis()).unwrap();
    chat.state.tick(chat.now, &chat.delivery);
}

/// A client that connects and disconnects, and remembers what it has received of each room.
struct Reader {
    token: TokenHash,
    connection: Option<ClientId>,
    /// Events without a reply yet, by id.
    pending: BTreeMap<u64, (u64, Value)>,
    rooms: BTreeMap<u64, Seen>,
    /// Messages that are not acknowledged: the key and the room.
    unacknowledged: Vec<(String, u64)>,
    /// The keys of acknowledged messages.
    acknowledged: Vec<String>,
}

#[derive(Clone, Default)]
struct Seen {
    epoch: Value,
    seq: u64,
    hash: Value,
    /// Keys are not sent to clients, so the texts are the keys.
    texts: Vec<String>,
    /// Whether this connection follows the room.
    live: bool,
}

impl Reader {
    fn receive(&mut self, events: Vec<Value>, context: &str) -> Vec<u64> {
        let mut not_live = Vec::new();
        for event in events {
            match event[0].as_str().unwrap() {
                "ack" => {
                    let Some((room, what)) = event[2].as_u64().and_then(|id| self.pending.remove(&id)) else {
                        continue;
                    };
                    if let Some(key) = what.as_str().and_then(|what| what.strip_prefix("say ")) {
                        self.unacknowledged.retain(|(other, _)| other != key);
                        self.acknowledged.push(key.to_owned());
                        continue;
                    }
                    let entered = &event[1];
                    let seen = self.rooms.entry(room).or_default();
                    assert!(seen.seq == 0 || entered["gap"] == false, "{context}: a gap");
                    seen.epoch = entered["room"]["epoch"].clone();
                    for message in entered["messages"].as_array().unwrap() {
                        seen.receive(message, context);
                    }
                    seen.live = entered["live"] == true;
                    if !seen.live {
                        not_live.push(room);
                    }
                }
                "message" => {
                    let seen = self.rooms.entry(event[1]["room"].as_u64().unwrap()).or_default();
                    assert!(seen.live, "{context}: {event} before the catch-up ended");
                    seen.receive(&event[1], context);
                }
                "error" => {
                    let id = event[2].as_u64().expect("every event had an id");
                    let Some((room, what)) = self.pending.remove(&id) else { continue };
                    // A client that could not enter a room cannot send to it either.
                    let outside = what != "join" && event[1]["code"] == "not_member" && !self.rooms.contains_key(&room);
                    assert!(outside || event[1]["code"] == "storage", "{context}: {event}");
                    if what == "join" {
                        not_live.push(room);
                    }
                }
                _ => {}
            }
        }
        not_live
    }
}

impl Seen {
    fn receive(&mut self, message: &Value, context: &str) {
        let seq = message["seq"].as_u64().unwrap();
        assert_eq!(seq, self.seq + 1, "{context}: {message} after {}", self.seq);
        self.seq = seq;
        self.hash = message["hash"].clone();
        self.texts.extend(message["text"].as_str().map(str::to_owned));
    }
}

/// Runs one sequence: clients connect, send to several rooms, lose the connection, and come back, while at random times
/// the store cannot be written and the wall clock is set. Events are processed in batches of random size.
fn simulate(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut chat = TestChat::with(|config| {
        config.limits.messages = super::super::super::Rate { at_once: 1_000_000, per_second: 1e6 };
    });
    let names = ["Ada", "Bob", "Eve", "Mia"];
    let founder = chat.connect_user("Founder");
    let rooms = [LOBBY, chat.create(founder, "One", "public"), chat.create(founder, "Two", "public")];
    let mut readers: Vec<Reader> = names
        .iter()
        .map(|name| Reader {
            token: chat.account(name).unwrap(),
            connection: None,
            pending: BTreeMap::new(),
            rooms: BTreeMap::new(),
            unacknowledged: Vec::new(),
            acknowledged: Vec::new(),
        })
        .collect();
    let mut batch = Vec::new();
    for step in 0..250 {
        let context = format!("seed {seed}, step {step}");
        let reader = &mut readers[random.below(4) as usize];
        match (reader.connection, random.below(8)) {
            (None, _) => reader.reconnect(&mut chat, &rooms, &mut batch),
            (Some(connection), 0) => {
                // The output on its way to the client is lost.
                if random.chance(2) {
                    chat.take_output(connection);
                }
                reader.disconnect(&mut chat, &mut batch);
            }
            (Some(connection), _) => {
                let (key, room) = (chat.key(), rooms[random.below(3) as usize]);
                reader.unacknowledged.push((key.clone(), room));
                batch.push(reader.say(&mut chat, connection, &key, room));
            }
        }
        if random.chance(3) {
            match random.below(8) {
                0 => chat.state.store.refuse_writes(true).unwrap(),
                // First the commit of the whole batch fails, then those of some single commands.
                1 => chat.state.store.refuse_commits(1 + random.below(batch.len() as u64 + 1) as usize),
                _ => {}
            }
            chat.process(std::mem::take(&mut batch));
            chat.state.store.refuse_writes(false).unwrap();
            chat.state.store.refuse_commits(0);
            let_time_pass(&mut random, &mut chat);
            receive_all(&mut readers, &mut chat, &mut batch, &context);
        }
    }
    // At the end all clients reconnect, and stay until everything is sent and received.
    for reader in &mut readers {
        reader.disconnect(&mut chat, &mut batch);
        reader.reconnect(&mut chat, &rooms, &mut batch);
    }
    while !batch.is_empty() {
        chat.process(std::mem::take(&mut batch));
        receive_all(&mut readers, &mut chat, &mut batch, &format!("seed {seed}, at the end"));
    }
    for reader in &readers {
        assert_eq!(reader.unacknowledged, [], "seed {seed}");
        for room in rooms {
            assert_eq!(
                reader.rooms[&room].texts, readers[0].rooms[&room].texts,
                "seed {seed}: all readers see the same"
            );
        }
    }
    let mut received: Vec<_> = rooms.iter().flat_map(|room| readers[0].rooms[room].texts.clone()).collect();
    let mut acknowledged: Vec<_> = readers.iter().flat_map(|reader| reader.acknowledged.clone()).collect();
    received.sort();
    acknowledged.sort();
    acknowledged.dedup(); // a repeat is acknowledged twice
    assert_eq!(received, acknowledged, "seed {seed}: every acknowledged message is there once");
    assert_eq!(chat.state.store.broken_rules(), [""; 0], "seed {seed}");
}

impl Reader {
    /// Opens a new connection: first sends again what was not acknowledged, then joins all rooms.
    fn reconnect(&mut self, chat: &mut TestChat, rooms: &[u64], batch: &mut Vec<Command>) {
        chat.connections += 1;
        let connection = connection_numbered(chat.connections);
        self.connection = Some(connection);
        batch.push(Command::Opened(connection, Credential::Tokens(vec![self.token]), backlog()));
        for (key, room) in self.unacknowledged.clone() {
            batch.push(self.say(chat, connection, &key, room));
        }
        for &room in rooms {
            batch.push(self.join(chat, connection, room));
        }
    }

    fn disconnect(&mut self, chat: &mut TestChat, batch: &mut Vec<Command>) {
        if let Some(connection) = self.connection.take() {
            chat.delivery.0.subscribers.lock().unwrap().retain(|(_, other)| *other != connection);
            batch.push(Command::Closed(connection, backlog()));
        }
        self.pending.clear();
        for seen in self.rooms.values_mut() {
            seen.live = false;
        }
    }

    fn say(&mut self, chat: &mut TestChat, connection: ClientId, key: &str, room: u64) -> Command {
        chat.last_id += 1;
        self.pending.insert(chat.last_id, (room, json!(format!("say {key}"))));
        event_command(connection, &json!(["say", { "room": room, "text": key, "key": key }, chat.last_id]))
    }

    fn join(&mut self, chat: &mut TestChat, connection: ClientId, room: u64) -> Command {
        chat.last_id += 1;
        self.pending.insert(chat.last_id, (room, json!("join")));
        let seen = self.rooms.get(&room).filter(|seen| seen.seq > 0);
        let since = seen.map(|seen| json!({ "epoch": seen.epoch, "seq": seen.seq, "hash": seen.hash }));
        event_command(connection, &json!(["join", { "room": room, "since": since }, chat.last_id]))
    }
}

/// Makes all clients receive their output, and ask for the rest of what they have missed.
fn receive_all(readers: &mut [Reader], chat: &mut TestChat, batch: &mut Vec<Command>, context: &str) {
    for reader in readers {
        let Some(connection) = reader.connection else { continue };
        if chat.closed_with(connection).is_some() {
            // Not even the welcome could be read from the store.
            assert_eq!(chat.closed_with(connection), Some(1013), "{context}");
            reader.disconnect(chat, batch);
            continue;
        }
        for room in reader.receive(chat.take_output(connection), context) {
            batch.push(reader.join(chat, connection, room));
        }
        // A message that could not be written, or was sent before the room was entered, is sent again.
        for (key, room) in reader.unacknowledged.clone() {
            let pending = json!(format!("say {key}"));
            if !reader.pending.values().any(|(_, what)| *what == pending) && reader.rooms.contains_key(&room) {
                batch.push(reader.say(chat, connection, &key, room));
            }
        }
    }
}

#[test]
fn every_reader_gets_every_log_in_order() {
    for seed in 0..60 {
        simulate(seed);
    }
}

/// A client that comes and goes, with the rooms that it knows it is in.
struct Visitor {
    name: String,
    token: TokenHash,
    connection: Option<ClientId>,
    rooms: BTreeSet<u64>,
}

impl Visitor {
    fn receive(&mut self, chat: &TestChat) {
        let Some(connection) = self.connection else { return };
        for event in chat.take_output(connection) {
            let number = |room: &Value| room["room"].as_u64().unwrap();
            match event[0].as_str().unwrap() {
                "welcome" => self.rooms = event[1]["rooms"].as_array().unwrap().iter().map(number).collect(),
                "room" => drop(self.rooms.insert(number(&event[1]))),
                "ack" if event[1].get("messages").is_some() => drop(self.rooms.insert(number(&event[1]["room"]))),
                "gone" => drop(self.rooms.remove(&number(&event[1]))),
                "expired" => assert!(!["idle", "lifetime"].contains(&event[1]["reason"].as_str().unwrap()), "{event}"),
                _ => {}
            }
        }
    }
}

/// Runs one sequence: users create, join, leave and remove rooms, delete their accounts and come back, while the store
/// fails and the wall clock is set at random times, and background work is done piece by piece. In the end each client
/// knows exactly the rooms that its user is in.
fn simulate_removals(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut chat = super::removal::in_pieces();
    // Members who are dismissed before the others, in pieces of their own.
    let crowd: Vec<_> = (0..60)
        .map(|number| {
            let name = format!("Member {number}");
            chat.state.store.add_user(&name, &name, None, chat.now.wall).unwrap().expect("a new name")
        })
        .collect();
    let mut visitors: Vec<_> = (0..8)
        .map(|number| {
            let name = format!("Visitor {number}");
            Visitor { token: chat.guest(&name).unwrap(), name, connection: None, rooms: BTreeSet::new() }
        })
        .collect();
    let mut batch = Vec::new();
    for step in 0..300 {
        let visitor = &mut visitors[random.below(8) as usize];
        // Rooms are numbered in order, and most of those that are named exist.
        let room = 1 + random.below(1 + step / 10);
        match (visitor.connection, random.below(20)) {
            (None, _) => {
                chat.connections += 1;
                let connection = connection_numbered(chat.connections);
                visitor.connection = Some(connection);
                batch.push(Command::Opened(connection, Credential::Tokens(vec![visitor.token]), backlog()));
            }
            (Some(connection), 0) => {
                chat.delivery.0.subscribers.lock().unwrap().retain(|(_, other)| *other != connection);
                batch.push(Command::Closed(connection, backlog()));
                visitor.connection = None;
            }
            (Some(connection), 1) => {
                let all: Vec<u64> = (1..100).collect();
                batch.push(event_command(connection, &json!(["delete_account", { "remove": all }, step])));
            }
            (Some(connection), action) => {
                let (event, data) = match action {
                    2..=6 => ("create", json!({ "name": format!("Room {}", random.below(10)) })),
                    7..=13 => ("join", json!({ "room": room })),
                    14..=15 => ("leave", json!({ "room": room, "remove": random.chance(2) })),
                    16 => ("say", json!({ "room": room, "text": "word", "key": chat.key() })),
                    _ => ("remove", json!({ "room": room })),
                };
                batch.push(event_command(connection, &json!([event, data, step])));
            }
        }
        if random.chance(3) {
            if random.chance(4) {
                chat.state.store.refuse_commits(1 + random.below(3) as usize);
            }
            chat.process(std::mem::take(&mut batch));
            chat.state.store.refuse_commits(0);
            let_time_pass(&mut random, &mut chat);
            for visitor in &mut visitors {
                visitor.receive(&chat);
                let Some(connection) = visitor.connection else { continue };
                if chat.closed_with(connection) == Some(4001) {
                    // The guest has left for good, and another one has the name at once.
                    (visitor.token, visitor.connection) = (chat.guest(&visitor.name).unwrap(), None);
                } else if chat.closed_with(connection).is_some() {
                    visitor.connection = None;
                }
            }
        }
        let id = serde_json::from_value(json!(room)).unwrap();
        if random.chance(10) && chat.state.store.room(id).unwrap().is_some() {
            for &user in &crowd {
                chat.state.store.set_role(id, user, Role::Member, chat.now.wall).unwrap();
            }
        }
        if random.chance(4) {
            if random.chance(4) {
                chat.state.store.refuse_commits(6);
            }
            chat.work_in_background();
            chat.state.store.refuse_commits(0);
            chat.state.has_background_work = true;
        }
    }
    chat.process(batch);
    while chat.work_in_background() {}
    super::removal::assert_nothing_is_left(&chat);
    assert_eq!(chat.state.store.broken_rules(), [""; 0], "seed {seed}");
    for visitor in &mut visitors {
        visitor.receive(&chat);
        let Some(connection) = visitor.connection.filter(|connection| chat.closed_with(*connection).is_none()) else {
            continue;
        };
        let (user, _) = chat.state.presence.identity_of(connection).expect("signed in");
        let rooms = chat.state.store.rooms_of(user).unwrap();
        let rooms: BTreeSet<u64> = rooms.iter().map(|member| member.room.to_string().parse().unwrap()).collect();
        assert_eq!(visitor.rooms, rooms, "seed {seed}: the rooms of {}", visitor.name);
        let follows: BTreeSet<u64> = (chat.delivery.0.subscribers.lock().unwrap().iter())
            .filter(|(_, other)| *other == connection)
            .filter_map(|(topic, _)| topic.strip_prefix("room ")?.parse().ok())
            .collect();
        assert!(follows.is_subset(&rooms), "seed {seed}: {} follows {follows:?}, not only {rooms:?}", visitor.name);
    }
}

#[test]
fn clients_know_exactly_the_rooms_they_are_in_however_rooms_and_users_go() {
    for seed in 0..40 {
        simulate_removals(seed);
    }
}
