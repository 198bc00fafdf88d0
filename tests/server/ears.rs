//! What an app learns of its connections and topics, and what it does to them at once: counts, lists, Pings, draining,
//! termination.

use std::{collections::BTreeSet, convert::Infallible, sync::mpsc};

use switchboard::{
    App, CloseCode, ConnectionId, Context, End, Handshake, Message, Prepared, Remote, Running, SendError, Server,
    Verdict,
    client::{Client, ClientError, Message as Received},
};
use switchboard_tests::server::{LONG, Service, builder, config, expect_text, serve};

/// An app that answers questions about itself, and does what it is asked.
struct Ears(mpsc::Sender<Heard>);

#[derive(Debug, PartialEq)]
enum Heard {
    Opened(ConnectionId),
    Pong(Vec<u8>),
    /// How much waited before a part was sent, and how many parts are left.
    Drained {
        waiting: usize,
        left: u32,
    },
    Closed(ConnectionId, End),
}

/// The parts that remain to be sent.
type Parts = u32;

/// Larger than what the kernel takes at once.
const PART_BYTES: usize = 12 << 20;

impl Ears {
    fn send_part(&mut self, left: &mut Parts, context: &mut Context<'_>) {
        let id = context.id();
        let waiting = context.worker().waiting_bytes(id).expect("it is open");
        self.0.send(Heard::Drained { waiting, left: *left }).unwrap();
        if *left > 0 {
            *left -= 1;
            context.send(Message::Binary(&vec![0; PART_BYTES]));
            context.notify_when_drained();
            // Once more is the same.
            context.notify_when_drained();
        }
    }
}

impl App for Ears {
    type Peer = Parts;
    type Told = Infallible;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<Parts>) {
        verdict.accept(0);
    }

    fn opened(&mut self, _: &mut Parts, context: &mut Context<'_>) {
        self.0.send(Heard::Opened(context.id())).unwrap();
    }

    fn message(&mut self, parts: &mut Parts, message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        let (word, argument) = text.split_once(' ').unwrap_or((text, ""));
        let answer = match word {
            "subscribe" => {
                context.subscribe(argument);
                "subscribed".to_owned()
            }
            "connections" => listed(context.worker().connections()),
            "topics" => listed(context.worker().topics().map(|(topic, count)| format!("{topic}={count}"))),
            "subscribers" => context.worker().subscribers(argument).to_string(),
            "topics-of" => listed(context.worker().topics_of(argument.parse().unwrap())),
            "waiting" => format!("{:?}", context.worker().waiting_bytes(argument.parse().unwrap())),
            "count" => context.remote().connections().to_string(),
            "publish" => {
                let message = Prepared::text("to all");
                context.publish_prepared(argument, &message);
                context.publish_prepared_to_others(argument, &Prepared::text("to others"));
                context.send_prepared(&Prepared::text("to you"));
                "published".to_owned()
            }
            "ping" => match context.ping(argument.as_bytes()) {
                Ok(()) => "pinged".to_owned(),
                Err(SendError::ControlTooLong { length }) => format!("{length} bytes are too many"),
                Err(error) => panic!("{error}"),
            },
            "stream" => {
                *parts = argument.parse().unwrap();
                self.send_part(parts, context);
                return;
            }
            "terminate" => {
                context.send(Message::Text("this is dropped"));
                context.terminate();
                assert_eq!(context.close(CloseCode::NORMAL_CLOSURE, "so is this"), Ok(()));
                "and this".to_owned()
            }
            other => panic!("{other} is not known"),
        };
        context.send(Message::Text(&answer));
    }

    fn pong(&mut self, _: &mut Parts, payload: &[u8], _: &mut Context<'_>) {
        self.0.send(Heard::Pong(payload.to_vec())).unwrap();
    }

    fn drained(&mut self, left: &mut Parts, context: &mut Context<'_>) {
        self.send_part(left, context);
    }

    fn closed(&mut self, _: Parts, id: ConnectionId, end: &End, _: &Remote) {
        self.0.send(Heard::Closed(id, end.clone())).unwrap();
    }
}

