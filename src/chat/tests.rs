//! The chat without sockets: what each client is told, in order.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    Backplane, Exchange, MemoryBackplane,
    session::{Caller, Session},
};
use crate::{CloseCode, ConnectionId};

/// An exchange that only writes down what each connection is told.
#[derive(Default)]
struct Desk {
    told: Mutex<BTreeMap<ConnectionId, Vec<Value>>>,
    subscribers: Mutex<BTreeSet<(String, ConnectionId)>>,
    closed: Mutex<Vec<(ConnectionId, CloseCode)>>,
    overloaded: Mutex<bool>,
}

impl Exchange for Arc<Desk> {
    fn subscribe(&self, connection: ConnectionId, topic: &str) {
        self.subscribers.lock().unwrap().insert((topic.to_owned(), connection));
    }

    fn answer(&self, connection: ConnectionId, text: &str) {
        let event = serde_json::from_str(text).unwrap();
        self.told.lock().unwrap().entry(connection).or_default().push(event);
    }

    fn publish(&self, topic: &str, text: &str) {
        let subscribers = self.subscribers.lock().unwrap().clone();
        for (_, connection) in subscribers.iter().filter(|(name, _)| name == topic) {
            self.answer(*connection, text);
        }
    }

    fn close(&self, connection: ConnectionId, code: CloseCode, _: &str) {
        self.subscribers.lock().unwrap().retain(|(_, other)| *other != connection);
        self.closed.lock().unwrap().push((connection, code));
    }

    fn is_overloaded(&self) -> bool {
        *self.overloaded.lock().unwrap()
    }
}

/// A lobby and the clients in it.
struct House {
    desk: Arc<Desk>,
    backplane: MemoryBackplane<Arc<Desk>>,
    connections: u32,
    now: Cell<Instant>,
}

struct Guest {
    connection: ConnectionId,
    session: Session,
}

impl House {
    fn new() -> Self {
        static TOKENS: AtomicU64 = AtomicU64::new(0);
        let desk = Arc::new(Desk::default());
        let backplane =
            MemoryBackplane::new(Arc::clone(&desk), || format!("token-{}", TOKENS.fetch_add(1, Ordering::Relaxed)));
        Self { desk, backplane, connections: 0, now: Cell::new(Instant::now()) }
    }

    fn connect(&mut self) -> Guest {
        self.connections += 1;
        Guest { connection: ConnectionId::numbered(self.connections), session: Session::new(self.now.get()) }
    }

    /// A guest who has said hello and heard the welcome.
    fn join(&mut self, name: &str) -> Guest {
        let mut guest = self.connect();
        self.send(&mut guest, &json!(["hello", { "name": name }]));
        guest
    }

    /// Sends an event, after a pause that is long enough for anything.
    fn send(&self, guest: &mut Guest, event: &Value) {
        self.pass(Duration::from_secs(1));
        self.send_text(guest, &event.to_string());
    }

    fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    fn send_text(&self, guest: &mut Guest, text: &str) {
        let Guest { connection, session } = guest;
        let (backplane, exchange) = (&self.backplane, &self.desk);
        Caller { session, connection: *connection, backplane, exchange, now: self.now.get() }.handle(text);
    }

    fn disconnect(&self, guest: &Guest) {
        self.desk.subscribers.lock().unwrap().retain(|(_, other)| *other != guest.connection);
        self.backplane.leave(guest.connection);
    }

    /// What a guest was told since this was last asked.
    fn told(&self, guest: &Guest) -> Vec<Value> {
        self.desk.told.lock().unwrap().remove(&guest.connection).unwrap_or_default()
    }

    /// The welcome that a guest was told, and nothing before it.
    fn welcome(&self, guest: &Guest) -> Value {
        let told = self.told(guest);
        assert_eq!(told[0][0], "welcome", "{told:?}");
        told[0][1].clone()
    }
}

fn code(told: &[Value]) -> &str {
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0][0], "error");
    told[0][1]["code"].as_str().unwrap()
}

/// The code of the error among what was told, if there is one.
fn code_of(told: &[Value]) -> Option<&str> {
    told.iter().find(|event| event[0] == "error").and_then(|event| event[1]["code"].as_str())
}

