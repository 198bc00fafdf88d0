//! Our verdict on a stream of frames is that of tokio-websockets, an independent engine: the same messages, and then
//! the same end. The end is that more bytes are needed, that the peer has closed, or a violation of the same kind.
//!
//! The oracle is tokio-websockets and not tungstenite, because it is as strict as we are: it refuses lengths that are
//! not minimal and bad close codes, and checks headers and text before a frame is whole. tungstenite accepts the first,
//! reports the second as if the peer had sent 1002, and checks whole frames only, so most of our checks would be
//! differences. The remaining differences are listed in [`is_known_difference`].
//!
//! Input: role; limits: bytes in a message and in a frame; cuts; the bytes from the peer.
#![no_main]

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_core::Stream as _;
use switchboard::{CloseCode, Delivery, Limits, MessageKind, ProtocolError, Role};
use switchboard_fuzz::{Cuts, Input, Recorder, Seen};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets::{ClientBuilder, Error, Message, proto::ProtocolError as TheirViolation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let role = input.role();
    // The oracle has one limit for messages and frames, which includes control frames, and no limit for empty frames.
    let mut limits = Limits::of_bytes(input.one_of(&[1 << 20, 150, 300]));
    limits.max_empty_frames = u32::MAX;
    let cuts = input.cuts();
    let wire = input.rest();

    let now = Verdicts::on(role, limits, wire, cuts);
    if now.ours != now.theirs {
        let whole = [wire, &vec![0; missing_bytes(wire, limits)]].concat();
        let whole = Verdicts::on(role, limits, &whole, cuts);
        assert!(is_known_difference(&now, &whole), "{now:#?}\nand when the last frame is whole, {whole:#?}");
    }
});

/// Returns whether the verdicts differ for a known reason, which is not a bug of ours. `whole` are the verdicts on the
/// same bytes, followed by as many zeros as the last frame lacks.
fn is_known_difference(now: &Verdicts, whole: &Verdicts) -> bool {
    use Fault::{Protocol, Size, Utf8};
    let Verdicts { ours, theirs } = now;
    if ours.seen != theirs.seen {
        // The oracle does not check a text whose last fragment is empty for a cut code point: it returns text that is
        // not UTF-8. Its verdicts on later texts are then unreliable.
        let next = theirs.seen.strip_prefix(&ours.seen[..]).and_then(<[Seen]>::first);
        let not_text =
            |next: &Seen| matches!(next, Seen::Message(MessageKind::Text, text) if str::from_utf8(text).is_err());
        return matches!(ours.violation, Some(ProtocolError::InvalidUtf8 { .. })) && next.is_some_and(not_text);
    }
    match (ours.violation, &theirs.end) {
        // A length of 2^63 or more is a violation of §5.2 for us, and only too long for the oracle.
        (Some(ProtocolError::LengthOutOfRange), End::Violation(Size)) => true,
        // We report a message that is too long at the header; the oracle at the whole frame, whose text may have been
        // invalid before.
        (Some(ProtocolError::MessageTooLong { .. }), End::Violation(Utf8)) => true,
        // We check a header at each of its bytes; the oracle after two, four or ten of them, and the length of a
        // message as above. Both check the payload as it arrives.
        (Some(violation), End::Waiting) => {
            shown_by_header(violation)
                && whole.theirs.end != End::Waiting
                && (whole.ours == whole.theirs || is_known_difference(whole, whole))
        }
        // The oracle refuses a Close of one byte at its header; we refuse it when the byte arrives.
        (None, End::Violation(Protocol)) => {
            ours.end == End::Waiting && whole.ours.violation == Some(ProtocolError::TruncatedCloseCode)
        }
        _ => false,
    }
}

fn shown_by_header(violation: ProtocolError) -> bool {
    use ProtocolError::{InvalidCloseCode, InvalidCloseReason, InvalidUtf8, TruncatedCloseCode};
    !matches!(violation, InvalidUtf8 { .. } | InvalidCloseCode(_) | InvalidCloseReason | TruncatedCloseCode)
}

/// The verdicts of both engines on the same bytes.
#[derive(Debug)]
struct Verdicts {
    ours: Verdict,
    theirs: Verdict,
}

impl Verdicts {
    fn on(role: Role, limits: Limits, wire: &[u8], cuts: Cuts<'_>) -> Self {
        Self { ours: our_verdict(role, limits, wire, cuts), theirs: their_verdict(role, limits, wire, cuts) }
    }
}

#[derive(Debug)]
struct Verdict {
    seen: Vec<Seen>,
    end: End,
    /// Which rule was broken; ours only.
    violation: Option<ProtocolError>,
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        (&self.seen, &self.end) == (&other.seen, &other.end)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// More bytes are needed.
    Waiting,
    /// The peer's Close has arrived.
    Closed,
    Violation(Fault),
}