fn listed<T: ToString>(values: impl Iterator<Item = T>) -> String {
    let values: BTreeSet<String> = values.map(|value| value.to_string()).collect();
    values.into_iter().collect::<Vec<_>>().join(" ")
}

struct Served {
    running: Running,
    heard: mpsc::Receiver<Heard>,
}

impl Served {
    fn new(workers: usize) -> Self {
        let mut config = config();
        config.workers = workers;
        let (sender, heard) = mpsc::channel();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        Self { running: server.start(move |_| Ears(sender.clone())).unwrap(), heard }
    }

    fn client(&self) -> (Client, ConnectionId) {
        let client = builder().connect(&format!("ws://{}/", self.running.local_addr())).unwrap();
        match self.heard.recv_timeout(LONG).unwrap() {
            Heard::Opened(id) => (client, id),
            other => panic!("{other:?} instead of a new connection"),
        }
    }

    fn stop(self) {
        self.running.stopper().stop();
        self.running.join().unwrap();
    }
}

#[track_caller]
fn ask(client: &mut Client, question: &str) -> String {
    client.send_text(question).unwrap();
    match client.receive().unwrap() {
        Received::Text(text) => text,
        other => panic!("{other:?} instead of an answer to {question}"),
    }
}

#[test]
fn a_worker_knows_its_connections_and_their_topics() {
    let served = Served::new(1);
    let (mut first, first_id) = served.client();
    let (mut second, second_id) = served.client();
    for topic in ["a", "b"] {
        assert_eq!(ask(&mut first, &format!("subscribe {topic}")), "subscribed");
    }
    assert_eq!(ask(&mut second, "subscribe b"), "subscribed");
    let both = listed([first_id, second_id].into_iter());
    for (question, answer) in [
        ("connections", &*both),
        ("topics", "a=1 b=2"),
        ("subscribers b", "2"),
        ("subscribers c", "0"),
        (&format!("topics-of {first_id}"), "a b"),
        (&format!("topics-of {second_id}"), "b"),
        ("topics-of 0.99.0", ""),
        ("topics-of 1.0.0", ""),
        (&format!("waiting {second_id}"), "Some(0)"),
        ("waiting 0.99.0", "None"),
        (&format!("waiting 1{}", &second_id.to_string()[1..]), "None"),
        ("count", "2"),
    ] {
        assert_eq!(ask(&mut first, question), answer, "{question}");
    }
    second.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    assert!(
        matches!(served.heard.recv_timeout(LONG).unwrap(), Heard::Closed(id, End::Closed { .. }) if id == second_id)
    );
    for (question, answer) in [
        ("connections", &*first_id.to_string()),
        ("topics", "a=1 b=1"),
        (&format!("topics-of {second_id}"), ""),
        (&format!("waiting {second_id}"), "None"),
        ("count", "1"),
    ] {
        assert_eq!(ask(&mut first, question), answer, "{question}");
    }
    drop(first);
    served.stop();
}

#[test]
fn the_connections_of_all_workers_are_counted() {
    let served = Served::new(2);
    let remote = served.running.remote().clone();
    assert_eq!(remote.connections(), 0);
    let mut clients: Vec<_> = (0..16).map(|_| served.client()).collect();
    let workers: BTreeSet<_> =
        clients.iter().map(|(_, id)| id.to_string().split('.').next().unwrap().to_owned()).collect();
    assert_eq!(workers.len(), 2, "both workers have connections");
    assert_eq!(remote.connections(), 16);
    drop(clients.split_off(5));
    for _ in 5..16 {
        assert!(matches!(served.heard.recv_timeout(LONG).unwrap(), Heard::Closed(..)));
    }
    assert_eq!(remote.connections(), 5);
    served.stop();
    assert_eq!(remote.connections(), 0);
}

