//! Publishing, sending to other connections, and the order in which a connection gets the messages.

use std::{
    collections::BTreeSet,
    iter,
    sync::{Arc, Mutex},
    thread,
};

use switchboard::{
    CloseCode, ConnectionId, Message, OwnedCloseFrame,
    client::{Client, Message as Received},
};
use switchboard_tests::server::{Service, TestServer, config, expect_text, round_trip, serve};

/// An app whose messages are commands: `+topic` subscribes, `-topic` unsubscribes, `topic!text` publishes to all and
/// `topic?text` to all others. It echoes other messages.
fn topic_commands() -> Service {
    Service::echo().on_message(|message, context| {
        let Message::Text(text) = message else { return context.send(message) };
        if let Some(topic) = text.strip_prefix('+') {
            context.subscribe(topic);
        } else if let Some(topic) = text.strip_prefix('-') {
            context.unsubscribe(topic);
        } else if let Some((topic, text)) = text.split_once('!') {
            context.publish(topic, Message::Text(text));
        } else if let Some((topic, text)) = text.split_once('?').filter(|(topic, _)| !topic.is_empty()) {
            context.publish_to_others(topic, Message::Text(text));
        } else {
            context.send(message);
        }
    })
}

#[test]
fn all_subscribers_get_a_publication_and_others_do_not() {
    let server = serve(config(), topic_commands());
    let mut clients = [(); 3].map(|()| server.client());
    for client in &mut clients {
        client.send_text("+news").unwrap();
        client.send_text("+news").unwrap(); // a second subscription changes nothing
        round_trip(client);
    }
    let mut stranger = server.client();
    stranger.send_text("+other").unwrap();
    stranger.send_text("news!from outside").unwrap();
    clients[0].send_text("news!to all").unwrap();
    expect_text(&mut clients[0], "from outside");
    expect_text(&mut clients[0], "to all");
    clients[0].send_text("news?to others").unwrap();
    round_trip(&mut clients[0]);
    for client in &mut clients[1..] {
        for text in ["from outside", "to all", "to others"] {
            expect_text(client, text);
        }
        round_trip(client);
    }
    round_trip(&mut stranger);
}

#[test]
fn after_unsubscribing_a_connection_gets_earlier_publications_and_no_later_ones() {
    let service = topic_commands().on_message(|_, context| {
        context.subscribe("a");
        context.subscribe("b");
        context.publish("a", Message::Text("a1"));
        context.unsubscribe("a");
        context.unsubscribe("never subscribed");
        context.publish("a", Message::Text("a2"));
        context.publish("b", Message::Text("b1"));
        context.subscribe("a");
        context.publish("a", Message::Text("a3"));
        context.unsubscribe("b");
        context.publish("b", Message::Text("b2"));
        context.send(Message::Text("end"));
    });
    let server = serve(config(), service);
    let mut client = server.client();
    client.send_text("go").unwrap();
    for text in ["a1", "b1", "a3", "end"] {
        expect_text(&mut client, text);
    }
}

#[test]
fn the_last_of_many_subscribers_can_leave_in_any_order() {
    let server = serve(config(), topic_commands());
    let mut clients: Vec<_> = (0..5).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        for topic in ["x", "y"] {
            client.send_text(&format!("+{topic}")).unwrap();
        }
        client.send_text(&format!("+own{number}")).unwrap();
        round_trip(client);
    }
    // The first client leaves one topic; the second leaves both by closing.
    clients[0].send_text("-x").unwrap();
    round_trip(&mut clients[0]);
    clients.remove(1).close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    for text in ["x!one", "y!two", "own0!three", "own4!four"] {
        let publisher = &mut clients[2];
        publisher.send_text(text).unwrap();
        round_trip_after_publications(publisher);
    }
    let expected: [&[&str]; 4] = [&["two", "three"], &["one", "two"], &[], &["one", "two", "four"]];
    for (client, expected) in clients.iter_mut().zip(expected) {
        if !expected.is_empty() {
            for text in expected {
                expect_text(client, text);
            }
            round_trip(client);
        }
    }
}