/// The kinds of violation that both engines distinguish.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Protocol,
    Utf8,
    Size,
}

fn our_verdict(role: Role, limits: Limits, wire: &[u8], cuts: Cuts<'_>) -> Verdict {
    let Recorder { receiver, seen, violation, .. } =
        Recorder::new(role, limits, Delivery::Messages, None).after(wire, cuts);
    let end = match violation.map(|violation| violation.close_code()) {
        None if receiver.is_open() => End::Waiting,
        None => End::Closed,
        Some(CloseCode::PROTOCOL_ERROR) => End::Violation(Fault::Protocol),
        Some(CloseCode::INVALID_FRAME_PAYLOAD_DATA) => End::Violation(Fault::Utf8),
        Some(CloseCode::MESSAGE_TOO_BIG) => End::Violation(Fault::Size),
        Some(other) => panic!("a violation without a class: {other}"),
    };
    Verdict { seen, end, violation }
}

fn their_verdict(role: Role, limits: Limits, wire: &[u8], cuts: Cuts<'_>) -> Verdict {
    let bytes = usize::try_from(limits.max_message_bytes).expect("the limit is small");
    let limits = tokio_websockets::Limits::default().max_payload_len(Some(bytes));
    let wire = Wire { reads: cuts.of(wire).filter(|piece| !piece.is_empty()).collect() };
    let mut stream = pin!(match role {
        Role::Server => tokio_websockets::ServerBuilder::new().limits(limits).serve(wire),
        Role::Client => ClientBuilder::new().limits(limits).take_over(wire),
    });
    let mut context = Context::from_waker(Waker::noop());
    let mut seen = Vec::new();
    let end = loop {
        match stream.as_mut().poll_next(&mut context) {
            Poll::Pending => break End::Waiting,
            Poll::Ready(None) => break End::Closed,
            Poll::Ready(Some(Ok(message))) => seen.push(record(&message)),
            Poll::Ready(Some(Err(Error::Protocol(TheirViolation::InvalidUtf8)))) => break End::Violation(Fault::Utf8),
            Poll::Ready(Some(Err(Error::Protocol(_)))) => break End::Violation(Fault::Protocol),
            Poll::Ready(Some(Err(Error::PayloadTooLong { .. }))) => break End::Violation(Fault::Size),
            Poll::Ready(Some(Err(error))) => panic!("an error other than of the protocol: {error}"),
        }
    };
    Verdict { seen, end, violation: None }
}

fn record(message: &Message) -> Seen {
    let payload = message.as_payload().to_vec();
    if message.is_text() {
        Seen::Message(MessageKind::Text, payload)
    } else if message.is_binary() {
        Seen::Message(MessageKind::Binary, payload)
    } else if message.is_ping() {
        Seen::Ping(payload)
    } else if message.is_pong() {
        Seen::Pong(payload)
    } else {
        Seen::Close((!payload.is_empty()).then(|| {
            let (code, reason) = message.as_close().expect("the message is a Close");
            (CloseCode::new(code.into()), reason.into())
        }))
    }
}

/// Returns how many bytes the last frame lacks, if the missing bytes of its header are zeros. If the frame is too long,
/// returns what its header lacks. Headers are not checked.
fn missing_bytes(wire: &[u8], limits: Limits) -> usize {
    let mut rest = wire;
    while !rest.is_empty() {
        let at = |i: usize| rest.get(i).copied().unwrap_or(0);
        let number = |bytes: usize| (2..2 + bytes).fold(0, |value, i| value << 8 | u64::from(at(i)));
        let (extended, length): (usize, u64) = match at(1) & 0x7F {
            126 => (2, number(2)),
            127 => (8, number(8)),
            short => (0, u64::from(short)),
        };
        let header = 2 + extended + if at(1) & 0x80 != 0 { 4 } else { 0 };
        if length > limits.max_message_bytes {
            return header.saturating_sub(rest.len());
        }
        let frame = header + length as usize;
        match rest.get(frame..) {
            Some(after) => rest = after,
            None => return frame - rest.len(),
        }
    }
    0
}

/// A peer that sends these reads, then nothing more. It drops all bytes that are written to it.
struct Wire<'a> {
    reads: VecDeque<&'a [u8]>,
}

impl AsyncRead for Wire<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(read) = self.reads.pop_front() else { return Poll::Pending };
        let (now, later) = read.split_at(read.len().min(buffer.remaining()));
        buffer.put_slice(now);
        if !later.is_empty() {
            self.reads.push_front(later);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
