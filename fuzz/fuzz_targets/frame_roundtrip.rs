//! A decoded header encodes to the same bytes. Every prefix of a header is incomplete, and every longer input decodes
//! to the same. An invalid header fails in every prefix that shows the error, with the same error.
//!
//! Input: role; bit 0: RSV1 has a meaning, bit 1: a message is unfinished; limits; 8 bytes: the length of the
//! unfinished message so far; the header.
#![no_main]

use switchboard::{FrameHeader, HeaderRules, ProtocolError, Role};
use switchboard_fuzz::{Input, same_violation};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let role = input.role();
    let options = input.byte();
    let limits = input.limits();
    let so_far = u64::from_be_bytes(input.array()) % limits.max_message_bytes.saturating_add(1).max(1);
    let rules = HeaderRules {
        role,
        rsv1: options & 1 != 0,
        unfinished: (options & 2 != 0).then_some(so_far),
        max_frame_bytes: limits.max_frame_bytes,
        max_message_bytes: limits.max_message_bytes,
    };
    let bytes = input.rest();

    match FrameHeader::decode(bytes, &rules) {
        Ok(Some((header, length))) => {
            check_rules(&header, &rules);
            assert_eq!(*header.encode().as_ref(), bytes[..length], "only the shortest form is accepted");
            assert_eq!(FrameHeader::decode(header.encode().as_ref(), &rules), Ok(Some((header, length))));
            for end in 0..length {
                assert_eq!(FrameHeader::decode(&bytes[..end], &rules), Ok(None), "cut at {end}");
            }
            for end in length..bytes.len() {
                assert_eq!(FrameHeader::decode(&bytes[..end], &rules), Ok(Some((header, length))), "cut at {end}");
            }
        }
        Ok(None) => {
            assert!(bytes.len() < 14, "fourteen bytes are a whole header or a violation");
            for end in 0..=bytes.len() {
                assert_eq!(FrameHeader::decode(&bytes[..end], &rules), Ok(None), "cut at {end}");
                check_could_continue(&bytes[..end], &rules);
            }
        }
        Err(violation) => {
            let mut ended = false;
            for end in 0..bytes.len() {
                match FrameHeader::decode(&bytes[..end], &rules) {
                    Ok(None) => {
                        assert!(!ended, "a violation remains one when more bytes arrive, cut at {end}");
                        check_could_continue(&bytes[..end], &rules);
                    }
                    Err(error) => {
                        ended = true;
                        assert!(
                            same_violation(Some(error), Some(violation)),
                            "cut at {end}: {error:?}, then {violation:?}"
                        );
                    }
                    Ok(Some(found)) => panic!("{found:?} cut at {end}, then {violation:?}"),
                }
            }
        }
    }
});

/// Checks an accepted header against the rules of §5.
fn check_rules(header: &FrameHeader, rules: &HeaderRules) {
    assert_eq!(header.mask.is_some(), rules.role == Role::Server);
    assert!(!header.rsv1 || rules.rsv1);
    if header.opcode.is_control() {
        assert!(header.fin && !header.rsv1 && header.payload_len <= 125);
    } else {
        let before = rules.unfinished.unwrap_or(0);
        assert!(header.payload_len <= rules.max_frame_bytes.min(rules.max_message_bytes - before));
        assert_eq!(header.opcode == switchboard::Opcode::Continuation, rules.unfinished.is_some());
    }
}

/// Checks that an incomplete header can still become valid: some further bytes make it a header if there are no limits,
/// and the shortest length that it can still have is within the limits.
fn check_could_continue(prefix: &[u8], rules: &HeaderRules) {
    let unfinished = rules.unfinished.map(|_| 0);
    let boundless = HeaderRules { unfinished, max_frame_bytes: u64::MAX, max_message_bytes: u64::MAX, ..*rules };
    let first = if rules.unfinished.is_some() { 0x80 } else { 0x81 };
    let second = if rules.role == Role::Server { 0x80 } else { 0 };
    // Bytes that may follow the prefix: a simple header, and the smallest lengths of two and of eight bytes.
    let plain = [first, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let short = [0, 0, 0, 126, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let complete = |end: &[u8; 14]| [prefix, &end[prefix.len()..]].concat();
    let is_header = |end| matches!(FrameHeader::decode(&complete(end), &boundless), Ok(Some(_)));
    assert!([plain, short, long].iter().any(is_header), "{prefix:02x?} cannot become a header");
    let shortest = FrameHeader::decode(&complete(&plain), rules);
    let too_long = matches!(shortest, Err(ProtocolError::FrameTooLong { .. } | ProtocolError::MessageTooLong { .. }));
    assert!(!too_long, "{prefix:02x?} is too long whatever follows: {shortest:?}");
}