/// As [`round_trip`], but skips publications that arrive before the echo.
fn round_trip_after_publications(client: &mut Client) {
    client.send_text("?").unwrap();
    while client.receive().unwrap() != Received::Text("?".into()) {}
}

/// Short messages, and messages longer than a cork or a read buffer, so that the log of a turn is written early.
const LENGTHS: [usize; 4] = [1, 1000, 70_000, 300_000];

#[test]
fn sent_and_published_messages_arrive_in_the_order_of_the_calls_over_two_topics() {
    let mut config = config();
    config.max_queued_bytes = 64 << 20;
    let service = Service::echo()
        .on_opened(|context| {
            context.subscribe("a");
            context.subscribe("b");
        })
        .on_message(|_, context| {
            for number in 0..60 {
                let text = numbered(number);
                let text = Message::Text(&text);
                match number % 5 {
                    0 => context.send(text),
                    1 | 4 => context.publish("a", text),
                    2 => context.publish_to_others("a", text),
                    _ => context.publish("b", text),
                }
            }
            context.publish("b", Message::Text("end"));
        });
    for workers in [1, 2] {
        let mut config = config.clone();
        config.workers = workers;
        let server = serve(config, service.clone());
        let mut listeners: Vec<_> = (0..6).map(|_| server.client()).collect();
        // All have subscribed in `opened` before the first publication.
        for _ in &listeners {
            server.next_opened();
        }
        let mut publisher = server.client();
        publisher.send_text("go").unwrap();
        let own: Vec<u32> = (0..60).filter(|number| number % 5 != 2).collect();
        assert_eq!(numbers_until_end(&mut publisher), own, "the publisher, {workers} workers");
        let published: Vec<u32> = (0..60).filter(|number| number % 5 != 0).collect();
        for listener in &mut listeners {
            assert_eq!(numbers_until_end(listener), published, "a listener, {workers} workers");
        }
    }
}

fn numbered(number: u32) -> String {
    let length = LENGTHS[number as usize % 7 % LENGTHS.len()];
    format!("{number} {}", "x".repeat(length))
}

