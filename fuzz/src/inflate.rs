//! DEFLATE for one message, the naive way: bit by bit from RFC 1951 and RFC 7692 §7.2.2, with everything in memory and
//! without a window to move. What the engine's inflater must agree with.

/// What a message inflates to that may refer back to `history`, or `None` where it is malformed. More than `limit`
/// bytes are not inflated.
#[must_use]
pub fn inflate(message: &[u8], history: &[u8], limit: usize) -> Option<Inflated> {
    let mut bits = Bits { bytes: message.iter().copied().chain([0x00, 0x00, 0xff, 0xff]).collect(), at: 0 };
    let mut output = history.to_vec();
    let most = history.len() + limit;
    let mut last_is_stored_and_empty = false;
    while bits.at < bits.bytes.len() * 8 {
        let before = output.len();
        let is_final = bits.take(1)? == 1;
        let kind = bits.take(2)?;
        match kind {
            0 => {
                bits.align();
                let (length, complement) = (bits.take(16)?, bits.take(16)?);
                if length != complement ^ 0xffff {
                    return None;
                }
                for _ in 0..length {
                    output.push(u8::try_from(bits.take(8)?).ok()?);
                    if output.len() > most {
                        return bits.too_long(message);
                    }
                }
            }
            1 | 2 => {
                let (literals, distances) = if kind == 1 { fixed() } else { bits.codes()? };
                loop {
                    match literals.decode(&mut bits)? {
                        literal @ 0..=255 => output.push(u8::try_from(literal).ok()?),
                        256 => break,
                        symbol => {
                            let (base, extra) = LENGTHS.get(symbol - 257)?;
                            let length = base + bits.take(*extra)?;
                            let (base, extra) = DISTANCES.get(distances.decode(&mut bits)?)?;
                            let distance = base + bits.take(*extra)?;
                            for _ in 0..length {
                                output.push(*output.get(output.len().checked_sub(distance)?)?);
                            }
                        }
                    }
                    if output.len() > most {
                        return bits.too_long(message);
                    }
                }
            }
            _ => return None,
        }
        if is_final {
            bits.align();
        }
        last_is_stored_and_empty = kind == 0 && output.len() == before;
    }
    // The tail is what a sender took off: it is the end of an empty stored block and of nothing else.
    let ends = last_is_stored_and_empty && bits.at == bits.bytes.len() * 8;
    ends.then(|| Inflated::Whole(output[history.len()..].to_vec()))
}

/// What a message inflates to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inflated {
    /// All of it.
    Whole(Vec<u8>),
    /// More than allowed.
    TooLong,
}

struct Bits {
    bytes: Vec<u8>,
    /// In bits, the lowest of each byte first (§3.1.1).
    at: usize,
}

impl Bits {
    /// A number of so many bits, the lowest first.
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for bit in 0..count {
            value |= usize::from(self.bytes.get(self.at / 8)? >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    /// Too much has come out of it, which is malformed if it came out of the tail.
    fn too_long(&self, message: &[u8]) -> Option<Inflated> {
        (self.at <= message.len() * 8).then_some(Inflated::TooLong)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }

    /// The codes of a block that brings its own (§3.2.7).
    fn codes(&mut self) -> Option<(Code, Code)> {
        let (literals, distances, lengths) = (self.take(5)? + 257, self.take(5)? + 1, self.take(4)? + 4);
        if literals > 286 || distances > 30 {
            return None;
        }
        let mut of_lengths = [0; 19];
        for place in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].into_iter().take(lengths) {
            of_lengths[place] = self.take(3)?;
        }
        let code = Code::new(&of_lengths, false)?;
        let mut all = Vec::new();
        while all.len() < literals + distances {
            let (length, times) = match code.decode(self)? {
                length @ 0..=15 => (length, 1),
                16 => (*all.last()?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                _ => (0, 11 + self.take(7)?),
            };
            all.extend(std::iter::repeat_n(length, times));
        }
        if all.len() > literals + distances || all[256] == 0 {
            return None;
        }
        Some((Code::new(&all[..literals], true)?, Code::new(&all[literals..], true)?))
    }
}

/// A Huffman code (§3.2.2): for each symbol its length and bits.
struct Code(Vec<(usize, usize)>);

impl Code {
    /// The code with these lengths, which must use up all bit patterns; `single`: or be one code of one bit, or none.
    fn new(lengths: &[usize], single: bool) -> Option<Self> {
        let used: usize = lengths.iter().filter(|&&length| length > 0).map(|&length| 1 << (15 - length)).sum();
        let longest = lengths.iter().max().copied().unwrap_or(0);
        if used != 1 << 15 && !(single && longest <= 1 && used < 1 << 15) {
            return None;
        }
        let mut codes = vec![(0, 0); lengths.len()];
        let mut next = 0;
        for length in 1..=15 {
            next <<= 1;
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, l)| **l == length) {
                codes[symbol] = (length, next);
                next += 1;
            }
        }
        Some(Self(codes))
    }

    /// The next symbol; a code's highest bit comes first.
    fn decode(&self, bits: &mut Bits) -> Option<usize> {
        let mut code = 0;
        for length in 1..=15 {
            code = code << 1 | bits.take(1)?;
            if let Some(symbol) = self.0.iter().position(|&known| known == (length, code)) {
                return Some(symbol);
            }
        }
        None
    }
}

/// §3.2.6.
fn fixed() -> (Code, Code) {
    let lengths = |symbol| match symbol {
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    };
    let literals = Code::new(&(0..288).map(lengths).collect::<Vec<_>>(), false);
    (literals.expect("a whole code"), Code::new(&[5; 32], false).expect("a whole code"))
}

/// Base and extra bits of the lengths and distances (§3.2.5).
const LENGTHS: [(usize, usize); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];
const DISTANCES: [(usize, usize); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];
