//! Random numbers from a seed.

/// Random numbers from a seed: the same sequence on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Returns a number below `bound`, which must not be zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound)
    }

    /// Returns true `times` out of `of` times.
    pub(crate) fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.0.u8(..)).collect()
    }

    /// Returns a text of `chars` characters, of one to four bytes each.
    #[cfg(test)]
    pub(crate) fn text(&mut self, chars: usize) -> String {
        const ALPHABET: [char; 8] = ['a', 'Z', ' ', '\u{7f}', '\u{e9}', '\u{6771}', '\u{fffd}', '\u{1f600}'];
        (0..chars).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }
}