fn texts(messages: &Value) -> Vec<&str> {
    messages.as_array().unwrap().iter().map(|message| message["text"].as_str().unwrap()).collect()
}

#[test]
fn two_people_talk() {
    let mut house = House::new();
    let mut ada = house.connect();
    house.send(&mut ada, &json!(["hello", { "name": " Ada " }, 1]));
    let told = house.told(&ada);
    assert_eq!(told[0][0], "welcome");
    assert_eq!(told[0][1]["you"], "Ada");
    assert_eq!(told[0][1]["online"], json!(["Ada"]));
    assert_eq!(told[0][1]["messages"], json!([]));
    assert_eq!(told[0][1]["seq"], 0);
    assert_eq!(told[1..], [json!(["ack", {}, 1])]);

    let mut bob = house.join("Bob");
    assert_eq!(house.told(&ada), [json!(["joined", { "name": "Bob" }])]);
    assert_eq!(house.welcome(&bob)["online"], json!(["Ada", "Bob"]));

    house.send(&mut bob, &json!(["say", { "text": "<b>hi</b> \n" }, "x"]));
    let heard = house.told(&ada);
    assert_eq!(heard.len(), 1);
    let message = &heard[0][1];
    assert_eq!((&message["seq"], &message["from"], &message["text"]), (&json!(1), &json!("Bob"), &json!("<b>hi</b>")));
    let told = house.told(&bob);
    assert_eq!(told[0], heard[0], "the sender gets the message too");
    assert_eq!(told[1], json!(["ack", { "seq": 1, "time": message["time"] }, "x"]));

    house.disconnect(&bob);
    assert_eq!(house.told(&ada), [json!(["left", { "name": "Bob" }])]);
}