#[test]
fn a_prepared_message_is_published_on_all_workers() {
    let served = Served::new(2);
    let mut clients: Vec<_> = (0..8).map(|_| served.client().0).collect();
    for client in &mut clients {
        assert_eq!(ask(client, "subscribe news"), "subscribed");
    }
    clients[0].send_text("publish news").unwrap();
    for text in ["to all", "to you", "published"] {
        expect_text(&mut clients[0], text);
    }
    for client in &mut clients[1..] {
        for text in ["to all", "to others"] {
            expect_text(client, text);
        }
    }
    served.stop();
}

#[test]
fn an_app_pings_and_is_told_of_each_pong() {
    let served = Served::new(1);
    let (mut client, _) = served.client();
    let longest = "x".repeat(125);
    for payload in ["", "1234", &longest] {
        client.send_text(&format!("ping {payload}")).unwrap();
        assert_eq!(client.receive().unwrap(), Received::Ping(payload.as_bytes().to_vec()));
        expect_text(&mut client, "pinged");
        assert_eq!(served.heard.recv_timeout(LONG).unwrap(), Heard::Pong(payload.as_bytes().to_vec()));
    }
    assert_eq!(ask(&mut client, &format!("ping {longest}x")), "126 bytes are too many");
    drop(client);
    served.stop();
}

#[test]
fn an_app_that_streams_keeps_no_more_than_a_part() {
    const PARTS: u32 = 6;
    let served = Served::new(1);
    let (mut client, id) = served.client();
    client.send_text(&format!("stream {PARTS}")).unwrap();
    for left in (0..=PARTS).rev() {
        assert_eq!(served.heard.recv_timeout(LONG).unwrap(), Heard::Drained { waiting: 0, left });
        if left > 0 {
            assert_eq!(client.receive().unwrap(), Received::Binary(vec![0; PART_BYTES]), "{left} are left");
        }
    }
    // An end between two parts.
    client.send_text(&format!("stream {PARTS}")).unwrap();
    assert_eq!(served.heard.recv_timeout(LONG).unwrap(), Heard::Drained { waiting: 0, left: PARTS });
    drop(client);
    let end =
        std::iter::from_fn(|| served.heard.recv_timeout(LONG).ok()).find(|heard| matches!(heard, Heard::Closed(..)));
    assert!(matches!(&end, Some(Heard::Closed(closed, _)) if *closed == id), "{end:?}");
    served.stop();
}

#[test]
fn a_terminated_connection_gets_nothing_more() {
    let served = Served::new(1);
    let (mut client, id) = served.client();
    client.send_text("terminate").unwrap();
    // It is not answered.
    client.send_text("connections").unwrap();
    assert_eq!(served.heard.recv_timeout(LONG).unwrap(), Heard::Closed(id, End::Terminated));
    assert_eq!(End::Terminated.code(), CloseCode::ABNORMAL_CLOSURE);
    match client.receive() {
        Err(ClientError::Disconnected) => {}
        other => panic!("{other:?} instead of the end of TCP"),
    }
    let (mut other, _) = served.client();
    assert_eq!(ask(&mut other, "count"), "1");
    drop(other);
    served.stop();
}

#[test]
fn an_app_learns_the_address_of_its_peer_at_any_time() {
    let service = Service::echo().on_message(|message, context| {
        let Message::Text(id) = message else { return };
        let of_other = context.worker().peer_addr(id.parse().unwrap());
        context.send(Message::Text(&format!("{:?} {of_other:?}", context.peer_addr())));
    });
    let server = serve(config(), service);
    let ((mut first, first_id), (second, second_id)) = (server.raw(), server.raw());
    let (own, other) = (first.stream.local_addr().unwrap(), second.stream.local_addr().unwrap());
    for (id, expected) in [
        (first_id.to_string(), format!("Some({own}) Some({own})")),
        (second_id.to_string(), format!("Some({own}) Some({other})")),
        ("0.99.0".into(), format!("Some({own}) None")),
        (format!("1{}", &first_id.to_string()[1..]), format!("Some({own}) None")),
    ] {
        first.text(&id);
        first.expect_frame(0x81, expected);
    }
}
