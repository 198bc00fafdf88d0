//! The bytes of requests and answers, made beforehand.

/// The stream that each client sends, and the one that it must receive: the same message repeated.
#[derive(Debug)]
pub struct Traffic {
    /// Masked, as a client sends it.
    pub(super) request: Cycle,
    /// Not masked, as the server answers.
    pub(super) answer: Cycle,
}

impl Traffic {
    /// Binary messages with `payload_bytes` bytes of payload.
    pub fn of_binary(payload_bytes: usize) -> Self {
        let payload = payload(payload_bytes);
        let answer = [header(payload_bytes, 0), payload.clone()].concat();
        let mut request = header(payload_bytes, MASKED);
        request.extend_from_slice(&KEY);
        request.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        Self { request: Cycle::of(&request), answer: Cycle::of(&answer) }
    }

    /// The answers of [`Traffic::of_binary`] in both directions.
    pub(super) fn of_bytes(payload_bytes: usize) -> Self {
        let message = [header(payload_bytes, 0), payload(payload_bytes)].concat();
        Self { request: Cycle::of(&message), answer: Cycle::of(&message) }
    }
}

/// One frame repeated without end.
#[derive(Debug)]
pub(super) struct Cycle {
    /// Copies of the frame, enough for `PIECE_BYTES` from any position of the first.
    bytes: Vec<u8>,
    frame: u64,
}

impl Cycle {
    fn of(frame: &[u8]) -> Self {
        let times = 1 + PIECE_BYTES.div_ceil(frame.len());
        Self { bytes: frame.repeat(times), frame: frame.len() as u64 }
    }

    /// The length of the frame.
    pub(super) fn frame(&self) -> u64 {
        self.frame
    }

    /// Returns the bytes of the stream from `position` on, at least [`PIECE_BYTES`].
    pub(super) fn at(&self, position: u64) -> &[u8] {
        &self.bytes[(position % self.frame) as usize..]
    }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 167 + at / 251 + 13) as u8).collect()
}

/// Returns the first bytes of an unfragmented binary message
/// ([RFC 6455, §5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
fn header(payload_bytes: usize, masked: u8) -> Vec<u8> {
    let mut header = vec![FIN_BINARY];
    match payload_bytes {
        0..=125 => header.push(masked | payload_bytes as u8),
        126..=0xffff => {
            header.push(masked | 126);
            header.extend_from_slice(&(payload_bytes as u16).to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
    header
}

const FIN_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The maximum of one read or write.
pub(super) const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_goes_on_from_any_position() {
        for payload_bytes in [0, 1, 16, 125, 126, 1024, 65_535, 65_536] {
            let Traffic { request, answer } = Traffic::of_binary(payload_bytes);
            for cycle in [request, answer] {
                let whole: Vec<u8> = cycle.at(0)[..cycle.frame() as usize].to_vec();
                for position in [0, 1, cycle.frame() - 1, cycle.frame(), 7 * cycle.frame() + 1] {
                    let piece = cycle.at(position);
                    assert!(piece.len() >= PIECE_BYTES);
                    let expected = whole.iter().cycle().skip((position % cycle.frame()) as usize);
                    assert!(piece.iter().zip(expected).all(|(one, other)| one == other), "{payload_bytes} {position}");
                }
            }
        }
    }
}
