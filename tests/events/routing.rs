//! From events to handlers: checks before them, unknown events, wrong data, panics, parsers.

use std::{
    borrow::Cow,
    sync::{Mutex, mpsc},
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchboard::{
    CloseCode, End, OriginPolicy, Prepared, Rejection, Response,
    client::{ClientError, Message},
    events::{FromPeer, JsonArrays, JsonObjects, Malformed, Parser, Router, Socket, ToPeer},
};
use switchboard_tests::server::{LONG, Raw, builder};

use super::{ask, next, serve};

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Point {
    x: i32,
    y: i32,
}

fn geometry<P: Parser>(parser: P) -> Router<(), P> {
    Router::new(parser)
        .on("mirror", |_, Point { x, y }| Point { x: y, y: x })
        .on("say", |socket, text: String| socket.emit("said", &text))
        .on("nothing", |_, (): ()| ())
}

#[test]
fn each_event_reaches_its_handler_and_errors_are_told() {
    let arrays = serve(geometry(JsonArrays));
    let objects = serve(geometry(JsonObjects));
    let (mut arrays, mut objects) = (arrays.client().0, objects.client().0);
    for (event, answer) in [
        (r#"["say","hi"]"#, r#"["said","hi"]"#),
        (r#"["mirror",{"x":1,"y":2},5]"#, r#"[null,{"x":2,"y":1},5]"#),
        (r#"["nothing",null,6]"#, r"[null,null,6]"),
        (r#"["nothing"]"#, ""),
        (r#"["mirror",{"x":1,"y":2}]"#, ""),
        (r#"["Say","hi"]"#, r#"["error",{"event":"Say","message":"unknown event"}]"#),
        (r#"["shout","hi",7]"#, r#"[null,null,7,"unknown event"]"#),
        (r#"["mirror",{"x":1},8]"#, r#"[null,null,8,"missing field `y` at line 1 column 7"]"#),
        (
            r#"["say",1]"#,
            r#"["error",{"event":"say","message":"invalid type: integer `1`, expected a string at line 1 column 1"}]"#,
        ),
        ("x", r#"["error",{"event":null,"message":"expected value at line 1 column 1"}]"#),
        ("[null,1,99]", ""),
    ] {
        if answer.is_empty() {
            // Nothing comes of it: the next event's answer is the next message.
            arrays.send_text(event).unwrap();
            assert_eq!(ask(&mut arrays, r#"["nothing",null,0]"#), "[null,null,0]", "{event}");
        } else {
            assert_eq!(ask(&mut arrays, event), answer, "{event}");
        }
    }
    for (event, answer) in [
        (r#"{"event":"say","data":"hi"}"#, r#"{"event":"said","data":"hi"}"#),
        (r#"{"event":"mirror","data":{"x":1,"y":2},"id":5}"#, r#"{"ack":5,"data":{"x":2,"y":1}}"#),
        (r#"{"event":"shout","id":7}"#, r#"{"ack":7,"error":"unknown event"}"#),
        ("{}", r#"{"event":"error","data":{"event":null,"message":"neither an event nor an acknowledgement"}}"#),
    ] {
        assert_eq!(ask(&mut objects, event), answer, "{event}");
    }
    arrays.send_binary(br#"["say","hi"]"#).unwrap();
    assert!(next(&mut arrays).contains("binary"));
    // An error does not repeat all that the peer has sent.
    for text in ["x".repeat(50_000), "\u{200b}".repeat(20_000)] {
        let answer = ask(&mut arrays, &format!(r#"["mirror","{text}",9]"#));
        assert!(answer.starts_with("[null,null,9,") && answer.len() < 1000, "{} bytes", answer.len());
    }
}

fn unreachable<T>(_: T) -> T {
    panic!("the handler is called")
}

#[test]
fn a_check_before_the_handlers_can_refuse_an_event() {
    // The state is the user's name, once logged in.
    let router = Router::with_state(JsonArrays, |_| Ok(None::<String>))
        .before(|socket, event| match (event, socket.state()) {
            ("login", _) | (_, Some(_)) => Ok(()),
            (_, None) => Err("log in first".to_owned()),
        })
        .before(|_, event| if event == "forbidden" { Err("never".to_owned()) } else { Ok(()) })
        .on("login", |socket, name: String| *socket.state() = Some(name))
        .on("who", |socket, (): ()| socket.state().clone())
        .on("forbidden", |_, (): ()| unreachable(()));
    let served = serve(router);
    let mut client = served.client().0;
    for (event, answer) in [
        (r#"["who",null,1]"#, r#"[null,null,1,"log in first"]"#),
        (r#"["who"]"#, r#"["error",{"event":"who","message":"log in first"}]"#),
        (r#"["nonsense",null,2]"#, r#"[null,null,2,"log in first"]"#),
        (r#"["login","ann",3]"#, "[null,null,3]"),
        (r#"["who",null,4]"#, r#"[null,"ann",4]"#),
        (r#"["forbidden",null,5]"#, r#"[null,null,5,"never"]"#),
    ] {
        assert_eq!(ask(&mut client, event), answer, "{event}");
    }
}

#[test]
fn a_fallback_gets_what_has_no_handler() {
    let router = geometry(JsonArrays).fallback(|socket, name, ack| match ack.is_wanted() {
        true => ack.send(name),
        false => socket.emit("unknown", name),
    });
    let served = serve(router);
    let mut client = served.client().0;
    assert_eq!(ask(&mut client, r#"["a",1]"#), r#"["unknown","a"]"#);
    assert_eq!(ask(&mut client, r#"["b",1,2]"#), r#"[null,"b",2]"#);
    assert_eq!(ask(&mut client, r#"["say","hi"]"#), r#"["said","hi"]"#);
}

#[test]
fn a_handler_that_panics_costs_its_connection_alone() {
    let (sender, ends) = mpsc::channel();
    let sender = Mutex::new(sender);
    let router = geometry(JsonArrays)
        .on("panic", |_, (): ()| {
            if true {
                panic!("on purpose");
            }
        })
        .on_timer(|_, name| panic!("timer {name}, on purpose"))
        .on("time bomb", |socket, (): ()| socket.set_timer(1, Duration::ZERO).unwrap())
        .on_disconnect(move |(), id, end, _| {
            sender.lock().unwrap().send((id, end.clone())).unwrap();
            panic!("again, on purpose");
        });
    let served = serve(router);
    let mut other = served.client().0;
    for event in [r#"["panic",null,1]"#, r#"["time bomb"]"#] {
        let (mut client, id) = served.client();
        client.send_text(event).unwrap();
        match client.receive().unwrap() {
            Message::Close(Some(frame)) => assert_eq!(frame.code, CloseCode::INTERNAL_ERROR, "{event}"),
            other => panic!("{other:?} instead of a Close after {event}"),
        }
        let (closed, end) = ends.recv_timeout(LONG).unwrap();
        assert_eq!((closed, end), (id, End::Closed { by_us: true, code: Some(CloseCode::INTERNAL_ERROR) }), "{event}");
        assert_eq!(ask(&mut other, r#"["say","still here"]"#), r#"["said","still here"]"#);
    }
}

#[test]
fn handshakes_and_plain_requests_are_decided() {
    let router = Router::with_state(JsonArrays, |handshake| match handshake.request.target() {
        "/?token=right" => Ok("ann"),
        "/panic" => panic!("on purpose"),
        _ => Err(Rejection::new(401)),
    })
    .origins(OriginPolicy::Only(vec!["https://app.example".to_owned()]))
    .on("who", |socket, (): ()| *socket.state())
    .on_request(|request, responder| match request.head.target() {
        "/page" => responder.send(Response::text(200, "a page")),
        _ => panic!("on purpose"),
    });
    let served = serve(router);
    let connect = |target: &str, origin: Option<&str>| {
        let builder = builder();
        let builder = match origin {
            Some(origin) => builder.origin(origin),
            None => builder,
        };
        builder.connect(&format!("{}{}", served.url, &target[1..]))
    };
    for (target, origin, status) in
        [("/", None, 401), ("/panic", None, 500), ("/?token=right", Some("https://evil.example"), 403)]
    {
        match connect(target, origin) {
            Err(ClientError::Refused { response, .. }) => assert_eq!(response.status(), status, "{target}"),
            other => panic!("{other:?} for {target}"),
        }
    }
    let mut client = connect("/?token=right", Some("https://app.example")).unwrap();
    assert_eq!(ask(&mut client, r#"["who",null,1]"#), r#"[null,"ann",1]"#);
    let address = served.url["ws://".len()..served.url.len() - 1].parse().unwrap();
    for (target, status) in [("/page", 200), ("/panic", 500), ("/page", 200)] {
        let mut raw = Raw::connect(address);
        raw.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(raw.response().status, status, "{target}");
    }
}

/// A form of its own, as a game might have it: `name argument`, without acknowledgements, in capital letters; a name
/// alone takes the next message as its argument.
struct Words;

impl Parser for Words {
    /// The name whose argument follows.
    type State = Option<String>;
    type Data<'m> = &'m str;

    fn parse<'m>(
        &self,
        message: switchboard::Message<'m>,
        pending: &mut Option<String>,
    ) -> Result<Option<FromPeer<'m, &'m str>>, Malformed> {
        let switchboard::Message::Text(text) = message else { return Err(Malformed::new("bytes")) };
        if let Some(name) = pending.take() {
            return Ok(Some(FromPeer::Event { name: Cow::Owned(name), data: text, id: None }));
        }
        match text.split_once(' ') {
            Some((name, data)) => Ok(Some(FromPeer::Event { name: Cow::Borrowed(name), data, id: None })),
            None => {
                *pending = Some(text.to_owned());
                Ok(None)
            }
        }
    }

    fn decode<D: DeserializeOwned>(&self, data: &&str) -> Result<D, Malformed> {
        let text = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(data);
        D::deserialize(text).map_err(|error| Malformed::new(error.to_string()))
    }

    fn encode<D: Serialize + ?Sized>(
        &self,
        event: ToPeer<'_, D>,
        send: &mut dyn FnMut(Prepared),
    ) -> Result<(), Malformed> {
        let ToPeer::Event { name, data, .. } = event else { return Err(Malformed::new("no acknowledgements")) };
        let data = serde_json::to_string(data).map_err(|error| Malformed::new(error.to_string()))?;
        send(Prepared::text(&name.to_uppercase()));
        send(Prepared::text(&data));
        Ok(())
    }
}

#[test]
fn a_parser_of_ones_own_may_keep_state_and_take_several_messages() {
    fn say(socket: &mut Socket<'_, (), Words>, text: String) {
        socket.emit("said", &text);
    }
    let served = serve(Router::new(Words).on("say", say));
    let (mut first, mut second) = (served.client().0, served.client().0);
    first.send_text("say").unwrap();
    assert_eq!([ask(&mut second, "say a b"), next(&mut second)], ["SAID", "\"a b\""]);
    assert_eq!([ask(&mut first, "say this"), next(&mut first)], ["SAID", "\"say this\""]);
    assert_eq!([ask(&mut first, "fly away"), next(&mut first)][0], "ERROR");
}
