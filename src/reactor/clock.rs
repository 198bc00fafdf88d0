//! Coarse time, small enough to store several values per connection, which stands still while a worker cannot run.

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

/// Converts instants to ticks. All workers of a server begin with the same clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When the server started.
    start: Instant,
}

impl Clock {
    pub(crate) fn starting_now() -> Self {
        Self { start: Instant::now() }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn starting_at(start: Instant) -> Self {
        Self { start }
    }

    pub(crate) fn tick(&self, now: Instant) -> Tick {
        tick_at(self.nanos(now))
    }

    /// Returns the nanoseconds since the start. (Arithmetic with these costs a tenth of that with instants.)
    fn nanos(&self, now: Instant) -> u64 {
        nanos_of(now.saturating_duration_since(self.start))
    }
}

fn tick_at(nanos: u64) -> Tick {
    Tick((nanos / 10_000_000) as u32)
}

/// Returns the nanoseconds of a duration, up to 584 years.
fn nanos_of(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// The time of one worker's turns.
///
/// It does not advance in a **gap**: while the thread did not run although it should have, because the process was
/// stopped or the machine was suspended, moved or overloaded. A peer cannot be late in a gap, since what it sent waits
/// in the kernel. So all deadlines move by the gap. Time in which the thread computes is no gap, however long it takes.
#[derive(Debug)]
pub(super) struct TurnClock {
    clock: Clock,
    /// The gaps so far, in nanoseconds.
    gaps: u64,
    /// When the last turn began, in nanoseconds of `clock`.
    previous: u64,
    /// The longest wait between the end of the last turn and the begin of the next, in nanoseconds; the maximum if it
    /// has no limit, which means that there are no deadlines.
    wait: u64,
    /// When the thread's CPU time was last read, and its value, both in nanoseconds.
    sample: Option<(u64, u64)>,
}

/// The time of a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnTime {
    pub(super) instant: Instant,
    pub(super) tick: Tick,
    /// The turn began more than [`LATE`] after it should have, whether or not the thread was running.
    pub(super) is_late: bool,
}

impl TurnClock {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, gaps: 0, previous: 0, wait: u64::MAX, sample: None }
    }

    /// Notes the limit of the wait that now begins.
    pub(super) fn set_wait(&mut self, limit: Option<Duration>) {
        self.wait = limit.map_or(u64::MAX, nanos_of);
    }

    /// Begins a turn. `cpu_time` returns the CPU time of the thread; it is called rarely, since it is a system call.
    pub(super) fn begin_turn(&mut self, instant: Instant, cpu_time: impl FnOnce() -> Duration) -> TurnTime {
        let now = self.clock.nanos(instant);
        let since_previous = now.saturating_sub(self.previous);
        self.previous = now;
        // By how much the turn is late if the last one took no time.
        let late = since_previous.saturating_sub(self.wait);
        let is_late = late > LATE;
        if is_late || self.sample.is_none_or(|(at, _)| now - at >= SAMPLE_INTERVAL) {
            let cpu = nanos_of(cpu_time());
            if let Some((_, before)) = self.sample
                && is_late
            {
                // Also counts the turns between the sample and the last turn, which took less than a sample interval.
                let computed = cpu.saturating_sub(before);
                if late.saturating_sub(computed) > LATE {
                    // A part of it may have been the wait, but not more than its limit.
                    self.gaps += since_previous.saturating_sub(computed);
                }
            }
            self.sample = Some((now, cpu));
        }
        TurnTime { instant, tick: tick_at(now - self.gaps), is_late }
    }
}

/// A turn that comes later than this may follow a gap, in nanoseconds.
const LATE: u64 = 2_000_000_000;
/// How often the CPU time of a busy thread is read, in nanoseconds.
const SAMPLE_INTERVAL: u64 = 100_000_000;

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

    /// Turns of a worker, each with the limit of the wait before it, the time since the last one, and how much of it
    /// the thread computed, in milliseconds. The result is by how much the clock advanced in the last turn.
    fn advance(turns: &[(Option<u64>, u64, u64)]) -> (u64, bool) {
        let (mut now, mut cpu) = (Instant::now(), Duration::from_secs(7));
        let mut clock = TurnClock::new(Clock::starting_at(now));
        let mut previous = clock.begin_turn(now, || cpu);
        let mut advanced = Duration::ZERO;
        for &(wait, since, computed) in turns {
            clock.set_wait(wait.map(Duration::from_millis));
            now += Duration::from_millis(since);
            cpu += Duration::from_millis(computed);
            let time = clock.begin_turn(now, || cpu);
            advanced = time.tick.since(previous.tick);
            previous = time;
        }
        (advanced.as_millis() as u64, previous.is_late)
    }

    #[test]
    fn the_clock_of_turns_stands_still_while_the_thread_does_not_run() {
        let rows: [(&str, &[_], _); 11] = [
            ("on time", &[(Some(1000), 1000, 0)], (1000, false)),
            ("hardly late", &[(Some(1000), 3000, 0)], (3000, false)),
            ("stopped in the wait", &[(Some(1000), 40_000, 10)], (10, true)),
            ("stopped without a wait", &[(Some(0), 2500, 10)], (10, true)),
            ("computing", &[(Some(0), 5000, 5000)], (5000, true)),
            ("computing most of the time", &[(Some(0), 5000, 3000)], (5000, true)),
            ("computing, then stopped", &[(Some(500), 45_000, 5000)], (5000, true)),
            ("no deadlines", &[(None, 40_000, 0)], (40_000, false)),
            ("twice", &[(Some(0), 40_000, 0), (Some(0), 40_000, 0)], (0, true)),
            ("runs again", &[(Some(0), 40_000, 0), (Some(1000), 900, 0)], (900, false)),
            ("busy before", &[(Some(0), 90, 90), (Some(0), 10_000, 10)], (100, true)),
        ];
        for (name, turns, expected) in rows {
            assert_eq!(advance(turns), expected, "{name}");
        }
    }

    #[test]
    fn the_cpu_time_is_read_at_most_ten_times_a_second() {
        let mut now = Instant::now();
        let mut clock = TurnClock::new(Clock::starting_at(now));
        let mut count = 0;
        for _ in 0..1000 {
            clock.set_wait(Some(Duration::ZERO));
            clock.begin_turn(now, || {
                count += 1;
                Duration::ZERO
            });
            now += Duration::from_millis(1);
        }
        assert_eq!(count, 10);
    }
}
