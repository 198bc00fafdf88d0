//! Coarse time, small enough to store several values per connection.

use std::time::{Duration, Instant};

/// Hundredths of a second since the server started, modulo 2^32 (497 days).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick(u32);

impl Tick {
    /// Returns the time from `earlier` to `self`. Correct for spans below 497 days.
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        Duration::from_millis(u64::from(self.0.wrapping_sub(earlier.0)) * 10)
    }
}

/// Converts instants to ticks. One clock serves all workers of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn starting_now() -> Self {
        Self { start: Instant::now() }
    }

    #[cfg(test)]
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self { start }
    }

    pub(crate) fn tick(&self, now: Instant) -> Tick {
        let since = now.saturating_duration_since(self.start);
        let hundredths = since.as_secs().wrapping_mul(100) + u64::from(since.subsec_millis() / 10);
        Tick((hundredths % (1 << 32)) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_correct_across_the_wrap() {
        let clock = Clock::starting_now();
        let wrap = Duration::from_millis(10 << 32);
        let before = clock.tick(clock.start + wrap - Duration::from_secs(1));
        let after = clock.tick(clock.start + wrap + Duration::from_secs(2));
        assert_eq!(after.since(before), Duration::from_secs(3));
    }
}
