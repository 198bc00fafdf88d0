//! permessage-deflate on the server: which messages are compressed for which client, and that every client can inflate
//! them.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use switchboard::{
    Config, Connection, Context, Deflate, DeflateConfig, DeflateParams, Delivery, Event, HeadLimits, Limits, Masked,
    MaskingKey, Message, Prepared, RequestReader, ServerHandshake, WindowBits,
};
use switchboard_tests::server::{self, LONG, OPENING, Raw, Service, TestServer, builder, serve};

/// The default config with this much memory for compression.
fn config(memory_bytes: usize) -> Config {
    let mut config = server::config();
    let mut deflate = DeflateConfig::default();
    deflate.memory_bytes = memory_bytes;
    config.deflate = Some(deflate);
    config
}

/// A raw client with permessage-deflate that reports which messages are compressed.
struct DeflateClient {
    raw: Raw,
    connection: Connection<Masked<fn() -> MaskingKey>>,
    /// The server's response to the offer.
    response: Option<String>,
    /// Received messages, and whether they were compressed.
    messages: VecDeque<(String, bool)>,
}

impl DeflateClient {
    fn connect(server: &TestServer, offer: Option<&str>) -> Self {
        let mut raw = Raw::connect(server.address);
        let offer = offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        raw.write(OPENING.replace("\r\n\r\n", &format!("\r\n{offer}\r\n")));
        let head = raw.head();
        assert_eq!(head.status, 101);
        let response = head.header("Sec-WebSocket-Extensions").map(str::to_owned);
        let key: fn() -> MaskingKey = || MaskingKey([1, 2, 3, 4]);
        let connection = Connection::client(key, Limits::default(), Delivery::Messages);
        let connection = match &response {
            Some(response) => connection.with_deflate(&deflate(), params(response)).unwrap(),
            None => connection,
        };
        Self { raw, connection, response, messages: VecDeque::new() }
    }

    fn send(&mut self, text: &str) {
        let mut out = Vec::new();
        self.connection.sender.text(text, &mut out).unwrap();
        self.raw.write(&out);
    }

    /// Returns the next message, and whether it was compressed.
    fn next(&mut self) -> (String, bool) {
        while self.messages.is_empty() {
            let frame = self.raw.frame();
            let mut bytes = server::header(frame.first, frame.payload.len() as u64);
            bytes.truncate(bytes.len() - 4);
            bytes[1] &= 0x7F; // the frame of a server is not masked
            bytes.extend(&frame.payload);
            let mut events = self.connection.receiver.receive(&mut bytes);
            while let Some(event) = events.next_event().unwrap() {
                match event {
                    Event::Text(text) => self.messages.push_back((text.to_owned(), frame.first & 0x40 != 0)),
                    other => panic!("{other:?}"),
                }
            }
        }
        self.messages.pop_front().unwrap()
    }
}

/// Parses the parameters in a server's response.
fn params(response: &str) -> DeflateParams {
    let mut params = DeflateParams::default();
    for param in response.split("; ").skip(1) {
        match param.split_once('=') {
            None if param == "server_no_context_takeover" => params.server_no_context_takeover = true,
            None if param == "client_no_context_takeover" => params.client_no_context_takeover = true,
            Some(("server_max_window_bits", bits)) => {
                params.server_max_window_bits = Some(WindowBits::try_from(bits.parse::<u8>().unwrap()).unwrap());
            }
            _ => panic!("{param}"),
        }
    }
    params
}

fn deflate() -> Deflate {
    let mut config = DeflateConfig::default();
    config.memory_bytes = 1 << 20;
    Deflate::new(config)
}

