//! Readings of the clocks ([`Now`]), and the clock for deadlines of an hour or more ([`SteadyClock`]).
//!
//! A wall clock may be wrong for a while: a computer without a battery begins in 1970, a wrong time server moves it by
//! years, and it is put right later. A message shows what the wall clock said. But a session must not end because of
//! one wrong reading, nor live for years because it was used while the clock was ahead.

use std::time::{Duration, Instant};

use super::super::store::{self, Millis, SavedClock};

/// The current time by two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The wall clock, which may be wrong, and may be set forward or back.
    pub(super) wall: Millis,
    /// The monotonic clock.
    pub(super) instant: Instant,
}

impl Now {
    pub(super) fn read() -> Self {
        Self { wall: store::now(), instant: Instant::now() }
    }
}

/// A clock in milliseconds that is never set back. It advances with the monotonic clock.
///
/// When the wall clock moves further than the monotonic one, time may have passed while the computer was off or asleep,
/// or the wall clock may be wrong. The steady clock makes up for the difference gradually: in an hour of running, for
/// up to a week. So a wall clock that is ahead for a minute makes deadlines come less than three hours early.
///
/// When the wall clock is set back, the steady clock just goes on. The difference is remembered, so that a wall clock
/// that is put forward again has not moved at all. It is forgotten gradually, down to a day: in an hour of running, a
/// day of it.
///
/// The clock starts with the wall clock when there is no saved one, and mostly equals it. A wall clock that was ahead
/// at the first start leaves it ahead for good, which does no harm: deadlines and the times that they count from are of
/// the same clock, and [`to_wall`](Self::to_wall) converts those that are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct SteadyClock {
    now: Millis,
    /// How much further the wall clock has moved, so far. Negative after it was set back.
    behind: i64,
    /// The last reading of the wall clock. `None` before the first one ever.
    wall: Option<Millis>,
    /// The last reading of the monotonic clock, rounded to whole milliseconds. `None` before the first one.
    instant: Option<Instant>,
}

impl SteadyClock {
    /// Continues a saved clock, or starts a new one.
    pub(super) fn new(saved: Option<SavedClock>) -> Self {
        let (now, behind) = saved.map_or((0, 0), |saved| (saved.steady, saved.behind));
        Self { now, behind, wall: saved.map(|saved| saved.wall), instant: None }
    }

    /// Advances to the time of a reading.
    pub(super) fn advance(&mut self, Now { wall, instant }: Now) {
        let is_first = self.instant.is_none();
        let before = *self.instant.get_or_insert(instant);
        let elapsed = store::millis(instant.saturating_duration_since(before));
        // The rest of a millisecond counts the next time.
        self.instant = Some(before + Duration::from_millis(elapsed));
        let Some(wall_before) = self.wall.replace(wall) else {
            self.now = wall;
            return;
        };
        let moved = signed(wall).saturating_sub(signed(wall_before));
        let step = moved.saturating_sub(signed(elapsed));
        // Between two runs the clock moves forward anyway.
        if step <= -LARGE_STEP || (step >= LARGE_STEP && !is_first) {
            let (way, hours) = (if step < 0 { "back" } else { "forward" }, step.unsigned_abs() / HOUR);
            log::warn!(
                "the system's clock was set {way} by {hours} hours; messages show its time, sessions do not end"
            );
        }
        self.behind = self.behind.saturating_add(step);
        let max_gain = if is_first { MAX_START_GAIN } else { elapsed.saturating_mul(MAX_GAIN) };
        let gain = self.behind.clamp(0, signed(max_gain));
        let forgotten =
            (-MAX_AHEAD).saturating_sub(self.behind).clamp(0, signed(elapsed.saturating_mul(MAX_FORGOTTEN)));
        self.behind = self.behind.saturating_sub(gain).saturating_add(forgotten);
        self.now = self.now.saturating_add(elapsed).saturating_add_signed(gain);
    }

    /// Returns the time at the last reading.
    pub(super) fn now(&self) -> Millis {
        self.now
    }

    /// Returns what the wall clock shows, or would show if it were right, at the steady time `at`.
    pub(super) fn to_wall(self, at: Millis) -> Millis {
        let Some(wall) = self.wall else { return at };
        let now = signed(self.now).saturating_add(self.behind.max(0));
        u64::try_from(signed(at).saturating_sub(now).saturating_add(signed(wall))).unwrap_or(0)
    }

    /// Returns the state to save. `None` before the first reading.
    pub(super) fn to_saved(self) -> Option<SavedClock> {
        self.wall.map(|wall| SavedClock { steady: self.now, wall, behind: self.behind })
    }
}

fn signed(time: Millis) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

