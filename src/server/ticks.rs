//! The times at which an app is called by the clock.

use std::time::Duration;

use crate::reactor::Tick;

/// Calls at an interval.
#[derive(Debug)]
pub(super) struct Ticks {
    /// In whole hundredths of a second, as the clock.
    interval: Duration,
    /// When a call was last due, whether or not it was made.
    last: Tick,
}

impl Ticks {
    pub(super) fn new(interval: Duration, now: Tick) -> Self {
        let hundredths = (interval.min(LONGEST) + UNIT / 2).as_millis() / UNIT.as_millis();
        let hundredths = u32::try_from(hundredths).unwrap_or(u32::MAX).max(1);
        Self { interval: UNIT * hundredths, last: now }
    }

    /// Returns whether a call is due now. Calls that were missed count as one, and the later ones keep their times.
    pub(super) fn is_due(&mut self, now: Tick) -> bool {
        let intervals = now.since(self.last).as_millis() / self.interval.as_millis();
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.last = self.last.after(self.interval.saturating_mul(intervals));
        intervals > 0
    }

    /// Returns the time until the next call.
    pub(super) fn next_in(&self, now: Tick) -> Duration {
        self.interval.saturating_sub(now.since(self.last))
    }
}

/// The unit of the clock.
const UNIT: Duration = Duration::from_millis(10);
/// The clock repeats after 497 days.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::reactor::Clock;

    #[test]
    fn calls_keep_to_their_times_and_missed_ones_are_skipped() {
        let start = Instant::now();
        let clock = Clock::starting_at(start);
        let at = |milliseconds| clock.tick(start + Duration::from_millis(milliseconds));
        let mut ticks = Ticks::new(Duration::from_millis(50), at(0));
        for (now, is_due, next) in [
            (0, false, 50),
            (40, false, 10),
            (50, true, 50),
            (50, false, 50),
            (120, true, 30),
            // Those of 150, 200 and 250.
            (270, true, 30),
            (290, false, 10),
            (300, true, 50),
        ] {
            assert_eq!(ticks.is_due(at(now)), is_due, "after {now} ms");
            assert_eq!(ticks.next_in(at(now)), Duration::from_millis(next), "after {now} ms");
        }
    }

    #[test]
    fn an_interval_is_rounded_to_hundredths_of_a_second() {
        let now = Clock::starting_now().tick(Instant::now());
        for (interval, milliseconds) in [
            (Duration::ZERO, 10),
            (Duration::from_micros(14_999), 10),
            (Duration::from_millis(16), 20),
            (Duration::from_secs(1), 1000),
            (Duration::MAX, 365 * 24 * 60 * 60 * 1000),
        ] {
            assert_eq!(Ticks::new(interval, now).next_in(now), Duration::from_millis(milliseconds), "{interval:?}");
        }
    }
}
