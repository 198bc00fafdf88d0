//! A sender executes each command that the rules allow. For any other it returns the right error and writes nothing.
//! The opposite role accepts all output, and sees exactly what was sent.
//!
//! Input: role of the receiver and deflate, where bits 4 to 7 are the level; if negotiated, a byte for the bits of the
//! windows; cuts; then commands, each a byte with its arguments. Bit 7 of the byte means a fixed buffer, whose size is
//! the next byte. A payload is a byte with its length, and that many bytes; from 248 on the byte selects a length near
//! a boundary.
#![no_main]

use switchboard::{
    CloseCode, CloseFrame, Connection, Deflate, DeflateConfig, Delivery, FixedOutput, Limits, Masking, MaskingKey,
    MessageKind, Prepared, ProtocolError, Reply, Role, SendError, Sender, WindowBits,
};
use switchboard_fuzz::{Input, Recorder, Seen, with_deflate};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let level = data.first().map_or(0, |byte| byte >> 4);
    let (reader, mut deflate) = input.role_and_deflate();
    if let Some(params) = &mut deflate {
        let bits = input.byte();
        params.server_max_window_bits = WindowBits::try_from(bits & 15).ok();
        params.client_max_window_bits = WindowBits::try_from(bits >> 4).ok();
    }
    let cuts = input.cuts();
    let limits = Limits::default();
    let mut config = DeflateConfig::default();
    (config.level, config.min_bytes, config.memory_bytes) = (level, 0, 8 << 20);
    let shared = Deflate::new(config);
    let script = match reader {
        Role::Client => {
            let connection = Connection::server(limits, Delivery::Messages);
            run(with_deflate(connection, &shared, deflate).sender, deflate.is_some(), input)
        }
        Role::Server => {
            let mut key = 0x9E37_79B9_u32;
            let keys = move || {
                key = key.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
                MaskingKey(key.to_be_bytes())
            };
            let connection = Connection::client(keys, limits, Delivery::Messages);
            run(with_deflate(connection, &shared, deflate).sender, deflate.is_some(), input)
        }
    };
    for delivery in [Delivery::Messages, Delivery::Pieces] {
        let recorder = Recorder::new(reader, limits, delivery, deflate).after(&script.wire, cuts);
        assert_eq!((&recorder.seen, recorder.violation), (&script.sent, None), "{delivery:?}");
        assert_eq!(recorder.receiver.is_open(), script.open);
        assert_eq!(recorder.receiver.has_unfinished(), script.open && script.unfinished.is_some(), "{delivery:?}");
        if delivery == Delivery::Pieces {
            assert_eq!(recorder.unfinished, script.unfinished);
        }
    }
});

/// A model of the sender: what has been sent, and what the rules allow next.
struct Script {
    wire: Vec<u8>,
    sent: Vec<Seen>,
    open: bool,
    unfinished: Option<(MessageKind, Vec<u8>)>,
}

enum Command<'a> {
    Whole(MessageKind, Vec<u8>),
    Uncompressed(MessageKind, Vec<u8>),
    Prepared(MessageKind, Vec<u8>),
    Fragment(MessageKind, Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(CloseCode, String)>),
    ReplyPong(&'a [u8]),
    ReplyClose(Option<CloseCode>),
    Fail(ProtocolError),
}

fn run<M: Masking>(mut sender: Sender<M>, deflating: bool, mut input: Input<'_>) -> Script {
    let mut script = Script { wire: Vec::new(), sent: Vec::new(), open: true, unfinished: None };
    while !input.is_empty() && script.wire.len() < 1 << 16 {
        let choice = input.byte();
        let room = if choice & 0x80 != 0 { Some(usize::from(input.byte())) } else { None };
        let command = read_command(choice & 0x7F, &mut input);
        let expected = script.verdict(&command, M::ROLE);

        let mut outcome = None;
        if let Some(room) = room {
            outcome = Some(into_fixed(&mut sender, &command, room, &mut script.wire));
        }
        // If the buffer was too small, nothing has changed, and the same command succeeds now.
        if let None | Some(Err(SendError::BufferTooSmall { .. })) = outcome {
            let before = script.wire.len();
            let appended = send(&mut sender, &command, &mut script.wire);
            let written = script.wire.len() - before;
            if let (Some(room), Some(Err(SendError::BufferTooSmall { needed }))) = (room, outcome) {
                // A second compression has no context.
                assert!(needed > room && (needed == written || deflating), "{room} {needed} {written}");
            }
            assert!(appended.is_ok() || written == 0, "nothing is written on {appended:?}");
            outcome = Some(appended);
        }
        assert_eq!(outcome, Some(expected.map(|_| ())));
        if let Ok(true) = expected {
            script.record(command);
        }
        assert_eq!(sender.is_open(), script.open);
        assert_eq!(sender.close_code().is_none(), script.open);
    }
    script
}

