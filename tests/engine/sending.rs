//! The sending half (RFC 6455 §6.1): the bytes that each role writes, and the calls that are refused before a byte is
//! written.

use switchboard::{
    CloseCode, CloseFrame, Connection, Delivery, Event, FixedOutput, Limits, Masked, MaskingKey, MessageKind, Output,
    Prepared, ProtocolError, Reply, Role, SendError, Sender, Unmasked,
};
use switchboard_tests::{
    engine::{BOTH_ROLES, KEY, binary, frame, receive, receiver, text},
    hex, to_hex,
};

fn server() -> Sender<Unmasked> {
    Connection::server(Limits::default(), Delivery::Messages).sender
}

/// A client with the masking keys 00000001, 00000002, …
fn client() -> Sender<Masked<impl FnMut() -> MaskingKey>> {
    let mut count = 0_u32;
    let keys = move || {
        count += 1;
        MaskingKey(count.to_be_bytes())
    };
    Connection::client(keys, Limits::default(), Delivery::Messages).sender
}

fn close_frame(code: u16, reason: &str) -> Option<CloseFrame<'_>> {
    Some(CloseFrame { code: CloseCode::new(code), reason })
}

#[test]
fn a_server_writes_plain_frames() {
    let (mut sender, mut out) = (server(), Vec::new());
    sender.text("Hello", &mut out).unwrap();
    sender.binary(b"\xff", &mut out).unwrap();
    sender.ping(b"", &mut out).unwrap();
    sender.pong(b"!", &mut out).unwrap();
    sender.text("", &mut out).unwrap();
    sender.close(close_frame(1000, "bye"), &mut out).unwrap();
    let expected = "81 05 48656c6c6f  82 01 ff  89 00  8a 01 21  81 00  88 05 03e8 627965";
    assert_eq!(to_hex(&out), to_hex(&hex(expected)));
}

#[test]
fn a_client_masks_each_frame_with_a_key_of_its_own() {
    let (mut sender, mut out) = (client(), Vec::new());
    sender.binary(&[0; 9], &mut out).unwrap();
    sender.text("", &mut out).unwrap();
    sender.ping(&[0xFF; 2], &mut out).unwrap();
    sender.binary_fragment(&[0; 4], false, &mut out).unwrap();
    sender.binary_fragment(&[0; 4], true, &mut out).unwrap();
    sender.prepared(&Prepared::binary(&[0; 4]), &mut out).unwrap();
    sender.close(close_frame(1000, ""), &mut out).unwrap();
    let expected = "82 89 00000001 000000010000000100  81 80 00000002  89 82 00000003 ffff  \
                    02 84 00000004 00000004  80 84 00000005 00000005  82 84 00000006 00000006  88 82 00000007 03e8";
    assert_eq!(to_hex(&out), to_hex(&hex(expected)));
}

/// The bytes of `BytesMut` and `Vec` are the same, also behind others; the payload that is masked is that of the frame.
#[cfg(feature = "bytes")]
#[test]
fn a_bytes_mut_gets_the_same_frames_as_a_vec() {
    let (mut to_vec, mut to_bytes) = (client(), client());
    let (mut vec, mut bytes) = (Vec::new(), bytes::BytesMut::new());
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let payload = vec![0; length];
        to_vec.binary(&payload, &mut vec).expect("a Vec has room");
        to_bytes.binary(&payload, &mut bytes).expect("a BytesMut has room");
        assert!(bytes == vec, "{length}");
    }
}

#[test]
fn lengths_are_written_in_their_shortest_form() {
    for length in [0, 125, 126, 127, 65_535, 65_536] {
        let payload = vec![b'x'; length];
        for role in BOTH_ROLES {
            let mut out = Vec::new();
            match role {
                // A client sends what a server reads.
                Role::Server => Connection::client(|| KEY, Limits::default(), Delivery::Messages)
                    .sender
                    .binary(&payload, &mut out)
                    .unwrap(),
                Role::Client => server().binary(&payload, &mut out).unwrap(),
            }
            assert!(out == frame(role, 0x82, &payload), "{length} bytes for the {role:?}");
        }
    }
}

#[test]
fn fragments_continue_the_message_that_the_first_began() {
    let (mut sender, mut out) = (server(), Vec::new());
    sender.text_fragment("a", false, &mut out).unwrap();
    sender.text_fragment("", false, &mut out).unwrap();
    sender.ping(b"", &mut out).unwrap();
    sender.text_fragment("b", true, &mut out).unwrap();
    sender.binary_fragment(b"c", true, &mut out).unwrap();
    sender.binary_fragment(b"d", false, &mut out).unwrap();
    sender.binary_fragment(b"", true, &mut out).unwrap();
    assert_eq!(to_hex(&out), to_hex(&hex("01 01 61  00 00  89 00  80 01 62  82 01 63  02 01 64  80 00")));
}

