//! What hostile peers, and handlers that fail, do to a server of events: it is bounded, it is told, and others go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::Duration,
};

use switchboard::{
    App, CloseCode, Config, OriginPolicy, TaskPool,
    events::{Ack, Emitter, JsonArrays, Router},
    testing::{TestClient, TestServer},
};

use crate::SECOND;

fn router() -> Router {
    Router::new(JsonArrays).origins(OriginPolicy::Any).on("add", |_, (a, b): (i32, i32)| a + b)
}

/// Checks that a client is answered.
#[track_caller]
fn expect_served(client: &mut TestClient) {
    client.text(r#"["add",[2,3],1]"#);
    client.expect_text("[null,5,1]");
    client.expect_nothing();
}

/// Encodes a client's text frame of at most 65,535 bytes, with a masking key of zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(length @ ..126) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(text.len()).expect("a short text").to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

const FLOOD: usize = 10_000;

#[test]
fn a_flood_of_events_is_answered_only_as_fast_as_its_sender_reads() {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&handled);
    let router = router().fallback(move |socket, name, _| {
        counted.fetch_add(1, Relaxed);
        socket.emit("unknown", name);
    });
    let (server, _) = router.start_test(Config::default().max_queued_bytes(64 << 10));
    let (mut flooder, mut other) = (server.connect("/"), server.connect("/"));
    flooder.stop_reading();
    let name = "x".repeat(200);
    flooder.write(&frame(&format!(r#"["{name}",0]"#)).repeat(FLOOD));
    // Enough to fill the two buffers of the network, of 64 KiB each, the queue, and one turn of 1,024 events.
    let fits = 3 * (64 << 10) / name.len() + 1024;
    let first = handled.load(Relaxed);
    assert!((500..=fits).contains(&first), "{first} of {FLOOD} events were handled, {fits} fit");
    server.advance(10 * SECOND);
    assert_eq!(handled.load(Relaxed), first);
    expect_served(&mut other);
    flooder.read_on();
    assert_eq!(handled.load(Relaxed), FLOOD);
    let answer = format!(r#"["unknown","{name}"]"#);
    for _ in 0..FLOOD {
        flooder.expect_text(&answer);
    }
    expect_served(&mut flooder);
}

#[test]
fn events_that_nobody_handles_and_data_of_another_form_are_told_and_cost_nothing_else() {
    let error = |event: &str, message: &str| format!(r#"["error",{{"event":{event},"message":"{message}"}}]"#);
    let rows = [
        (r#"["nothing",0]"#, error(r#""nothing""#, "unknown event")),
        (r#"["nothing",0,7]"#, r#"[null,null,7,"unknown event"]"#.to_owned()),
        (r#"["",0]"#, error(r#""""#, "unknown event")),
        (r#"["nothing",0,18446744073709551615]"#, r#"[null,null,18446744073709551615,"unknown event"]"#.to_owned()),
    ];
    let (server, _) = router().start_test(Config::default());
    let mut client = server.connect("/");
    for (event, expected) in rows {
        for _ in 0..100 {
            client.text(event);
            client.expect_text(&expected);
        }
        client.expect_nothing();
    }
    // Events without a name that could be repeated, or with a number that is none.
    for event in [
        "",
        "[]",
        "[0]",
        "{}",
        "null",
        r#"["add"#,
        r#"["add",[2,3],-1]"#,
        r#"["add",[2,3],1.5]"#,
        r#"["add",[2,3],"1"]"#,
        r#"["add",[2,3],18446744073709551616]"#,
        r#"["add",[2,3],1,2]"#,
    ] {
        client.text(event);
        let answer = client.expect_any_text();
        assert!(answer.starts_with(r#"["error",{"event":null,"message":""#), "{event}: {answer}");
        client.expect_nothing();
    }
    let deep = format!(r#"["add",{}{}]"#, "[".repeat(10_000), "]".repeat(10_000));
    client.text(&deep);
    assert!(client.expect_any_text().starts_with(r#"["error","#));
    expect_served(&mut client);
}

#[test]
fn acknowledgements_that_nobody_waits_for_are_ignored() {
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&answers);
    let router = router().on("ask me", move |socket, (): ()| {
        let counted = Arc::clone(&counted);
        let asked = socket.emit_with_ack("well?", &(), SECOND, move |_, _: Result<u8, _>| {
            counted.fetch_add(1, Relaxed);
        });
        asked.is_ok()
    });
    let (server, _) = router.start_test(Config::default());
    let mut client = server.connect("/");
    client.text(r#"["ask me",null]"#);
    client.expect_text(r#"["well?",null,1]"#);
    client.write(&[frame("[null,1,1]").repeat(FLOOD), frame("[null,1,2]").repeat(FLOOD)].concat());
    client.expect_nothing();
    assert_eq!(answers.load(Relaxed), 1);
    expect_served(&mut client);
    // Eight wait at most, and each is given up in its time.
    for number in 0..20 {
        client.text(r#"["ask me",null,0]"#);
        if number < 8 {
            client.expect_text(&format!(r#"["well?",null,{}]"#, number + 2));
        }
        client.expect_text(&format!("[null,{},0]", number < 8));
    }
    server.advance(2 * SECOND);
    assert_eq!(answers.load(Relaxed), 9);
    client.text(r#"["ask me",null,0]"#);
    client.expect_text(r#"["well?",null,10]"#);
    client.expect_text("[null,true,0]");
}

#[test]
fn ten_thousand_rooms_are_a_bounded_number_for_each_peer() {
    let router = router()
        .on("join", |socket, room: String| socket.join(&room))
        .on("leave", |socket, room: String| socket.leave(&room));
    let (server, emitter) = router.start_test(Config::default());
    let mut clients: Vec<_> = (0..40).map(|_| server.connect("/")).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        for room in 0..250 {
            client.text(&format!(r#"["join","{number}/{room}",0]"#));
            client.expect_text("[null,true,0]");
        }
    }
    let mut greedy = server.connect("/");
    for room in 0..FLOOD {
        greedy.text(&format!(r#"["join","{room}",0]"#));
        greedy.expect_text(&format!("[null,{},0]", room < 256));
    }
    greedy.text(r#"["leave","0"]"#);
    greedy.text(&format!(r#"["join","{}",0]"#, "x".repeat(257)));
    greedy.expect_text("[null,false,0]");
    greedy.text(&format!(r#"["join","{}",0]"#, "x".repeat(256)));
    greedy.expect_text("[null,true,0]");
    emitter.to("39/249").emit("hello", &1);
    emitter.to("256").emit("hello", &1);
    for (number, client) in clients.iter_mut().enumerate() {
        if number == 39 {
            client.expect_text(r#"["hello",1]"#);
        }
        client.expect_nothing();
    }
    greedy.expect_nothing();
}

#[test]
fn timers_without_end_are_bounded_in_number_and_rate() {
    let ticks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ticks);
    let router = router()
        .on("remind", |socket, name: u32| socket.set_timer(name, Duration::ZERO).is_ok())
        .on("wake", |socket, name: u32| socket.set_timer(name, 3600 * SECOND).is_ok())
        .on("ask me", |socket, (): ()| socket.emit_with_ack("well?", &(), SECOND, |_, _: Result<u8, _>| {}).is_ok())
        .on_timer(move |socket, name| {
            counted.fetch_add(1, Relaxed);
            let _ = socket.set_timer(name, Duration::ZERO); // again, without end
        });
    let (server, _) = router.start_test(Config::default());
    let (mut busy, mut other) = (server.connect("/"), server.connect("/"));
    busy.text(r#"["remind",1]"#);
    busy.expect_nothing();
    server.advance(SECOND);
    let in_a_second = ticks.load(Relaxed);
    assert!((10..=101).contains(&in_a_second), "{in_a_second} calls in a second");
    expect_served(&mut other);
    // One that has been answered leaves no timer behind.
    other.text(r#"["ask me",null]"#);
    other.expect_text(r#"["well?",null,1]"#);
    other.text("[null,1,1]");
    for name in 0..FLOOD {
        other.text(&format!(r#"["wake",{name},0]"#));
        other.expect_text(&format!("[null,{},0]", name < 16));
    }
    other.text(r#"["wake",15,0]"#); // to set it again is no further timer
    other.expect_text("[null,true,0]");
    other.text(r#"["wake",4294967295,0]"#);
    other.expect_text("[null,false,0]");
}

#[test]
fn a_task_pool_that_is_full_is_told_and_slows_nobody() {
    let pool = TaskPool::start(1, 2).unwrap();
    let (begin, begun) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Arc::new(std::sync::Mutex::new(released));
    let router = router().on_with_ack("slow", move |_, number: u32, ack: Ack<JsonArrays>| {
        let (begin, released) = (begin.clone(), Arc::clone(&released));
        let work = move |ack: Ack<JsonArrays>| {
            begin.send(()).unwrap();
            released.lock().unwrap().recv_timeout(60 * SECOND).unwrap();
            ack.send(&number);
        };
        if let Err(ack) = pool.run_with(ack, work) {
            ack.fail("busy");
        }
    });
    let (server, _) = router.start_test(Config::default());
    let (mut client, mut other) = (server.connect("/"), server.connect("/"));
    client.text(r#"["slow",0,0]"#);
    begun.recv_timeout(60 * SECOND).expect("the thread has the first task");
    for number in 1..FLOOD {
        client.text(&format!(r#"["slow",{number},{number}]"#));
        if number > 2 {
            client.expect_text(&format!(r#"[null,null,{number},"busy"]"#));
        }
    }
    client.expect_nothing();
    expect_served(&mut other);
    for number in 0..3 {
        release.send(()).unwrap();
        if number < 2 {
            begun.recv_timeout(60 * SECOND).expect("the next task begins once the last has answered");
            client.expect_text(&format!("[null,{number},{number}]"));
        }
    }
}

/// Starts a server whose handlers panic when they are asked to.
fn panicking() -> (TestServer<impl App>, Emitter<(), JsonArrays>) {
    let router = router()
        .on_connect(|socket| assert!(socket.set_timer(1, SECOND).is_ok()))
        .on_timer(|_, name| assert_ne!(name, 2, "as you like"))
        .on("panic", |_, asked: Option<()>| assert!(asked.is_some(), "as you like"))
        .on("panic later", |socket, (): ()| socket.set_timer(2, SECOND).is_ok())
        .on("panic when answered", |socket, (): ()| {
            socket.emit_with_ack("well?", &(), SECOND, |_, _: Result<u8, _>| panic!("as you like")).is_ok()
        })
        .before(|_, event| if event == "panic before" { panic!("as you like") } else { Ok(()) })
        .fallback(|_, name, _| panic!("as {name} likes"))
        .on_disconnect(|(), _, end, _| assert_ne!(end.code(), CloseCode::GOING_AWAY, "as you like"));
    router.start_test(Config::default())
}

#[test]
fn a_handler_that_panics_costs_its_connection_and_no_other() {
    let rows: [(&str, fn(&mut TestClient)); 6] = [
        ("a handler", |client| client.text(r#"["panic",null]"#)),
        ("a check", |client| client.text(r#"["panic before",null]"#)),
        ("the fallback", |client| client.text(r#"["anything",null]"#)),
        ("a timer", |client| client.text(r#"["panic later",null]"#)),
        ("an acknowledgement", |client| {
            client.text(r#"["panic when answered",null]"#);
            client.expect_text(r#"["well?",null,1]"#);
            client.text("[null,1,1]");
        }),
        ("an acknowledgement that is late", |client| {
            client.text(r#"["panic when answered",null]"#);
            client.expect_text(r#"["well?",null,1]"#);
        }),
    ];
    let (server, emitter) = panicking();
    let mut other = server.connect("/");
    for (name, act) in rows {
        let mut client = server.connect("/");
        expect_served(&mut client);
        act(&mut client);
        server.advance(2 * SECOND);
        assert_eq!(client.expect_close(CloseCode::INTERNAL_ERROR), "", "{name}");
        client.expect_nothing();
        assert_eq!(emitter.connections(), 1, "{name}");
        expect_served(&mut other);
    }
    let mut client = server.connect("/");
    client.close(CloseCode::GOING_AWAY, ""); // the handler of disconnections panics
    client.expect_close(CloseCode::GOING_AWAY);
    server.advance(2 * SECOND);
    assert_eq!(emitter.connections(), 1);
    expect_served(&mut other);
}
