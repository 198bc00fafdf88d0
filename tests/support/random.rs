//! Random test input from a seed, so that a failure can be repeated.

/// A generator whose seed decides all that it returns, on every machine.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.u64(..bound as u64) as usize
    }

    /// True `times` out of `of` times.
    pub fn chance(&mut self, times: usize, of: usize) -> bool {
        self.below(of) < times
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A text of `chars` characters, which take one to four bytes each.
    pub fn text(&mut self, chars: usize) -> String {
        const ALPHABET: [char; 8] = ['a', 'Z', ' ', '\u{7f}', '\u{e9}', '\u{6771}', '\u{fffd}', '\u{1f600}'];
        (0..chars).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect()
    }

    /// Lengths that add up to `total`: many are short, some are long.
    pub fn cuts(&mut self, total: usize) -> Vec<usize> {
        let mut left = total;
        let mut lengths = Vec::new();
        while left > 0 {
            let max = [1, 3, 14, 200, left][self.below(5)].min(left);
            let length = 1 + self.below(max);
            lengths.push(length);
            left -= length;
        }
        lengths
    }
}

/// Runs `test` with the seeds from 0 to `count - 1`, or only with the seed in the environment variable `SEED`. If the
/// test panics, its seed is printed.
pub fn for_each_seed(count: u64, test: impl Fn(Random)) {
    struct PrintOnPanic(u64);
    impl Drop for PrintOnPanic {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with seed {0}; SEED={0} runs it alone", self.0);
            }
        }
    }
    let only = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let _print = PrintOnPanic(seed);
        test(Random::new(seed));
    }
}