fn into_fixed<M: Masking>(
    sender: &mut Sender<M>,
    command: &Command<'_>,
    room: usize,
    wire: &mut Vec<u8>,
) -> Result<(), SendError> {
    let mut buffer = vec![0xA5; room];
    let mut out = FixedOutput::new(&mut buffer);
    let outcome = send(sender, command, &mut out);
    let filled = out.filled().len();
    assert!(outcome.is_ok() || filled == 0, "nothing is written on {outcome:?}");
    assert!(buffer[filled..].iter().all(|&byte| byte == 0xA5), "nothing is written after the end");
    wire.extend(&buffer[..filled]);
    outcome
}

fn read_command<'a>(choice: u8, input: &mut Input<'a>) -> Command<'a> {
    let kind = if choice & 1 == 0 { MessageKind::Text } else { MessageKind::Binary };
    match choice >> 1 & 15 {
        0 => Command::Whole(kind, payload(kind, input)),
        1 => Command::Uncompressed(kind, payload(kind, input)),
        2 => Command::Prepared(kind, payload(kind, input)),
        3 | 4 => Command::Fragment(kind, payload(kind, input), false),
        5 | 6 => Command::Fragment(kind, payload(kind, input), true),
        7 => Command::Ping(input.counted().to_vec()),
        8 => Command::Pong(input.counted().to_vec()),
        9 if choice & 1 == 0 => Command::Close(None),
        9 | 10 => {
            let code = CloseCode::new(u16::from_be_bytes(input.array()));
            Command::Close(Some((code, String::from_utf8_lossy(input.counted()).into_owned())))
        }
        11 | 12 => Command::ReplyPong(input.counted()),
        13 if choice & 1 == 0 => Command::ReplyClose(None),
        13 => Command::ReplyClose(Some(CloseCode::new(u16::from_be_bytes(input.array())))),
        _ => Command::Fail(input.one_of(&[
            ProtocolError::ReservedBits { bits: 7 },
            ProtocolError::InvalidUtf8 { offset: 3 },
            ProtocolError::MessageTooLong { length: 2, limit: 1 },
            ProtocolError::TooManyEmptyFrames { limit: 0 },
            ProtocolError::InvalidCloseCode(CloseCode::new(5000)),
            ProtocolError::InvalidCloseReason,
        ])),
    }
}

fn payload(kind: MessageKind, input: &mut Input<'_>) -> Vec<u8> {
    let bytes = match input.byte() {
        length @ 0..248 => input.take(usize::from(length)).to_vec(),
        more => {
            let length = [125, 126, 127, 255, 256, 65_535, 65_536, 65_537][usize::from(more - 248)];
            let pattern = [input.byte(), 0x20];
            (0..length).map(|i| pattern[i & 1]).collect()
        }
    };
    match kind {
        MessageKind::Text => String::from_utf8_lossy(&bytes).into_owned().into_bytes(),
        MessageKind::Binary => bytes,
    }
}

