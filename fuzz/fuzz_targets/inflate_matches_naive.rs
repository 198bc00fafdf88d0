//! Compressed messages inflate as with the naive inflater, are malformed if it says so, and never exceed the limit.
//! This holds however they are cut, whether or not an inflater is free, and also when inflated step by step.
//!
//! Input: bit 0: context takeover, bit 1: no inflater is free before the end, bit 2: pieces, bit 3: step by step; limit
//! (index); cuts; then messages, each after two bytes with its length. The last one may be cut off.
#![no_main]

use switchboard::ProtocolError;
use switchboard::{Deflate, DeflateConfig, DeflateParams, Delivery, FrameHeader, Limits, MessageKind, Opcode, Role};
use switchboard_fuzz::{Input, KEY, NaiveInflater, Recorder, Seen};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let options = input.byte();
    let limit = input.one_of(&[70_000_usize, 0, 1, 100, 8191, 8192, 8193, 32_768, 300_000]);
    let cuts = input.cuts();
    let takeover = options & 1 != 0;
    let params = DeflateParams {
        client_no_context_takeover: !takeover,
        server_no_context_takeover: true,
        ..DeflateParams::default()
    };
    let mut config = DeflateConfig::default();
    (config.memory_bytes, config.max_unfinished) = (1 << 20, if options & 2 != 0 { 0 } else { 16 });
    let delivery = if options & 4 != 0 { Delivery::Pieces } else { Delivery::Messages };
    let mut limits = Limits::of_bytes(limit as u64);
    limits.max_frame_bytes = u64::MAX;
    let mut recorder = Recorder::sharing(&Deflate::new(config), Role::Server, limits, delivery, Some(params));

    let mut naive = NaiveInflater::new(limit);
    while !input.is_empty() {
        let length = u16::from_be_bytes(input.array());
        let message = input.take(usize::from(length));
        if message.len() > limit {
            return; // refused for its length on the wire
        }
        let wire = frame(message);
        for piece in cuts.of(&wire) {
            if options & 8 != 0 {
                recorder.receive_by_step(piece);
            } else {
                recorder.receive(piece);
            }
        }
        let seen = std::mem::take(&mut recorder.seen);
        match naive.message(message) {
            Ok(whole) => {
                assert_eq!((&*seen, recorder.violation), (&[Seen::Message(MessageKind::Binary, whole)][..], None));
                if !takeover {
                    naive.start_afresh();
                }
            }
            Err(true) => {
                assert_eq!(seen, []);
                assert!(
                    matches!(recorder.violation, Some(ProtocolError::MessageTooLong { .. })),
                    "{:?}",
                    recorder.violation
                );
            }
            Err(false) => assert_eq!((&*seen, recorder.violation), (&[][..], Some(ProtocolError::InvalidDeflate))),
        }
        if recorder.violation.is_some() {
            assert_eq!(recorder.receiver.buffered_bytes(), 0);
            let received = recorder.unfinished.map_or(0, |(_, payload)| payload.len());
            assert!(received <= limit, "{received} bytes were returned");
            return;
        }
    }
});

/// Returns a frame with a compressed binary message.
fn frame(message: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        rsv1: true,
        opcode: Opcode::Binary,
        mask: Some(KEY),
        payload_len: message.len() as u64,
    };
    let mut wire = header.encode().as_ref().to_vec();
    let start = wire.len();
    wire.extend_from_slice(message);
    KEY.apply(&mut wire[start..]);
    wire
}