#[test]
fn other_messages_inside_an_unfinished_one_are_refused() {
    let refused = |kind| Err(SendError::MessageUnfinished(kind));
    let (mut sender, mut out) = (server(), Vec::new());
    sender.text_fragment("a", false, &mut out).unwrap();
    let before = out.clone();
    assert_eq!(sender.text("b", &mut out), refused(MessageKind::Text));
    assert_eq!(sender.binary(b"b", &mut out), refused(MessageKind::Text));
    assert_eq!(sender.binary_fragment(b"b", true, &mut out), refused(MessageKind::Text));
    assert_eq!(sender.prepared(&Prepared::text("b"), &mut out), refused(MessageKind::Text));
    assert_eq!(out, before, "nothing was written");
    sender.text_fragment("b", true, &mut out).unwrap();

    let (mut sender, mut out) = (client(), Vec::new());
    sender.binary_fragment(b"a", false, &mut out).unwrap();
    let before = out.clone();
    assert_eq!(sender.text_fragment("b", false, &mut out), refused(MessageKind::Binary));
    assert_eq!(sender.prepared(&Prepared::binary(b"b"), &mut out), refused(MessageKind::Binary));
    assert_eq!(out, before, "nothing was written");
    sender.text("b", &mut out).unwrap_err();
    sender.binary_fragment(b"b", true, &mut out).unwrap();
    sender.text("b", &mut out).unwrap();
}

#[test]
fn only_a_client_sends_1010_except_in_a_reply() {
    let missing = CloseCode::MANDATORY_EXTENSION;
    let (mut sender, mut out) = (server(), Vec::new());
    assert_eq!(sender.close(close_frame(1010, ""), &mut out), Err(SendError::InvalidCloseCode(missing)));
    assert!(out.is_empty() && sender.is_open());
    // §5.5.1: the reply to a Close typically has its code.
    sender.reply(Reply::Close(Some(missing)), &mut out).unwrap();
    assert_eq!(out, b"\x88\x02\x03\xf2");

    let mut out = Vec::new();
    client().close(close_frame(1010, ""), &mut out).unwrap();
    assert_eq!(out.len(), 8);
}

#[test]
fn after_our_close_commands_are_refused_and_replies_write_nothing() {
    let (mut sender, mut out) = (server(), Vec::new());
    sender.text_fragment("begun", false, &mut out).unwrap();
    sender.close(None, &mut out).unwrap();
    let before = out.clone();
    let closed = Err(SendError::Closed);
    assert_eq!(sender.text("a", &mut out), closed);
    assert_eq!(sender.binary(b"a", &mut out), closed);
    assert_eq!(sender.text_fragment("a", true, &mut out), closed);
    assert_eq!(sender.binary_fragment(b"a", true, &mut out), closed);
    assert_eq!(sender.prepared(&Prepared::text("a"), &mut out), closed);
    assert_eq!(sender.ping(b"", &mut out), closed);
    assert_eq!(sender.pong(b"", &mut out), closed);
    assert_eq!(sender.close(close_frame(1000, ""), &mut out), closed);
    assert_eq!(sender.reply(Reply::Pong(b"a"), &mut out), Ok(()));
    assert_eq!(sender.reply(Reply::Close(Some(CloseCode::NORMAL_CLOSURE)), &mut out), Ok(()));
    assert_eq!(sender.reply(Reply::Close(None), &mut out), Ok(()));
    assert_eq!(sender.fail(&ProtocolError::ControlTooLong, &mut out), Ok(()));
    assert_eq!(out, before, "nothing was written");
    assert_eq!(sender.close_code(), Some(None), "the first Close counts");
}

#[test]
fn a_fixed_buffer_that_is_too_small_reports_the_size_needed_and_keeps_its_contents() {
    let mut room = [0xEE; 20];
    let mut out = FixedOutput::new(&mut room);
    let mut sender = server();
    sender.text("Hello", &mut out).unwrap();
    let small = |needed| Err(SendError::BufferTooSmall { needed });
    assert_eq!(sender.text("more than thirteen", &mut out), small(20));
    assert_eq!(sender.binary(&[0; 126], &mut out), small(130));
    assert_eq!(sender.prepared(&Prepared::binary(&[0; 12]), &mut out), small(14));
    assert_eq!(sender.ping(&[0; 12], &mut out), small(14));
    assert_eq!(sender.reply(Reply::Pong(&[0; 12]), &mut out), small(14));
    assert_eq!(sender.text_fragment("a longer one", false, &mut out), small(14));
    assert_eq!(sender.close(close_frame(1000, "a longer one"), &mut out), small(16));
    assert_eq!(sender.fail(&ProtocolError::FragmentedControl, &mut out), small(28));
    assert_eq!(to_hex(out.filled()), "81 05 48 65 6c 6c 6f");
    assert!(sender.is_open(), "the Close that did not fit is not sent");
    // No fragment was begun either, so a whole message is allowed; it fits to the last byte.
    sender.binary(&[1; 11], &mut out).unwrap();
    assert_eq!(out.filled().len(), 20);
    assert_eq!(sender.ping(b"", &mut out), small(2));
    assert_eq!(room[18..], [1, 1], "the buffer's end");
}