const HOUR: u64 = 60 * 60 * 1000;
/// A step of the wall clock from here on is logged, in milliseconds.
const LARGE_STEP: i64 = HOUR as i64;
/// Milliseconds that the steady clock gains at most, in one millisecond, on a wall clock that has moved further.
const MAX_GAIN: u64 = 7 * 24;
/// The same at the first reading of a process, so that a saved clock, which may be this old, goes on where it was.
const MAX_START_GAIN: u64 = 10 * 60 * 1000;
/// Milliseconds by which the wall clock was set back that are forgotten at most, in one millisecond.
const MAX_FORGOTTEN: u64 = 24;
/// Milliseconds by which the wall clock was set back that are never forgotten. They make up for a wall clock that was
/// ahead for a short time, and for small differences between the times at which the two clocks are read.
const MAX_AHEAD: i64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    const START: u64 = 1_800_000_000_000;

    /// Runs a clock from `START` over rows of (time that passes, time by which the wall clock moves beyond that), with
    /// readings a second apart. Returns by how much it gains on the monotonic clock.
    fn gain(rows: &[(u64, i64)]) -> u64 {
        let (mut clock, mut now) = (SteadyClock::new(None), Now { wall: START, instant: Instant::now() });
        clock.advance(now);
        let mut passed = 0;
        for &(time, step) in rows {
            now.wall = now.wall.saturating_add_signed(step);
            for _ in 0..time / 1000 {
                now.instant += Duration::from_secs(1);
                now.wall += 1000;
                clock.advance(now);
            }
            passed += time;
        }
        clock.now() - START - passed
    }

    #[test]
    fn the_wall_clock_is_followed_gradually_and_never_back() {
        let year = signed(YEAR);
        let rows: &[(&str, &[(u64, i64)], u64)] = &[
            ("no step", &[(HOUR, 0)], 0),
            ("an hour off", &[(MINUTE, 3_600_000)], HOUR),
            ("a week off", &[(HOUR, signed(7 * DAY))], 7 * DAY),
            ("four weeks off, at first", &[(HOUR, signed(28 * DAY))], 7 * DAY),
            ("four weeks off, later", &[(4 * HOUR, signed(28 * DAY))], 28 * DAY),
            ("ahead for a minute", &[(MINUTE, 9 * year), (DAY, -9 * year)], 168 * MINUTE),
            ("behind for a minute", &[(MINUTE, -9 * year), (DAY, 9 * year)], 24 * MINUTE),
            ("behind for an hour, as at a start in 1970", &[(HOUR, i64::MIN), (DAY, signed(START))], DAY),
            ("put right by an hour", &[(HOUR, -3_600_000), (DAY, 3_600_000)], 0),
            (
                "put right by a year, and a week off later",
                &[(15 * DAY + 5 * HOUR, -year), (DAY, signed(7 * DAY))],
                6 * DAY,
            ),
            ("back and forth", &[(MINUTE, 3_600_000), (MINUTE, -3_600_000), (MINUTE, 3_600_000)], HOUR),
        ];
        for (name, steps, expected) in rows {
            assert_eq!(gain(steps), *expected, "{name}");
        }
    }

    /// The two clocks are not read at the same moment, and may be read many times in a millisecond.
    #[test]
    fn jitter_does_not_add_up() {
        let (mut clock, start) = (SteadyClock::new(None), Instant::now());
        for reading in 0..100_000_u64 {
            let micros = reading * 100;
            let late = [0, 7, 0, 3][usize::try_from(reading / 7 % 4).unwrap()];
            clock.advance(Now { wall: START + micros / 1000 + late, instant: start + Duration::from_micros(micros) });
        }
        let (now, right) = (clock.now(), START + 10_000);
        assert!((right - 1..=right + 10).contains(&now), "{now} instead of {right}");
    }

    #[test]
    fn a_saved_clock_continues_and_time_off_counts_gradually() {
        let mut now = Now { wall: START, instant: Instant::now() };
        let mut clock = SteadyClock::new(None);
        clock.advance(now);
        // Six runs of ten minutes, after a week each in which the computer was off.
        for run in 1..=6 {
            clock = SteadyClock::new(clock.to_saved());
            now = Now { wall: now.wall + 7 * DAY, instant: now.instant };
            clock.advance(now);
            now = Now { wall: now.wall + 10 * MINUTE, instant: now.instant + Duration::from_millis(10 * MINUTE) };
            clock.advance(now);
            assert_eq!(clock.now() - START, run * (10 + 10 + 10 * 168) * MINUTE, "run {run}");
        }
    }

    #[test]
    fn times_are_shown_as_the_wall_clock_would_show_them() {
        let mut now = Now { wall: START + 5 * YEAR, instant: Instant::now() };
        let mut clock = SteadyClock::new(None);
        clock.advance(now);
        let used = clock.now();
        assert_eq!(clock.to_wall(used), now.wall);
        // The clock was five years ahead, and is put right.
        now = Now { wall: START, instant: now.instant + Duration::from_millis(MINUTE) };
        clock.advance(now);
        assert_eq!(clock.to_wall(clock.now()), START);
        assert_eq!(clock.to_wall(used), START - MINUTE);
    }

    #[test]
    fn a_wrong_reading_changes_nothing_that_is_shown() {
        let now = Now { wall: START, instant: Instant::now() };
        let mut clock = SteadyClock::new(None);
        clock.advance(now);
        clock.advance(Now { wall: START + 9 * YEAR, ..now });
        assert_eq!((clock.now(), clock.to_wall(START)), (START, START));
    }
}
