//! Who gets an event: all others, a room, one connection.

use std::sync::mpsc;

use switchboard::events::{JsonArrays, Router};
use switchboard_tests::server::{LONG, config};

use super::{ask, next, serve, serve_with};

fn router() -> Router {
    Router::new(JsonArrays)
        .on("join", |socket, room: String| socket.join(&room))
        .on("leave", |socket, room: String| socket.leave(&room))
        .on("rooms", |socket, (): ()| socket.rooms().map(str::to_owned).collect::<Vec<_>>())
        .on("all", |socket, text: String| socket.broadcast("from", &text))
        .on("room", |socket, (room, text): (String, String)| socket.to(&room).emit("from", &text))
}

#[test]
fn an_event_reaches_all_others_or_a_room_on_all_workers() {
    let mut config = config();
    config.workers = 2;
    let served = serve_with(config, router());
    let mut clients: Vec<_> = (0..8).map(|_| served.client().0).collect();
    for client in &mut clients[..4] {
        assert_eq!(ask(client, r#"["join","a",1]"#), "[null,true,1]");
        assert_eq!(ask(client, r#"["join","a",2]"#), "[null,true,2]", "once more is the same");
    }
    assert_eq!(ask(&mut clients[0], r#"["leave","a",3]"#), "[null,null,3]");
    // From one that is in it, and from one that is not; then to everybody, which shows that nothing came before.
    clients[1].send_text(r#"["room",["a","one"]]"#).unwrap();
    for client in &mut clients[2..4] {
        assert_eq!(next(client), r#"["from","one"]"#);
    }
    clients[7].send_text(r#"["room",["a","two"]]"#).unwrap();
    for client in &mut clients[1..4] {
        assert_eq!(next(client), r#"["from","two"]"#);
    }
    clients[0].send_text(r#"["room",["nobody is here","three"]]"#).unwrap();
    clients[0].send_text(r#"["all","four"]"#).unwrap();
    for client in &mut clients[1..] {
        assert_eq!(next(client), r#"["from","four"]"#);
    }
    served.emitter.emit("end", "x");
    for client in &mut clients {
        assert_eq!(next(client), r#"["end","x"]"#);
    }
}

#[test]
fn other_threads_reach_rooms_and_connections() {
    let served = serve(router());
    let mut clients: Vec<_> = (0..3).map(|_| served.client()).collect();
    let emitter = served.emitter.clone();
    let ids = [0, 1, 2].map(|at| clients[at].1);
    assert_eq!(emitter.connections(), 3);
    emitter.join(ids[0], "a");
    emitter.join(ids[1], "a");
    emitter.leave(ids[1], "all");
    let (sender, rooms) = mpsc::channel();
    emitter.with(ids[1], move |socket| {
        sender.send(socket.rooms().map(str::to_owned).collect::<Vec<_>>()).unwrap();
        socket.emit("with", &1);
    });
    assert_eq!(rooms.recv_timeout(LONG).unwrap(), ["a"]);
    emitter.to("a").emit("room", &2);
    emitter.to("a").except(ids[0]).emit("except", &3);
    emitter.emit_to(ids[2], "one", &4);
    emitter.to("all").emit("all", &5);
    emitter.emit("end", &6);
    for (at, events) in [
        (0, &[r#"["room",2]"#, r#"["all",5]"#, r#"["end",6]"#][..]),
        (1, &[r#"["with",1]"#, r#"["room",2]"#, r#"["except",3]"#, r#"["end",6]"#]),
        (2, &[r#"["one",4]"#, r#"["all",5]"#, r#"["end",6]"#]),
    ] {
        for event in events {
            assert_eq!(next(&mut clients[at].0), *event, "client {at}");
        }
    }
}

#[test]
fn a_connection_is_in_a_bounded_number_of_rooms() {
    let served = serve(router());
    let mut client = served.client().0;
    // It is in one already.
    for number in 1..256 {
        assert_eq!(ask(&mut client, &format!(r#"["join","{number}",1]"#)), "[null,true,1]", "{number}");
    }
    for (event, answer) in [
        (r#"["join","one more",1]"#, "[null,false,1]"),
        (r#"["join","7",1]"#, "[null,true,1]"),
        (r#"["leave","7",1]"#, "[null,null,1]"),
        (r#"["leave","never there",1]"#, "[null,null,1]"),
        (&format!(r#"["join","{}",1]"#, "n".repeat(257)), "[null,false,1]"),
        (&format!(r#"["join","{}",1]"#, "n".repeat(256)), "[null,true,1]"),
        (r#"["join","one more",1]"#, "[null,false,1]"),
    ] {
        assert_eq!(ask(&mut client, event), answer, "{event}");
    }
    assert_eq!(ask(&mut client, r#"["rooms",null,2]"#).matches(',').count(), 257, "256 rooms in an acknowledgement");
}