fn send<M: Masking>(
    sender: &mut Sender<M>,
    command: &Command<'_>,
    out: &mut impl switchboard::Output,
) -> Result<(), SendError> {
    let text = |payload| std::str::from_utf8(payload).expect("texts are valid UTF-8");
    match command {
        Command::Whole(MessageKind::Text, payload) => sender.text(text(payload), out),
        Command::Whole(MessageKind::Binary, payload) => sender.binary(payload, out),
        Command::Uncompressed(MessageKind::Text, payload) => sender.text_uncompressed(text(payload), out),
        Command::Uncompressed(MessageKind::Binary, payload) => sender.binary_uncompressed(payload, out),
        Command::Prepared(kind, payload) => {
            let message = match kind {
                MessageKind::Text => Prepared::text(text(payload)),
                MessageKind::Binary => Prepared::binary(payload),
            };
            assert_eq!((message.kind(), message.payload()), (*kind, &payload[..]));
            assert!(message.frame().ends_with(payload));
            sender.prepared(&message, out)
        }
        Command::Fragment(MessageKind::Text, payload, fin) => sender.text_fragment(text(payload), *fin, out),
        Command::Fragment(MessageKind::Binary, payload, fin) => sender.binary_fragment(payload, *fin, out),
        Command::Ping(payload) => sender.ping(payload, out),
        Command::Pong(payload) => sender.pong(payload, out),
        Command::Close(frame) => {
            sender.close(frame.as_ref().map(|(code, reason)| CloseFrame { code: *code, reason }), out)
        }
        Command::ReplyPong(payload) => sender.reply(Reply::Pong(payload), out),
        Command::ReplyClose(code) => sender.reply(Reply::Close(*code), out),
        Command::Fail(error) => sender.fail(error, out),
    }
}

impl Script {
    /// Returns what the rules say about a command now: an error, or whether anything is sent.
    fn verdict(&self, command: &Command<'_>, role: Role) -> Result<bool, SendError> {
        let control = |payload: &[u8]| match payload.len() {
            length @ 126.. => Err(SendError::ControlTooLong { length }),
            _ if self.open => Ok(true),
            _ => Err(SendError::Closed),
        };
        match command {
            Command::Ping(payload) | Command::Pong(payload) => control(payload),
            Command::Close(Some((CloseCode::MANDATORY_EXTENSION, _))) if role == Role::Server => {
                Err(SendError::InvalidCloseCode(CloseCode::MANDATORY_EXTENSION))
            }
            Command::ReplyPong(_) | Command::ReplyClose(_) | Command::Fail(_) if !self.open => Ok(false),
            _ if !self.open => Err(SendError::Closed),
            Command::ReplyPong(payload) => control(payload),
            Command::Close(Some((code, reason))) => match reason.len() {
                _ if !sendable(*code) => Err(SendError::InvalidCloseCode(*code)),
                length @ 124.. => Err(SendError::ReasonTooLong { length }),
                _ => Ok(true),
            },
            Command::ReplyClose(Some(code)) if !sendable(*code) => Err(SendError::InvalidCloseCode(*code)),
            Command::Close(None) | Command::ReplyClose(_) | Command::Fail(_) => Ok(true),
            Command::Whole(..) | Command::Uncompressed(..) | Command::Prepared(..) => match self.unfinished {
                Some((unfinished, _)) => Err(SendError::MessageUnfinished(unfinished)),
                None => Ok(true),
            },
            Command::Fragment(kind, ..) => match self.unfinished {
                Some((unfinished, _)) if unfinished != *kind => Err(SendError::MessageUnfinished(unfinished)),
                _ => Ok(true),
            },
        }
    }

    /// Records a command that has been executed.
    fn record(&mut self, command: Command<'_>) {
        self.open = !matches!(command, Command::Close(_) | Command::ReplyClose(_) | Command::Fail(_));
        self.sent.push(match command {
            Command::Whole(kind, payload) | Command::Uncompressed(kind, payload) | Command::Prepared(kind, payload) => {
                Seen::Message(kind, payload)
            }
            Command::Fragment(kind, payload, fin) => {
                let (_, mut whole) = self.unfinished.take().unwrap_or((kind, Vec::new()));
                whole.extend(payload);
                if !fin {
                    self.unfinished = Some((kind, whole));
                    return;
                }
                Seen::Message(kind, whole)
            }
            Command::Ping(payload) => Seen::Ping(payload),
            Command::Pong(payload) => Seen::Pong(payload),
            Command::ReplyPong(payload) => Seen::Pong(payload.to_vec()),
            Command::Close(frame) => Seen::Close(frame),
            Command::ReplyClose(code) => Seen::Close(code.map(|code| (code, String::new()))),
            Command::Fail(error) => Seen::Close(Some((error.close_code(), error.reason().into()))),
        });
    }
}

/// Returns whether a Close frame may have this code: §7.4 and the registry, independent of the engine.
fn sendable(code: CloseCode) -> bool {
    matches!(
        code.get(),
        1000 | 1001 | 1002 | 1003 | 1007 | 1008 | 1009 | 1010 | 1011 | 1012 | 1013 | 1014 | 3000..=4999
    )
}