/// Returns a compressible text. Equal numbers give equal texts; neighbouring numbers give similar texts.
fn text(number: usize, length: usize) -> String {
    let words = (0..).map(|i| format!("{} words, {} more; ", number + i / 3, (number * i) % 17));
    let mut text = String::new();
    for word in words {
        text += &word;
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

/// Below the minimum length for compression, within and beyond the smallest window, beyond the largest.
const LENGTHS: [usize; 5] = [100, 300, 520, 5000, 70_000];

/// On each message: alternately publishes to all and sends to the sender.
fn publish_and_send_alternately(_: Message<'_>, context: &mut Context<'_>) {
    for round in 0..3 {
        for (number, length) in LENGTHS.into_iter().enumerate() {
            context.publish("all", Message::Text(&text(10 * round + number, length)));
            context.send(Message::Text(&text(10 * round + number + 5, length)));
        }
    }
}

const OFFERS: [Option<&str>; 5] = [
    None,
    Some("permessage-deflate"),
    Some("permessage-deflate; server_no_context_takeover"),
    Some("permessage-deflate; server_max_window_bits=9"),
    Some("permessage-deflate; server_max_window_bits=9; server_no_context_takeover"),
];

#[test]
fn all_subscribers_can_read_a_publication_compressed_once_between_messages_to_one() {
    for workers in [1, 2] {
        let mut config = config(64 << 20);
        config.workers = workers;
        config.max_queued_bytes = 64 << 20;
        let service =
            Service::echo().on_opened(|context| context.subscribe("all")).on_message(publish_and_send_alternately);
        let server = serve(config, service);
        let mut peers: Vec<DeflateClient> = OFFERS.map(|offer| DeflateClient::connect(&server, offer)).into();
        for _ in &peers {
            server.next_opened();
        }
        for sender in 0..peers.len() {
            peers[sender].send("go");
            for (receiver, peer) in peers.iter_mut().enumerate() {
                for round in 0..3 {
                    for (number, length) in LENGTHS.into_iter().enumerate() {
                        let deflates = OFFERS[receiver].is_some() && length >= 256;
                        let small_window = OFFERS[receiver].is_some_and(|offer| offer.contains("bits=9"));
                        let published =
                            (text(10 * round + number, length), deflates && !(small_window && length > 512));
                        assert_eq!(peer.next(), published, "{:?}, {length} bytes published", OFFERS[receiver]);
                        if receiver == sender {
                            let own = (text(10 * round + number + 5, length), deflates);
                            assert_eq!(peer.next(), own, "{:?}, {length} bytes sent", OFFERS[receiver]);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn uncompressed_messages_are_neither_sent_nor_published_compressed() {
    let sent = text(1, 1000);
    let service = Service::echo().on_opened(|context| context.subscribe("all")).on_message(move |_, context| {
        let message = Message::Text(&sent);
        let id = context.id();
        context.uncompressed().send(message);
        context.uncompressed().publish("all", message);
        context.uncompressed().send_to(id, message);
        context.remote().send(id, Prepared::text(&sent).uncompressed());
        context.send(message);
    });
    let server = serve(config(0), service);
    let mut peer = DeflateClient::connect(&server, Some("permessage-deflate"));
    peer.send("go");
    let mut seen: Vec<(String, bool)> = (0..5).map(|_| peer.next()).collect();
    assert_eq!(seen.iter().filter(|(_, compressed)| *compressed).count(), 1);
    seen.dedup_by_key(|(message, _)| message.clone());
    assert_eq!(seen.len(), 1);
}

/// A message sent to one connection may refer to earlier ones, whichever call sent it. A publication may not.
#[test]
fn context_takeover_covers_every_way_to_send_to_one_connection() {
    let sent: String = (0..400_u32).map(|i| char::from(b'!' + (i * i % 89) as u8)).collect();
    let service = Service::echo().on_message(move |_, context| {
        let id = context.id();
        context.send(Message::Text(&sent));
        context.send_to(id, Message::Text(&sent));
        context.remote().send(id, Message::Text(&sent));
        context.remote().answer(id, Message::Text(&sent));
    });
    let server = serve(config(64 << 20), service);
    for (offer, again) in [("permessage-deflate", true), ("permessage-deflate; server_no_context_takeover", false)] {
        let mut peer = DeflateClient::connect(&server, Some(offer));
        peer.send("go");
        let lengths = [(); 4].map(|()| peer.raw.frame().payload.len());
        assert!(lengths[0] > 60 && lengths[1..].iter().all(|&length| (length < 30) == again), "{offer}: {lengths:?}");
    }
}

#[test]
fn the_client_sends_uncompressed_messages_as_they_are() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut reader = RequestReader::new(HeadLimits::default());
        let (mut bytes, mut out) = (vec![0; 4096], Vec::new());
        let request = loop {
            let length = stream.read(&mut bytes).unwrap();
            if let Some((request, _)) = reader.receive(&bytes[..length]).unwrap() {
                break request;
            }
        };
        let handshake = ServerHandshake::from_request(&request).unwrap().with_deflate(&deflate());
        handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out).unwrap();
        stream.write_all(&out).unwrap();
        let mut wire = Vec::new();
        stream.read_to_end(&mut wire).unwrap();
        wire
    });
    let mut client = builder().connect(&url).unwrap();
    assert!(client.deflate().is_some());
    client.send_text(&text(1, 1000)).unwrap();
    client.send_text_uncompressed(&text(1, 1000)).unwrap();
    client.send_binary_uncompressed(&[0; 1000]).unwrap();
    drop(client);
    let wire = server.join().unwrap();
    let (mut rest, mut seen) = (&wire[..], Vec::new());
    while let [first, second, high, low, ..] = *rest {
        let (header, length) = match second & 0x7F {
            126 => (8, usize::from(u16::from_be_bytes([high, low]))),
            short => (6, usize::from(short)),
        };
        seen.push((first, length));
        rest = &rest[header + length..];
    }
    assert!(seen[0].0 == 0xC1 && seen[0].1 < 1000, "{seen:?}");
    assert_eq!(seen[1..3], [(0x81, 1000), (0x82, 1000)]);
}

#[test]
fn an_offer_is_accepted_unless_compression_is_off_and_context_takeover_depends_on_memory() {
    let no_takeover = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let server = serve(config(0), Service::echo());
    assert_eq!(DeflateClient::connect(&server, Some("permessage-deflate")).response.as_deref(), Some(no_takeover));
    assert_eq!(DeflateClient::connect(&server, Some("x-unknown")).response, None);

    let mut off = server::config();
    off.deflate = None;
    let server = serve(off, Service::echo());
    assert_eq!(DeflateClient::connect(&server, Some("permessage-deflate")).response, None);

    let server = serve(config(300_000), Service::echo());
    assert_eq!(
        DeflateClient::connect(&server, Some("permessage-deflate")).response.as_deref(),
        Some("permessage-deflate")
    );

    // Too little for a compressor, but enough for two inflate windows.
    let server = serve(config(70_000), Service::echo());
    let peers = [(); 3].map(|()| DeflateClient::connect(&server, Some("permessage-deflate")));
    let [first, second, third] = peers.each_ref().map(|peer| peer.response.as_deref());
    let only_client_takeover = Some("permessage-deflate; server_no_context_takeover");
    assert_eq!((first, second), (only_client_takeover, only_client_takeover));
    assert_eq!(third, Some(no_takeover), "only two windows fit");
    // A connection that ends frees its window.
    let [first, ..] = peers;
    let id = server.next_opened();
    drop(first);
    assert_eq!(server.next_closed().0, id);
    assert_eq!(DeflateClient::connect(&server, Some("permessage-deflate")).response.as_deref(), only_client_takeover);
}

#[test]
fn a_request_whose_extensions_break_the_grammar_is_refused_with_400() {
    let server = serve(config(0), Service::echo());
    let mut raw = Raw::connect(server.address);
    raw.write(OPENING.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate;;\r\n\r\n"));
    assert_eq!(raw.response().status, 400);
}

/// All bytes have been read, but inflating the message takes many turns. No readiness event announces the later turns.
#[test]
fn a_message_that_waited_for_an_inflater_is_completed_without_further_bytes() {
    let mut config = config(0);
    if let Some(deflate) = &mut config.deflate {
        deflate.max_unfinished = 0;
    }
    let service = Service::echo().on_message(|message, context| {
        context.uncompressed().send(Message::Text(&message.payload().len().to_string()));
    });
    let server = serve(config, service);
    let mut peer = DeflateClient::connect(&server, Some("permessage-deflate"));
    let mut wire = Vec::new();
    peer.connection.sender.binary(&vec![0; 12 << 20], &mut wire).unwrap();
    // Turns the frame into a first fragment; an empty last fragment follows.
    wire[0] &= 0x7F;
    peer.raw.write(&wire);
    peer.raw.send(0x80, b"");
    assert_eq!(peer.next(), ((12 << 20).to_string(), false));
}
