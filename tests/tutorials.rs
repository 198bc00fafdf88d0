//! The examples that do what tutorials for other servers build, each with real clients.

#![expect(dead_code, reason = "the tests call what `main` does in each example")]

#[path = "../examples/tutorials/broadcast_others.rs"]
mod broadcast_others;
#[path = "../examples/tutorials/controller.rs"]
mod controller;
#[path = "../examples/tutorials/echo_time.rs"]
mod echo_time;
#[path = "../examples/tutorials/event_rooms.rs"]
mod event_rooms;
#[path = "../examples/tutorials/hello_client.rs"]
mod hello_client;
#[path = "../examples/tutorials/login.rs"]
mod login;
#[path = "../examples/tutorials/numbers.rs"]
mod numbers;
#[path = "../examples/tutorials/private_message.rs"]
mod private_message;

use std::{io, time::Duration};

use switchboard::{
    Running, Server,
    client::{Client, ClientError, Message},
    events::{Parser, Router},
};
use switchboard_tests::server::{builder, config, expect_text};

fn bind() -> Server {
    Server::bind("127.0.0.1:0".parse().unwrap(), config()).unwrap()
}

/// Runs `check` with the URL of a server, which is then stopped.
fn with<T>(running: io::Result<Running<T>>, check: impl FnOnce(&str)) {
    let running = running.unwrap();
    check(&format!("ws://{}/", running.local_addr()));
    running.stopper().stop();
    running.join().unwrap();
}

fn with_router<S: Send + 'static, P: Parser>(router: Router<S, P>, check: impl FnOnce(&str)) {
    with(router.start(bind()).map(|(running, _)| running), check);
}

fn connect(url: &str) -> Client {
    builder().connect(url).unwrap()
}

#[track_caller]
fn next(client: &mut Client) -> String {
    match client.receive().unwrap() {
        Message::Text(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

#[test]
fn the_echo_has_the_time() {
    with(echo_time::start(bind()), |url| {
        let mut client = connect(url);
        client.send_text("hello you").unwrap();
        let answer = next(&mut client);
        let (time, text) = answer.split_once(' ').unwrap();
        assert!(time.parse::<u64>().unwrap() > 1_700_000_000, "{answer}");
        assert_eq!(text, "hello you");
        client.send_binary(&[1]).unwrap();
        client.send_text("again").unwrap();
        assert!(next(&mut client).ends_with(" again"));
    });
}

#[test]
fn a_broadcast_reaches_the_others_alone() {
    with(broadcast_others::start(bind()), |url| {
        let [mut first, mut second] = [(); 2].map(|()| connect(url));
        // An answer shows that both have subscribed.
        for client in [&mut first, &mut second] {
            client.ping(b"").unwrap();
            assert!(matches!(client.receive().unwrap(), Message::Pong(_)));
        }
        first.send_text("from the first").unwrap();
        expect_text(&mut second, "from the first");
        second.send_text("from the second").unwrap();
        expect_text(&mut first, "from the second");
    });
}

#[test]
fn each_text_has_its_senders_number() {
    with_router(numbers::router(), |url| {
        let [mut first, mut second] = [(); 2].map(|()| connect(url));
        let say = |sender: &mut Client, other: &mut Client, number| {
            let said = format!(r#"{{"event":"said","data":"{number}: hi"}}"#);
            sender.send_text(r#"{"event":"say","data":"hi","id":1}"#).unwrap();
            assert_eq!([next(sender), next(sender)], [&*said, r#"{"ack":1,"data":null}"#]);
            assert_eq!(next(other), said);
        };
        say(&mut first, &mut second, 1);
        say(&mut second, &mut first, 2);
        drop(first);
        assert_eq!(next(&mut second), r#"{"event":"left","data":1}"#);
    });
}

#[test]
fn a_controllers_methods_are_handlers() {
    with_router(controller::router(), |url| {
        let [mut first, mut second] = [(); 2].map(|()| connect(url));
        second.send_text(r#"["chat",1,1]"#).unwrap();
        assert!(next(&mut second).starts_with("[null,null,1,"));
        first.send_text(r#"["chat","hi"]"#).unwrap();
        assert!(next(&mut second).ends_with(r#" says hi"]"#));
    });
}

#[test]
fn events_are_acknowledged_and_reach_a_room() {
    with_router(event_rooms::router(), |url| {
        let mut clients = [(); 3].map(|()| connect(url));
        for client in &mut clients {
            assert_eq!(next(client), r#"["welcome","join a room"]"#);
        }
        for client in &mut clients[..2] {
            client.send_text(r#"["join","red",1]"#).unwrap();
            assert_eq!(next(client), "[null,true,1]");
        }
        clients[0].send_text(r#"["say",["red","hello"],2]"#).unwrap();
        assert_eq!(next(&mut clients[0]), "[null,5,2]");
        assert_eq!(next(&mut clients[1]), r#"["said","hello"]"#);
        clients[2].send_text(r#"["join","blue",3]"#).unwrap();
        assert_eq!(next(&mut clients[2]), "[null,true,3]", "nothing came before");
    });
}

#[test]
fn a_token_opens_and_idle_users_log_in_again() {
    with_router(login::router(Duration::from_secs(900)), |url| {
        for query in ["", "?token=", "?token=wrong"] {
            match builder().connect(&format!("{url}{query}")) {
                Err(ClientError::Refused { response, .. }) => assert_eq!(response.status(), 401, "{query}"),
                other => panic!("{other:?} with {query}"),
            }
        }
        let mut alice = connect(&format!("{url}?token=wonderland"));
        for (event, answer) in [
            (r#"["who am I",null,1]"#, r#"[null,"Alice",1]"#),
            (r#"["login","token=builder",2]"#, "[null,null,2]"),
            (r#"["who am I",null,3]"#, r#"[null,"Bob",3]"#),
        ] {
            alice.send_text(event).unwrap();
            expect_text(&mut alice, answer);
        }
    });
    // Whoever comes is idle at once.
    with_router(login::router(Duration::ZERO), |url| {
        let mut alice = connect(&format!("{url}?token=wonderland"));
        alice.send_text(r#"["who am I",null,1]"#).unwrap();
        expect_text(&mut alice, r#"[null,null,1,"you were idle, log in again"]"#);
        alice.send_text(r#"["login","token=wonderland",2]"#).unwrap();
        expect_text(&mut alice, "[null,null,2]");
    });
}

#[test]
fn a_private_message_goes_to_one_number() {
    with(private_message::start(bind()), |url| {
        let mut clients = [1, 2, 3].map(|number| {
            let mut client = connect(url);
            expect_text(&mut client, &format!("you are number {number}"));
            client
        });
        clients[0].send_text("3 hello there").unwrap();
        expect_text(&mut clients[2], "from 1: hello there");
        clients[1].send_text("1 hi").unwrap();
        expect_text(&mut clients[0], "from 2: hi");
        clients[1].send_text("nonsense").unwrap();
        expect_text(&mut clients[1], "write a number, a space and a text");
    });
}

#[test]
fn a_client_says_hello_and_closes() {
    with(echo_time::start(bind()), |url| {
        let answer = hello_client::greet(url);
        assert!(answer.as_deref().is_some_and(|answer| answer.ends_with(" hello")), "{answer:?}");
    });
}
