//! The client's and the server's side of the opening handshake against each other, up to the first frames.

use switchboard::{
    ClientHandshake, ClientHandshakeError, ClientRequest, Delivery, HandshakeError, HeadLimits, Limits, Rejection,
    RequestReader, Role, ServerHandshake, State,
};
use switchboard_tests::{
    engine::{KEY, frame, receive, text},
    random::for_each_seed,
};

fn begin_handshake(request: &ClientRequest<'_>, out: &mut Vec<u8>) -> ClientHandshake {
    ClientHandshake::new(request, [7; 16], HeadLimits::default(), out).expect("a request that can be written")
}

#[test]
fn both_sides_open_a_connection_however_the_heads_are_cut() {
    for_each_seed(200, |mut random| {
        let mut request = ClientRequest::new("example.com:8080", "/chat?room=1");
        request.origin = Some("https://example.com");
        request.subprotocols = &["superchat", "chat"];
        request.headers = &[("Cookie", "id=7")];
        let mut to_server = Vec::new();
        let mut handshake = begin_handshake(&request, &mut to_server);
        let request_len = to_server.len();

        // A client must not send frames before the response, but the server must not lose bytes read behind the head.
        to_server.extend(frame(Role::Server, 0x81, b"early"));
        let mut reader = RequestReader::new(HeadLimits::default());
        let (mut at, mut head) = (0, None);
        for length in random.cuts(to_server.len()) {
            if let Some((found, used)) = reader.receive(&to_server[at..at + length]).expect("a valid head") {
                (at, head) = (at + used, Some(found));
                break;
            }
            at += length;
        }
        let head = head.expect("a whole head");
        assert_eq!((at, head.target()), (request_len, "/chat?room=1"));
        assert_eq!(head.values("cookie").collect::<Vec<_>>(), [b"id=7"]);

        let opening = ServerHandshake::from_request(&head).expect("our own request is valid");
        assert_eq!((opening.host(), opening.origin()), ("example.com:8080", Some("https://example.com")));
        assert_eq!(opening.subprotocols(), ["superchat", "chat"]);
        let mut to_client = Vec::new();
        let mut server = opening
            .accept(Some("chat"), &[("X-Served-By", "one")], Limits::default(), Delivery::Messages, &mut to_client)
            .expect("a response that can be written");
        let response_len = to_client.len();
        assert_eq!(receive(&mut server.receiver, &to_server[at..]), (vec![text("early")], None));
        server.sender.text("welcome", &mut to_client).unwrap();

        let (mut at, mut established) = (0, None);
        for length in random.cuts(to_client.len()) {
            if let Some((found, used)) = handshake.receive(&to_client[at..at + length]).expect("a valid response") {
                (at, established) = (at + used, Some(found));
                break;
            }
            at += length;
        }
        let established = established.expect("a whole response");
        assert_eq!((at, established.subprotocol()), (response_len, Some("chat")));
        let mut client = established.into_connection(|| KEY, Limits::default(), Delivery::Messages);
        assert_eq!(receive(&mut client.receiver, &to_client[at..]), (vec![text("welcome")], None));
        assert_eq!((client.state(), server.state()), (State::Open, State::Open));

        let mut out = Vec::new();
        client.sender.text("thanks", &mut out).unwrap();
        assert_eq!(receive(&mut server.receiver, &out), (vec![text("thanks")], None));
    });
}

#[test]
fn limits_and_delivery_of_the_handshake_hold_for_the_connection() {
    let mut to_server = Vec::new();
    let mut handshake = begin_handshake(&ClientRequest::new("a", "/"), &mut to_server);
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(&to_server).unwrap().expect("a head");
    let opening = ServerHandshake::from_request(&head).unwrap();
    let mut to_client = Vec::new();
    let mut server = opening.accept(None, &[], Limits::of_bytes(4), Delivery::Messages, &mut to_client).unwrap();
    let (established, _) = handshake.receive(&to_client).unwrap().expect("a response");
    let mut client = established.into_connection(|| KEY, Limits::of_bytes(3), Delivery::Messages);

    let (mut up, mut down) = (Vec::new(), Vec::new());
    client.sender.text("four", &mut up).unwrap();
    client.sender.text("five!", &mut up).unwrap();
    server.sender.text("six", &mut down).unwrap();
    server.sender.text("four", &mut down).unwrap();
    let (seen, error) = receive(&mut server.receiver, &up);
    assert_eq!((seen, error.map(|error| error.close_code().get())), (vec![text("four")], Some(1009)));
    let (seen, error) = receive(&mut client.receiver, &down);
    assert_eq!((seen, error.map(|error| error.close_code().get())), (vec![text("six")], Some(1009)));
}

#[test]
fn a_rejection_reaches_the_client_as_its_status() {
    for error in [HandshakeError::Method, HandshakeError::WebSocketVersion, HandshakeError::Origin] {
        let mut handshake = begin_handshake(&ClientRequest::new("a", "/"), &mut Vec::new());
        let mut response = Vec::new();
        Rejection::from(&error).write(&mut response).unwrap();
        match handshake.receive(&response) {
            Err(ClientHandshakeError::Status { response, .. }) => assert_eq!(response.status(), error.status()),
            other => panic!("{error:?}: {other:?}"),
        }
    }
    let mut handshake = begin_handshake(&ClientRequest::new("a", "/"), &mut Vec::new());
    let mut response = Vec::new();
    Rejection::new(307).header("Location", "/elsewhere").write(&mut response).unwrap();
    let redirect = handshake.receive(&response);
    assert!(matches!(redirect, Err(ClientHandshakeError::Redirect { location, .. }) if location == "/elsewhere"));
}

#[test]
fn the_response_to_another_clients_key_is_refused() {
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut handshake = begin_handshake(&ClientRequest::new("a", "/"), &mut one);
    ClientHandshake::new(&ClientRequest::new("a", "/"), [8; 16], HeadLimits::default(), &mut other).unwrap();
    let (head, _) = RequestReader::new(HeadLimits::default()).receive(&other).unwrap().expect("a head");
    let mut response = Vec::new();
    let opening = ServerHandshake::from_request(&head).unwrap();
    opening.accept(None, &[], Limits::default(), Delivery::Messages, &mut response).unwrap();
    assert!(matches!(handshake.receive(&response), Err(ClientHandshakeError::Accept)));
}