fn numbers_until_end(client: &mut Client) -> Vec<u32> {
    let mut numbers = Vec::new();
    loop {
        match client.receive().unwrap() {
            Received::Text(text) if text == "end" => return numbers,
            Received::Text(text) => {
                let number = text.split(' ').next().unwrap().parse().unwrap();
                assert!(text == numbered(number), "message {number} is not as it was sent");
                numbers.push(number);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn connections_on_all_workers_get_a_publication() {
    let mut config = config();
    config.workers = 2;
    let server = serve(config, topic_commands());
    let mut clients: Vec<_> = (0..32).map(|_| server.client_with_id()).collect();
    for (client, _) in &mut clients {
        client.send_text("+all").unwrap();
        round_trip(client);
    }
    let workers: BTreeSet<String> =
        clients.iter().map(|(_, id)| id.to_string().split('.').next().unwrap().into()).collect();
    assert_eq!(workers.len(), 2, "the kernel gave all 32 connections to one worker");
    let mut late = server.client();
    late.send_text("all!from a client").unwrap();
    for (client, _) in &mut clients {
        expect_text(client, "from a client");
    }
    server.remote.publish("all", Message::Binary(b"from outside"));
    for (client, _) in &mut clients {
        assert_eq!(client.receive().unwrap(), Received::Binary(b"from outside".to_vec()));
    }
    clients[7].0.send_text("all?from one to the others").unwrap();
    for (number, (client, _)) in clients.iter_mut().enumerate() {
        if number == 7 {
            round_trip(client);
        } else {
            expect_text(client, "from one to the others");
        }
    }
}

#[test]
fn one_connection_reaches_another_by_its_id_on_any_worker() {
    for workers in [1, 2] {
        let ids = Arc::new(Mutex::new(Vec::<ConnectionId>::new()));
        let (opened, receivers) = (Arc::clone(&ids), Arc::clone(&ids));
        let service = Service::echo().on_opened(move |context| opened.lock().unwrap().push(context.id())).on_message(
            move |message, context| {
                for &other in receivers.lock().unwrap().iter() {
                    context.send_to(other, message);
                }
            },
        );
        let mut config = config();
        config.workers = workers;
        let server = serve(config, service);
        let mut clients: Vec<_> = (0..8).map(|_| server.client_with_id()).collect();
        clients[3].0.send_text("from one to each").unwrap();
        for (client, id) in &mut clients {
            expect_text(client, "from one to each");
            server.remote.send(*id, Message::Text("from outside to one"));
            expect_text(client, "from outside to one");
        }
    }
}

#[test]
fn published_and_sent_messages_arrive_in_the_order_of_the_calls_on_any_worker() {
    let ids = Arc::new(Mutex::new(Vec::<ConnectionId>::new()));
    let (opened, receivers) = (Arc::clone(&ids), Arc::clone(&ids));
    let service = Service::echo()
        .on_opened(move |context| {
            context.subscribe("t");
            opened.lock().unwrap().push(context.id());
        })
        .on_message(move |_, context| {
            for &other in receivers.lock().unwrap().iter() {
                context.publish("t", Message::Text(&format!("1 {other}")));
                context.send_to(other, Message::Text(&format!("2 {other}")));
                context.publish("t", Message::Text(&format!("3 {other}")));
                context.remote().send(other, Message::Text(&format!("4 {other}")));
            }
        });
    let mut config = config();
    config.workers = 2;
    let server = serve(config, service);
    let mut clients: Vec<_> = Vec::new();
    // Connects until there is a connection on each worker.
    while clients.iter().map(|(_, id)| worker(*id)).collect::<BTreeSet<_>>().len() < 2 {
        assert!(clients.len() < 32, "the kernel gave all 32 connections to one worker");
        clients.push(server.client_with_id());
    }
    clients[0].0.send_text("go").unwrap();
    for (client, id) in &mut clients {
        let own: Vec<_> = iter::repeat_with(|| client.receive().unwrap())
            .filter_map(|message| match message {
                Received::Text(text) => text.strip_suffix(&format!(" {id}")).map(str::to_owned),
                other => panic!("{other:?}"),
            })
            .take(4)
            .collect();
        assert_eq!(own, ["1", "2", "3", "4"], "{id}");
    }
}

/// The number of the connection's worker.
fn worker(id: ConnectionId) -> String {
    id.to_string().split('.').next().unwrap().into()
}

#[test]
fn commands_from_another_thread_are_executed_in_order() {
    let server = serve(config(), topic_commands());
    let (mut client, id) = server.client_with_id();
    let remote = server.remote.clone();
    let other_thread = thread::spawn(move || {
        remote.publish("room", Message::Text("before the subscription"));
        remote.subscribe(id, "room");
        remote.publish("room", Message::Text("1"));
        remote.send(id, Message::Text("2"));
        remote.publish("room", Message::Text("3"));
        remote.close(id, CloseCode::new(4001), "go");
        remote.send(id, Message::Text("after the Close"));
    });
    for text in ["1", "2", "3"] {
        expect_text(&mut client, text);
    }
    assert_eq!(client.receive().unwrap(), Received::Close(Some(OwnedCloseFrame::new(CloseCode::new(4001), "go"))));
    other_thread.join().unwrap();
}

#[test]
fn a_batch_is_executed_in_order_once_it_is_posted() {
    let mut config = config();
    config.workers = 2;
    let server = serve(config, topic_commands());
    let mut batch = server.remote.batch();
    batch.post(); // nothing
    let mut clients: Vec<_> = (0..8).map(|_| server.client_with_id()).collect();
    batch.publish("room", Message::Text("before the subscription"));
    for (_, id) in &clients {
        batch.subscribe(*id, "room");
    }
    batch.publish("room", Message::Text("2"));
    for (client, id) in &mut clients {
        server.remote.send(*id, Message::Text("1"));
        expect_text(client, "1");
        batch.answer(*id, Message::Text("3"));
        batch.unsubscribe(*id, "room");
        batch.publish_to_others(*id, "room", Message::Text("of each who is still subscribed"));
        batch.close(*id, CloseCode::new(4001), "go");
        batch.send(*id, Message::Text("after the Close"));
    }
    batch.post();
    batch.post(); // nothing
    for (at, (client, _)) in clients.iter_mut().enumerate() {
        expect_text(client, "2");
        for _ in 0..at {
            expect_text(client, "of each who is still subscribed");
        }
        expect_text(client, "3");
        assert_eq!(client.receive().unwrap(), Received::Close(Some(OwnedCloseFrame::new(CloseCode::new(4001), "go"))));
    }
}

#[test]
fn a_close_from_another_thread_that_cannot_be_written_becomes_1011() {
    let server = serve(config(), topic_commands());
    for (code, reason) in [(CloseCode::NO_STATUS_RECEIVED, String::new()), (CloseCode::NORMAL_CLOSURE, "x".repeat(124))]
    {
        let (mut client, id) = server.client_with_id();
        server.remote.close(id, code, &reason);
        assert_eq!(
            client.receive().unwrap(),
            Received::Close(Some(OwnedCloseFrame::new(CloseCode::INTERNAL_ERROR, "")))
        );
    }
}

#[test]
fn an_id_is_never_reused_and_a_late_send_reaches_no_other_connection() {
    let server = serve(config(), topic_commands());
    let mut ids: Vec<ConnectionId> = Vec::new();
    for _ in 0..50 {
        let (mut client, id) = server.client_with_id();
        use_all_ids(&server, &ids);
        server.remote.send(id, Message::Text("hello"));
        expect_text(&mut client, "hello");
        client.send_text("?").unwrap();
        expect_text(&mut client, "?");
        client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
        assert_eq!(server.next_closed().0, id);
        ids.push(id);
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

/// Makes every call of a remote with the IDs of closed connections.
fn use_all_ids(server: &TestServer, ids: &[ConnectionId]) {
    for &id in ids {
        server.remote.send(id, Message::Text("late"));
        server.remote.subscribe(id, "late");
        server.remote.resume(id);
        server.remote.close(id, CloseCode::GOING_AWAY, "late");
    }
    server.remote.publish("late", Message::Text("late"));
}

#[test]
fn a_paused_connection_is_not_read_and_loses_nothing() {
    let service = Service::echo().on_message(|message, context| {
        if message == Message::Text("pause") {
            context.pause();
        }
        context.send(message);
    });
    let server = serve(config(), service);
    let mut other = server.client();
    server.next_opened();
    let (mut client, id) = server.client_with_id();
    for _ in 0..3 {
        // Some of the rest is in the same read as the pause, some arrives later.
        client.send_text("pause").unwrap();
        let rest: Vec<String> = (0..2000).map(|number| format!("message {number}")).collect();
        for text in &rest {
            client.send_text(text).unwrap();
        }
        expect_text(&mut client, "pause");
        for _ in 0..10 {
            round_trip(&mut other);
        }
        // No message after the pause may be echoed before the marker.
        server.remote.send(id, Message::Text("marker"));
        let mut echoed = 0;
        while client.receive().unwrap() != Received::Text("marker".into()) {
            echoed += 1;
        }
        assert_eq!(echoed, 0, "messages were handled while the connection was paused");
        server.remote.resume(id);
        for text in &rest {
            expect_text(&mut client, text);
        }
    }
}