#[test]
fn a_fixed_buffer_is_unchanged_behind_the_bytes_written() {
    let mut room = [0xEE; 16];
    let mut out = FixedOutput::new(&mut room);
    client().ping(b"!", &mut out).unwrap();
    assert_eq!(to_hex(out.filled()), "89 81 00 00 00 01 21");
    let mut sender = client();
    assert_eq!(sender.binary(&[0; 4], &mut out), Err(SendError::BufferTooSmall { needed: 10 }));
    assert_eq!(room[7..], [0xEE; 9], "a refused call changes no byte");
}

#[test]
fn a_prepared_message_is_the_same_bytes_for_every_server_and_masked_anew_by_every_client() {
    for (prepared, first, event) in [
        (Prepared::text("Hello"), 0x81, text("Hello")),
        (Prepared::binary(b"Hello"), 0x82, binary(b"Hello")),
        (Prepared::binary(&[7; 70_000]), 0x82, binary(&[7; 70_000])),
        (Prepared::text(""), 0x81, text("")),
    ] {
        let (mut plain, mut masked) = (Vec::new(), Vec::new());
        server().prepared(&prepared, &mut plain).unwrap();
        assert!(plain == frame(Role::Client, first, prepared.payload()) && plain == prepared.frame());
        let mut sender = client();
        sender.prepared(&prepared.clone(), &mut masked).unwrap();
        sender.prepared(&prepared, &mut masked).unwrap();
        let (one, two) = masked.split_at(masked.len() / 2);
        assert!(one != two, "two keys");
        let mut receiver = receiver(Role::Server, Limits::default(), Delivery::Messages);
        assert!(receive(&mut receiver, &masked) == (vec![event.clone(), event], None));
    }
}

#[test]
fn an_echo_is_written_while_the_payload_is_still_borrowed() {
    let mut server = Connection::server(Limits::default(), Delivery::Messages);
    let mut input = frame(Role::Server, 0x81, b"echo");
    let mut out = Vec::new();
    let mut events = server.receiver.receive(&mut input);
    while let Some(event) = events.next_event().unwrap() {
        let Event::Text(text) = event else { panic!("a text") };
        server.sender.text(text, &mut out).unwrap();
    }
    assert_eq!(out, b"\x81\x04echo");
}

#[test]
fn every_reason_of_a_failure_fits_into_a_close_frame() {
    let errors = [
        ProtocolError::ReservedBits { bits: 7 },
        ProtocolError::ReservedOpcode(0xF),
        ProtocolError::FragmentedControl,
        ProtocolError::ControlTooLong,
        ProtocolError::UnexpectedContinuation,
        ProtocolError::ExpectedContinuation,
        ProtocolError::UnmaskedFrame,
        ProtocolError::MaskedFrame,
        ProtocolError::NonMinimalLength,
        ProtocolError::LengthOutOfRange,
        ProtocolError::FrameTooLong { length: u64::MAX, limit: u64::MAX },
        ProtocolError::MessageTooLong { length: u64::MAX, limit: u64::MAX },
        ProtocolError::TooManyEmptyFrames { limit: u32::MAX },
        ProtocolError::InvalidUtf8 { offset: u64::MAX },
        ProtocolError::TruncatedCloseCode,
        ProtocolError::InvalidCloseCode(CloseCode::new(0)),
        ProtocolError::InvalidCloseReason,
    ];
    for error in errors {
        let (mut sender, mut out) = (server(), Vec::new());
        sender.fail(&error, &mut out).unwrap();
        let payload = [&error.close_code().get().to_be_bytes(), error.reason().as_bytes()].concat();
        assert_eq!(out, frame(Role::Client, 0x88, &payload), "{error}");
        assert_eq!(sender.close_code(), Some(Some(error.close_code())));
    }
}

/// An output that refuses every frame.
struct Full;

impl Output for Full {
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        Err(SendError::BufferTooSmall { needed: header.len() + payload.len() })
    }
}

#[test]
fn a_call_that_could_not_write_can_be_made_again() {
    let mut sender = server();
    assert!(sender.text_fragment("a", false, &mut Full).is_err());
    assert!(sender.close(None, &mut Full).is_err());
    let mut out = Vec::new();
    sender.text_fragment("a", false, &mut out).unwrap();
    assert!(sender.text_fragment("b", true, &mut Full).is_err());
    sender.text_fragment("b", true, &mut out).unwrap();
    sender.close(None, &mut out).unwrap();
    assert_eq!(to_hex(&out), "01 01 61 80 01 62 88 00");
}
