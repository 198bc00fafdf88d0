//! Our verdict on a stream of frames is that of another engine, which no one here wrote: the same messages, and then
//! the same end: more is awaited, the peer closed, or a violation of the same kind.
//!
//! The oracle is tokio-websockets and not tungstenite, since it is as strict as we are: it refuses lengths that are
//! not minimal and bad close codes, and judges headers and text before a frame is whole. tungstenite takes the first,
//! hands out the second as if the peer had sent 1002, and judges whole frames only, so most of what is strict here
//! would have to be excused. What is left to excuse stands in [`is_known_difference`].
//!
//! Input: role; limits: bytes in a message and in a frame; cuts; what the peer sends.
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
    // The oracle has one limit for both, and counts control frames too; and none for empty frames.
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

/// Whether verdicts that differ do so for a known reason: all that is not a bug of ours. `whole` are the verdicts on
/// the same bytes with as many zeros behind them as the last frame lacks.
fn is_known_difference(now: &Verdicts, whole: &Verdicts) -> bool {
    use Fault::{Protocol, Size, Utf8};
    let Verdicts { ours, theirs } = now;
    if ours.seen != theirs.seen {
        // A text whose last fragment is empty is not checked there for a code point that is cut off: it is handed out
        // as text that is none, and what the oracle says of later texts is not to be relied on.
        let next = theirs.seen.strip_prefix(&ours.seen[..]).and_then(<[Seen]>::first);
        let not_text =
            |next: &Seen| matches!(next, Seen::Message(MessageKind::Text, text) if str::from_utf8(text).is_err());
        return matches!(ours.violation, Some(ProtocolError::InvalidUtf8 { .. })) && next.is_some_and(not_text);
    }
    match (ours.violation, &theirs.end) {
        // A length past 2^63 is a violation of §5.2 here, and only too long there.
        (Some(ProtocolError::LengthOutOfRange), End::Violation(Size)) => true,
        // That a message gets too long is said here by the header, and there by the whole frame, whose text may have
        // been wrong before.
        (Some(ProtocolError::MessageTooLong { .. }), End::Violation(Utf8)) => true,
        // A header is judged here by each of its bytes, and there when two, four or ten of them have come; a message's
        // length as above. The payload is judged by both as it comes.
        (Some(violation), End::Waiting) => {
            shown_by_header(violation)
                && whole.theirs.end != End::Waiting
                && (whole.ours == whole.theirs || is_known_difference(whole, whole))
        }
        // A Close of one byte is refused there by its header, and here when it has come.
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

/// What both engines say of the same bytes.
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
    /// Ours alone: which rule it was.
    violation: Option<ProtocolError>,
}

impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        (&self.seen, &self.end) == (&other.seen, &other.end)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// More is awaited.
    Waiting,
    /// The peer's Close came.
    Closed,
    Violation(Fault),
}

/// What both engines tell apart.
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
    let bytes = usize::try_from(limits.max_message_bytes).expect("small");
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
            Poll::Ready(Some(Err(error))) => panic!("not about the protocol: {error}"),
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
            let (code, reason) = message.as_close().expect("it is a Close");
            (CloseCode::new(code.into()), reason.into())
        }))
    }
}

/// How many bytes the last frame lacks, where those that its header lacks are zeros; 0 where it is too long to be
/// taken anyway. Reads headers without judging them.
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

/// A peer that sends these reads, then keeps silent; what is written to it is dropped.
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
