//! A client and a server against each other, with reads that end anywhere. `SEED=n` runs one seed.

use switchboard::{
    CloseCode, CloseFrame, Delivery, Limits, MaskingKey, MessageKind, Prepared, ProtocolError, Sender, State,
};
use switchboard_tests::{
    engine::{End, OwnedEvent, Pair, binary, close, ping, pong, receive, text},
    random::{Random, for_each_seed},
};

/// The kind and the payload so far of the message that one end has not finished.
#[derive(Default)]
struct Unfinished(Option<(MessageKind, Vec<u8>)>);

/// Sends a random frame or message, and adds the event that the other end must see.
fn send_anything<M: switchboard::Masking>(end: &mut End<M>, unfinished: &mut Unfinished, random: &mut Random) {
    let End { connection, out, sent_events, .. } = end;
    let sender: &mut Sender<M> = &mut connection.sender;
    if !sender.is_open() {
        return;
    }
    let length = [0, 1, 2, 125, 126, 300, 5000, 66_000][random.below(8)];
    match (random.below(10), unfinished.0.take()) {
        (0, open) => {
            let payload = random.bytes(length.min(125));
            sender.ping(&payload, out).unwrap();
            sent_events.push(ping(&payload));
            unfinished.0 = open;
        }
        (1, open) => {
            let payload = random.bytes(length.min(125));
            sender.pong(&payload, out).unwrap();
            sent_events.push(pong(&payload));
            unfinished.0 = open;
        }
        (2, _) if random.chance(1, 10) => {
            let code = 4000 + random.below(1000) as u16;
            sender.close(Some(CloseFrame { code: CloseCode::new(code), reason: "done" }), out).unwrap();
            sent_events.push(close(code, "done"));
        }
        (_, Some((kind, mut payload))) => {
            let fin = random.chance(1, 3);
            match kind {
                MessageKind::Text => {
                    let more = random.text(length / 4);
                    sender.text_fragment(&more, fin, out).unwrap();
                    payload.extend(more.bytes());
                }
                MessageKind::Binary => {
                    let more = random.bytes(length);
                    sender.binary_fragment(&more, fin, out).unwrap();
                    payload.extend(more);
                }
            }
            if fin {
                sent_events.push(match kind {
                    MessageKind::Text => OwnedEvent::Text(String::from_utf8(payload).unwrap()),
                    MessageKind::Binary => OwnedEvent::Binary(payload),
                });
            } else {
                unfinished.0 = Some((kind, payload));
            }
        }
        (3..=4, None) => {
            let payload = random.bytes(length);
            sender.binary_fragment(&payload, false, out).unwrap();
            unfinished.0 = Some((MessageKind::Binary, payload));
        }
        (5..=6, None) => {
            let payload = random.text(length / 4);
            sender.text_fragment(&payload, false, out).unwrap();
            unfinished.0 = Some((MessageKind::Text, payload.into_bytes()));
        }
        (7, None) => {
            let payload = random.text(length / 4);
            sender.prepared(&Prepared::text(&payload), out).unwrap();
            sent_events.push(text(&payload));
        }
        (8, None) => {
            let payload = random.text(length / 4);
            sender.text(&payload, out).unwrap();
            sent_events.push(text(&payload));
        }
        (_, None) => {
            let payload = random.bytes(length);
            sender.binary(&payload, out).unwrap();
            sent_events.push(binary(&payload));
        }
    }
}

#[test]
fn each_role_sees_what_the_other_sends_however_it_is_cut() {
    for_each_seed(150, |mut random| {
        let mut keys = Random::new(random.next_u64());
        let fresh_key = move || MaskingKey((keys.next_u64() as u32).to_be_bytes());
        let mut pair = Pair::new(fresh_key, Limits::default(), Delivery::Messages);
        let (mut by_client, mut by_server) = (Unfinished::default(), Unfinished::default());
        for _ in 0..random.below(60) {
            send_anything(&mut pair.client, &mut by_client, &mut random);
            send_anything(&mut pair.server, &mut by_server, &mut random);
            let (up, down) = (pair.client.out.len(), pair.server.out.len());
            pair.server_reads(random.below(up + 1));
            pair.client_reads(random.below(down + 1));
        }
        if pair.client.connection.sender.is_open() {
            pair.client.connection.sender.close(None, &mut pair.client.out).unwrap();
            pair.client.sent_events.push(OwnedEvent::Close(None));
        }
        pair.settle();
        assert_eq!(pair.server.seen, pair.client.sent_events, "the server sees what the client sent");
        assert_eq!(pair.client.seen, pair.server.sent_events, "the client sees what the server sent");
        assert_eq!(pair.client.connection.state(), State::Closed);
        assert_eq!(pair.server.connection.state(), State::Closed);
    });
}

#[test]
fn a_receiver_in_the_senders_own_role_refuses_its_frames() {
    let mut pair = Pair::new(|| MaskingKey([1, 2, 3, 4]), Limits::default(), Delivery::Messages);
    pair.client.connection.sender.text("a", &mut pair.client.out).unwrap();
    pair.server.connection.sender.text("a", &mut pair.server.out).unwrap();
    let refused = receive(&mut pair.client.connection.receiver, &pair.client.out);
    assert_eq!(refused, (vec![], Some(ProtocolError::MaskedFrame)));
    let refused = receive(&mut pair.server.connection.receiver, &pair.server.out);
    assert_eq!(refused, (vec![], Some(ProtocolError::UnmaskedFrame)));
}
