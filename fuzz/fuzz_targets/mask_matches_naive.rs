//! Masking gives the same as the formula of §5.3, wherever the payload is in memory and however it is cut.
//!
//! Input: the key, 4 bytes; the offset of the payload in its buffer; 8 bytes: an argument for `MaskingKey::after`;
//! cuts; the payload.
#![no_main]

use switchboard::MaskingKey;
use switchboard_fuzz::Input;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let key = MaskingKey(input.array());
    let start = usize::from(input.byte() % 16);
    let behind = usize::from_be_bytes(input.array());
    let cuts = input.cuts();
    let payload = input.rest();
    let expected: Vec<u8> = payload.iter().enumerate().map(|(i, byte)| byte ^ key.0[i % 4]).collect();

    // The payload is between two fences, which must not change.
    let mut buffer = vec![0xA5; start];
    buffer.extend(payload);
    buffer.extend([0xA5; 16]);
    let end = start + payload.len();

    key.apply(&mut buffer[start..end]);
    assert_eq!(buffer[start..end], expected, "whole");
    key.apply(&mut buffer[start..end]);
    assert_eq!(&buffer[start..end], payload, "its own inverse");

    let mut at = start;
    for piece in cuts.of(payload) {
        let next = at + piece.len();
        key.after(at - start).apply(&mut buffer[at..next]);
        at = next;
    }
    assert_eq!(buffer[start..end], expected, "cut");
    assert!(buffer[..start].iter().chain(&buffer[end..]).all(|&byte| byte == 0xA5), "outside of the payload");

    let turned: [u8; 4] = std::array::from_fn(|i| key.0[(behind % 4 + i) % 4]);
    assert_eq!(key.after(behind), MaskingKey(turned), "after {behind}");
    for more in 0..4 {
        assert_eq!(key.after(behind % 1024).after(more), key.after(behind % 1024 + more), "step by step");
    }
});
