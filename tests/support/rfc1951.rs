//! An inflater for the tests, written from RFC 1951 §3.2 bit by bit, with an exact window. It is slow and shares no
//! code with the engine.

/// The inflating end of a connection.
pub struct Inflater {
    /// The farthest that a distance may reach back.
    window: usize,
    /// All bytes inflated since the last reset.
    pub history: Vec<u8>,
    /// The farthest that a distance has reached back.
    pub farthest: usize,
    max_message_bytes: usize,
    /// The offset in `history` at which the current message began.
    message_start: usize,
}

/// Why a message is invalid.
pub type Fault = &'static str;

pub const TOO_LONG: Fault = "longer than allowed";

impl Inflater {
    pub fn new(window_bits: u8) -> Self {
        Self {
            window: 1 << window_bits,
            history: Vec::new(),
            farthest: 0,
            max_message_bytes: usize::MAX,
            message_start: 0,
        }
    }

    /// Limits the length of a message; a longer one fails with [`TOO_LONG`].
    pub fn with_limit(self, max_message_bytes: usize) -> Self {
        Self { max_message_bytes, ..self }
    }

    /// Forgets earlier messages.
    pub fn reset(&mut self) {
        self.history.clear();
    }

    /// Inflates a message that came without its tail (RFC 7692 §7.2.2). The tail must complete an empty last block.
    pub fn inflate(&mut self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        self.message_start = self.history.len();
        let bytes = [message, &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let mut bits = Bits { bytes: &bytes, at: 0 };
        match self.blocks(&mut bits, message.len() * 8) {
            // Output from the tail means that the message does not end with a block.
            Err(TOO_LONG) if bits.at > message.len() * 8 => Err("output from the tail"),
            outcome => outcome.map(|()| self.history[self.message_start..].to_vec()),
        }
    }

    fn blocks(&mut self, bits: &mut Bits<'_>, tail: usize) -> Result<(), Fault> {
        loop {
            let starts_in_message = bits.at < tail;
            let last = bits.take(1)? == 1;
            let mut is_empty = false;
            match bits.take(2)? {
                0 => is_empty = self.stored(bits)? == 0,
                1 => self.symbols(bits, &fixed())?,
                2 => {
                    let codes = dynamic(bits)?;
                    self.symbols(bits, &codes)?;
                }
                _ => return Err("reserved block type"),
            }
            if last {
                bits.align();
            }
            if bits.at == bits.bytes.len() * 8 {
                return if is_empty && starts_in_message { Ok(()) } else { Err("no empty block at the end") };
            }
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), Fault> {
        self.history.push(byte);
        if self.history.len() - self.message_start > self.max_message_bytes { Err(TOO_LONG) } else { Ok(()) }
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        bits.align();
        let (length, check) = (bits.take(16)?, bits.take(16)?);
        if length != !check & 0xFFFF {
            return Err("a stored block's length does not fit");
        }
        for _ in 0..length {
            let byte = bits.take(8)? as u8;
            self.push(byte)?;
        }
        Ok(length)
    }

    fn symbols(&mut self, bits: &mut Bits<'_>, (literals, distances): &(Code, Code)) -> Result<(), Fault> {
        loop {
            let symbol = literals.decode(bits)?;
            match symbol {
                0..=255 => self.push(symbol as u8)?,
                256 => return Ok(()),
                257..=285 => {
                    let (base, extra) = LENGTHS[symbol - 257];
                    let length = base + bits.take(extra)?;
                    let symbol = distances.decode(bits)?;
                    let &(base, extra) = DISTANCES.get(symbol).ok_or("no such distance")?;
                    let distance = base + bits.take(extra)?;
                    if distance > self.history.len() || distance > self.window {
                        return Err("a distance before the window");
                    }
                    self.farthest = self.farthest.max(distance);
                    for _ in 0..length {
                        self.push(self.history[self.history.len() - distance])?;
                    }
                }
                _ => return Err("no such length"),
            }
        }
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> Result<usize, Fault> {
        let mut value = 0;
        for i in 0..count {
            let byte = *self.bytes.get(self.at / 8).ok_or("cut off")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << i;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// A Huffman code (§3.2.2): the number of symbols with each code length, and the symbols in the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Result<Self, Fault> {
        let mut counts = [0; 16];
        for &length in lengths {
            counts[length] += 1;
        }
        counts[0] = 0;
        let mut left = 1_isize;
        for &count in &counts[1..] {
            left = left * 2 - count as isize;
            if left < 0 {
                return Err("too many codes");
            }
        }
        let used: usize = counts.iter().sum();
        // A code of a single symbol with one bit may be incomplete, and so may an empty code.
        if left > 0 && used > 0 && (used, counts[1]) != (1, 1) {
            return Err("codes are missing");
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Ok(Self { counts, symbols })
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("no such code")
    }
}

/// The fixed codes of §3.2.6.
fn fixed() -> (Code, Code) {
    let lengths: Vec<usize> = (0..288)
        .map(|symbol| match symbol {
            0..=143 => 8,
            144..=255 => 9,
            256..=279 => 7,
            _ => 8,
        })
        .collect();
    (Code::new(&lengths).expect("complete"), Code::new(&[5; 32]).expect("complete"))
}

/// Reads the codes at the start of a block (§3.2.7).
fn dynamic(bits: &mut Bits<'_>) -> Result<(Code, Code), Fault> {
    let (literals, distances, lengths) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    if literals > 286 || distances > 30 {
        return Err("too many symbols");
    }
    let mut of_lengths = [0; 19];
    for &symbol in &ORDER[..lengths] {
        of_lengths[symbol] = bits.take(3)?;
    }
    let code = Code::new(&of_lengths)?;
    if code.symbols.len() == 1 {
        return Err("codes are missing"); // here a code of a single symbol is invalid
    }
    let mut all = Vec::new();
    while all.len() < literals + distances {
        let (value, times) = match code.decode(bits)? {
            16 => (*all.last().ok_or("nothing to repeat")?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        all.extend(std::iter::repeat_n(value, times));
    }
    if all.len() > literals + distances {
        return Err("repeated past the end");
    }
    if all[256] == 0 {
        return Err("no end of block");
    }
    Ok((Code::new(&all[..literals])?, Code::new(&all[literals..])?))
}

/// The base and the number of extra bits of each length symbol (§3.2.5).
const LENGTHS: [(usize, u32); 29] = [
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

/// The base and the number of extra bits of each distance symbol (§3.2.5).
pub const DISTANCES: [(usize, u32); 30] = [
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

/// The order of the code lengths of the code length alphabet (§3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
