//! A text message is accepted if and only if the standard library accepts it. Otherwise it fails at the first invalid
//! byte.
//!
//! Input: role; bit 0: pieces, bit 1: Pings between the fragments; cuts into fragments; cuts into reads; the text.
#![no_main]

use switchboard::{Delivery, Limits, MessageKind, Opcode, ProtocolError};
use switchboard_fuzz::{Input, Recorder, Seen, append_frame, utf8_by_std};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let role = input.role();
    let options = input.byte();
    let delivery = if options & 1 == 0 { Delivery::Messages } else { Delivery::Pieces };
    let (fragments, reads) = (input.cuts(), input.cuts());
    let text = input.rest();

    let mut wire = Vec::new();
    // The offset in `wire` of each byte of the text.
    let mut places = Vec::new();
    let mut pieces: Vec<&[u8]> = fragments.of(text).collect();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    let last = pieces.len() - 1;
    for (i, piece) in pieces.iter().enumerate() {
        if options & 2 != 0 && i > 0 {
            append_frame(&mut wire, role, true, Opcode::Ping, b"\xff");
        }
        let opcode = if i == 0 { Opcode::Text } else { Opcode::Continuation };
        let start = append_frame(&mut wire, role, i == last, opcode, piece);
        places.extend(start..wire.len());
    }
    places.push(wire.len() - 1); // a cut code point fails at the end

    let expected = utf8_by_std(text);
    let mut recorder = Recorder::new(role, Limits::default(), delivery, None);
    let mut read = 0;
    for piece in reads.of(&wire) {
        recorder.receive(piece);
        read += piece.len();
        let shown = matches!(expected, Err(offset) if places[offset] < read);
        assert_eq!(recorder.violation.is_some(), shown, "after {read} bytes of {wire:02x?}");
        if let Some((_, prefix)) = &recorder.unfinished {
            assert!(utf8_by_std(prefix).err().is_none_or(|offset| offset == prefix.len()), "{prefix:02x?}");
        }
    }
    let messages: Vec<&Seen> = recorder.seen.iter().filter(|seen| !matches!(seen, Seen::Ping(_))).collect();
    match expected {
        Ok(()) => {
            assert_eq!(messages, [&Seen::Message(MessageKind::Text, text.to_vec())]);
            let pings = if options & 2 != 0 { last } else { 0 };
            assert_eq!(recorder.seen.len(), 1 + pings);
        }
        Err(offset) => {
            assert_eq!(recorder.violation, Some(ProtocolError::InvalidUtf8 { offset: offset as u64 }));
            assert!(messages.is_empty());
        }
    }
});