#[test]
fn what_is_wrong_gets_an_error_and_nothing_else_happens() {
    let mut house = House::new();
    let witness = house.join("Witness");
    house.told(&witness);
    let mut stranger = house.connect();
    let long = "x".repeat(4001);
    let before_hello = [
        ("{", "bad_json"),
        ("[]", "bad_event"),
        (r#"["nope", {}]"#, "unknown_event"),
        (r#"["say", {"text": "hi"}]"#, "not_joined"),
        (r#"["hello"]"#, "bad_data"),
        (r#"["hello", {"name": 7}]"#, "bad_data"),
        (r#"["hello", {"name": ""}]"#, "bad_name"),
        (r#"["hello", {"name": "wItNeSs"}]"#, "name_taken"),
        (r#"["hello", {"name": "Witness", "token": "guessed"}]"#, "name_taken"),
    ];
    for (text, expected) in before_hello {
        house.send_text(&mut stranger, text);
        assert_eq!(code(&house.told(&stranger)), expected, "{text}");
    }
    assert_eq!(house.told(&witness), [Value::Null; 0]);

    let mut guest = house.join("Guest");
    house.told(&guest);
    house.told(&witness);
    let after_hello = [
        (json!(["hello", { "name": "Other" }]), "already_joined"),
        (json!(["say", { "text": "" }]), "empty"),
        (json!(["say", { "text": " \n\t " }]), "empty"),
        (json!(["say", { "text": long }]), "too_long"),
        (json!(["say", {}]), "bad_data"),
        (json!(["say"]), "bad_data"),
    ];
    for (event, expected) in after_hello {
        house.send(&mut guest, &event);
        assert_eq!(code(&house.told(&guest)), expected);
    }
    *house.desk.overloaded.lock().unwrap() = true;
    house.send(&mut guest, &json!(["say", { "text": "hi" }, 1]));
    assert_eq!(code(&house.told(&guest)), "overloaded");
    let late = house.join("Late");
    assert_eq!(code(&house.told(&late)), "overloaded");
    assert_eq!(house.told(&witness), [Value::Null; 0]);
    *house.desk.overloaded.lock().unwrap() = false;
    house.send(&mut guest, &json!(["say", { "text": &long[..4000] }]));
    assert_eq!(house.told(&guest)[0][1]["seq"], 1, "nothing that was refused was counted");
}

#[test]
fn an_error_names_the_event_that_it_answers() {
    let mut house = House::new();
    let mut guest = house.connect();
    house.send(&mut guest, &json!(["nope", {}, 9]));
    house.send(&mut guest, &json!(["nope", {}]));
    let told = house.told(&guest);
    assert_eq!(told[0][2], 9);
    assert_eq!(told[1].as_array().unwrap().len(), 2);
}

#[test]
fn a_beat_is_answered_by_a_beat() {
    let mut house = House::new();
    let mut guest = house.connect();
    house.send(&mut guest, &json!(["beat"]));
    assert_eq!(house.told(&guest), [json!(["beat"])]);
}

#[test]
fn a_token_takes_the_name_over_from_the_old_connection() {
    let mut house = House::new();
    let witness = house.join("Witness");
    let old = house.join("Ada");
    let welcome = house.welcome(&old);
    house.told(&witness);
    let mut new = house.connect();
    house.send(&mut new, &json!(["hello", { "name": "Ada", "token": welcome["token"] }]));
    assert_eq!(house.welcome(&new)["online"], json!(["Ada", "Witness"]));
    assert_eq!(*house.desk.closed.lock().unwrap(), [(old.connection, CloseCode::new(4000))]);
    assert_eq!(house.told(&witness), [Value::Null; 0], "for the others nothing has changed");
    // The end of the old connection is noticed late, and must not take the new one with it.
    house.disconnect(&old);
    assert_eq!(house.told(&witness), [Value::Null; 0]);
    house.send(&mut new, &json!(["say", { "text": "still here" }]));
    assert_eq!(house.told(&witness)[0][1]["from"], "Ada");
}

#[test]
fn who_returns_under_another_case_is_still_known_by_the_first() {
    let mut house = House::new();
    let witness = house.join("Witness");
    let old = house.join("Ada");
    let token = house.welcome(&old)["token"].clone();
    let mut new = house.connect();
    house.send(&mut new, &json!(["hello", { "name": "ADA", "token": token }]));
    assert_eq!(house.welcome(&new)["you"], "Ada");
    house.told(&witness);
    house.disconnect(&new);
    assert_eq!(house.told(&witness), [json!(["left", { "name": "Ada" }])]);
}

#[test]
fn what_is_said_too_fast_is_refused_until_some_time_has_passed() {
    let mut house = House::new();
    let mut guest = house.join("Guest");
    let say = r#"["say", {"text": "word"}, 1]"#;
    let mut burst = || {
        let mut said = 0;
        loop {
            house.told(&guest);
            house.send_text(&mut guest, say);
            if code_of(&house.told(&guest)) == Some("too_fast") {
                break said;
            }
            said += 1;
        }
    };
    assert_eq!(burst(), 20);
    house.pass(Duration::from_secs(2));
    assert_eq!(burst(), 10);
    house.pass(Duration::from_secs(3600));
    assert_eq!(burst(), 20);
}

#[test]
fn no_answer_is_much_longer_than_what_it_answers() {
    let mut house = House::new();
    let mut guest = house.join("Guest");
    house.told(&guest);
    let long = "\u{7f}".repeat(60_000);
    for event in [json!(["say", long, 1]), json!([long, {}]), json!(["hello", { "name": [long] }])] {
        house.send(&mut guest, &event);
        let answer = json!(house.told(&guest)).to_string();
        assert!(answer.len() < 1000, "{} bytes", answer.len());
    }
    // A control character would take six bytes of JSON each time it is told.
    house.send(&mut guest, &json!(["say", { "text": "a\u{1}b\tc\nd" }]));
    assert_eq!(house.told(&guest)[0][1]["text"], "ab\tc\nd");
}

#[test]
fn who_comes_back_gets_what_was_missed_and_is_told_what_is_lost() {
    let mut house = House::new();
    let mut speaker = house.join("Speaker");
    let epoch = house.welcome(&speaker)["epoch"].clone();
    for i in 1..=1100 {
        house.send(&mut speaker, &json!(["say", { "text": i.to_string() }]));
    }
    house.told(&speaker);
    let mut back = |since: Value| {
        let mut guest = house.connect();
        house.send(&mut guest, &json!(["hello", { "name": "Back", "since": since }]));
        let welcome = house.welcome(&guest);
        house.disconnect(&guest);
        welcome
    };
    let missed = back(json!({ "epoch": epoch, "seq": 1097 }));
    assert_eq!((texts(&missed["messages"]), &missed["gap"]), (vec!["1098", "1099", "1100"], &json!(false)));
    let nothing = back(json!({ "epoch": epoch, "seq": 1100 }));
    assert_eq!((texts(&nothing["messages"]), &nothing["gap"]), (vec![], &json!(false)));
    let all_kept = back(json!({ "epoch": epoch, "seq": 100 }));
    assert_eq!((texts(&all_kept["messages"]).len(), &all_kept["gap"]), (1000, &json!(false)));
    let lost = back(json!({ "epoch": epoch, "seq": 99 }));
    assert_eq!((texts(&lost["messages"])[0], &lost["gap"]), ("101", &json!(true)));
    for unknown in [json!({ "epoch": "another", "seq": 5 }), json!({ "epoch": epoch, "seq": 1101 })] {
        let latest = back(unknown);
        assert_eq!((texts(&latest["messages"]).len(), &latest["gap"]), (50, &json!(true)));
    }
    let new = back(Value::Null);
    assert_eq!((texts(&new["messages"])[0], &new["gap"]), ("1051", &json!(false)));
}

#[test]
fn the_log_is_bounded_in_bytes() {
    let mut house = House::new();
    let mut speaker = house.join("Speaker");
    for _ in 0..200 {
        house.send(&mut speaker, &json!(["say", { "text": "\u{1f600}".repeat(4000) }]));
    }
    let guest = house.join("Guest");
    let kept: usize = texts(&house.welcome(&guest)["messages"]).iter().map(|text| text.len()).sum();
    assert!((256 << 10..=512 << 10).contains(&kept), "{kept} bytes kept");
}

/// Any interleaving of arrivals, words, losses and returns gives each reader the log in order, without gap or double.
#[test]
fn every_reader_sees_the_log_in_order_whatever_happens() {
    for seed in 0..200_u64 {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut house = House::new();
        // Each reader: the connection while there is one, the token, the epoch, and the last number seen.
        let mut readers: Vec<(Option<Guest>, Value, Value, Option<u64>)> = (0..4).map(|_| Default::default()).collect();
        for _ in 0..120 {
            let number = below(4) as usize;
            let name = format!("Reader {number}");
            let (guest, token, epoch, last) = &mut readers[number];
            match (guest.as_mut(), below(4)) {
                (None, _) => {
                    let mut new = house.connect();
                    let since = last.map(|seq| json!({ "epoch": epoch, "seq": seq }));
                    house.send(&mut new, &json!(["hello", { "name": name, "token": token, "since": since }]));
                    *guest = Some(new);
                }
                (Some(gone), 0) => {
                    house.told(gone); // lost on the way, as far as it was not looked at yet
                    house.disconnect(gone);
                    *guest = None;
                }
                (Some(guest), _) => house.send(guest, &json!(["say", { "text": "word" }])),
            }
            for (guest, token, epoch, last) in &mut readers {
                let Some(guest) = guest else { continue };
                for event in house.told(guest) {
                    let seen: Vec<u64> = match event[0].as_str().unwrap() {
                        "welcome" => {
                            *token = event[1]["token"].clone();
                            *epoch = event[1]["epoch"].clone();
                            assert_eq!(event[1]["gap"], false, "seed {seed}");
                            if last.is_none() && event[1]["messages"] == json!([]) {
                                *last = Some(event[1]["seq"].as_u64().unwrap());
                            }
                            event[1]["messages"]
                                .as_array()
                                .unwrap()
                                .iter()
                                .map(|m| m["seq"].as_u64().unwrap())
                                .collect()
                        }
                        "message" => vec![event[1]["seq"].as_u64().unwrap()],
                        _ => vec![],
                    };
                    for seq in seen {
                        assert!(last.is_none_or(|last| seq == last + 1), "seed {seed}: {seq} after {last:?}");
                        *last = Some(seq);
                    }
                }
            }
        }
    }
}
