//! Seeded runs: a generator small enough to be read, and seeds that replay.

/// SplitMix64: one number of state, the same sequence on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// True `times` out of `of` times.
    pub fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next_u64() as u8).collect()
    }

    /// Text of `chars` characters, of one to four bytes each.
    pub fn text(&mut self, chars: usize) -> String {
        const ALPHABET: [char; 8] = ['a', 'Z', ' ', '\u{7f}', '\u{e9}', '\u{6771}', '\u{fffd}', '\u{1f600}'];
        (0..chars).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }

    /// Lengths that add up to `total`: many of one byte, some long.
    pub fn cuts(&mut self, total: usize) -> Vec<usize> {
        let mut left = total;
        let mut lengths = Vec::new();
        while left > 0 {
            let most = [1, 3, 14, 200, left][self.below(5)].min(left);
            let length = 1 + self.below(most);
            lengths.push(length);
            left -= length;
        }
        lengths
    }
}

/// Runs `test` with `count` seeds, or only with that of the environment variable `SEED`. A panic names its seed.
pub fn for_each_seed(count: u64, test: impl Fn(Random)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with seed {0}; SEED={0} runs it alone", self.0);
            }
        }
    }
    let only = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let _named = Named(seed);
        test(Random::new(seed));
    }
}
