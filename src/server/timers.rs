//! The timers of one worker: those that its app set for a connection, and those that it set for itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::reactor::{Key, Tick};

/// The owner of a timer, which is cancelled with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    App,
    Connection(Key),
}

/// The error of setting a timer: as many are set as there may be, 16 for a connection and 65,536 for an app of one
/// worker. To set one of these again is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TooManyTimers;

impl fmt::Display for TooManyTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many timers are set")
    }
}

impl std::error::Error for TooManyTimers {}

/// Hundredths of a second since the worker started: the clock of the reactor, which repeats after 497 days.
type Hundredths = u64;

/// The timers of one worker.
#[derive(Debug)]
pub(super) struct Timers {
    now: Hundredths,
    /// `now`, as the reactor's clock has it.
    tick: Tick,
    timers: BTreeMap<(Owner, u32), Timer>,
    /// The same by the time at which they are due.
    due: BTreeSet<(Hundredths, Owner, u32)>,
    /// How many of them are the app's own.
    of_app: usize,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    due: Hundredths,
    /// `None` for a timer that is due once.
    interval: Option<Hundredths>,
}

impl Timers {
    pub(super) fn new(now: Tick) -> Self {
        Self { now: 0, tick: now, timers: BTreeMap::new(), due: BTreeSet::new(), of_app: 0 }
    }

    /// Sets a timer that is due once, in place of the owner's timer of this name.
    ///
    /// # Errors
    /// [`TooManyTimers`], and then nothing has changed.
    pub(super) fn set_once(
        &mut self,
        owner: Owner,
        name: u32,
        delay: Duration,
        now: Tick,
    ) -> Result<(), TooManyTimers> {
        self.advance(now);
        // The current hundredth has begun already: a timer is not early.
        let due = self.now + hundredths(delay, Rounding::Up) + 1;
        self.set(owner, name, Timer { due, interval: None })
    }

    /// Sets a timer that is due at each interval, in place of the owner's timer of this name.
    ///
    /// # Errors
    /// As [`set_once`](Self::set_once).
    pub(super) fn set_interval(
        &mut self,
        owner: Owner,
        name: u32,
        interval: Duration,
        now: Tick,
    ) -> Result<(), TooManyTimers> {
        self.advance(now);
        let interval = hundredths(interval, Rounding::Nearest).max(1);
        self.set(owner, name, Timer { due: self.now + interval, interval: Some(interval) })
    }

    fn set(&mut self, owner: Owner, name: u32, timer: Timer) -> Result<(), TooManyTimers> {
        if !self.timers.contains_key(&(owner, name)) && !self.has_space(owner) {
            return Err(TooManyTimers);
        }
        self.cancel(owner, name);
        self.timers.insert((owner, name), timer);
        self.due.insert((timer.due, owner, name));
        self.of_app += usize::from(owner == Owner::App);
        Ok(())
    }

    fn has_space(&self, owner: Owner) -> bool {
        match owner {
            Owner::App => self.of_app < MAX_OF_APP,
            Owner::Connection(_) => self.of(owner).count() < MAX_OF_CONNECTION,
        }
    }

    fn of(&self, owner: Owner) -> impl Iterator<Item = (&(Owner, u32), &Timer)> {
        self.timers.range((owner, 0)..=(owner, u32::MAX))
    }

    /// Cancels a timer. Does nothing if it is not set.
    pub(super) fn cancel(&mut self, owner: Owner, name: u32) {
        if let Some(timer) = self.timers.remove(&(owner, name)) {
            self.due.remove(&(timer.due, owner, name));
            self.of_app -= usize::from(owner == Owner::App);
        }
    }

    /// Cancels the timers of a connection.
    pub(super) fn cancel_all(&mut self, key: Key) {
        let owner = Owner::Connection(key);
        loop {
            let Some(name) = self.of(owner).map(|((_, name), _)| *name).next() else { return };
            self.cancel(owner, name);
        }
    }

    /// Returns a timer that is due. One with an interval is set to its next time: times that have passed are skipped,
    /// and the later ones stay as they were.
    pub(super) fn next_due(&mut self, now: Tick) -> Option<(Owner, u32)> {
        self.advance(now);
        let &(due, owner, name) = self.due.first().filter(|(due, ..)| *due <= self.now)?;
        match self.timers.get(&(owner, name)).and_then(|timer| timer.interval) {
            Some(interval) => {
                let due = due + ((self.now - due) / interval + 1) * interval;
                // There is space: the timer takes its own place.
                let _ = self.set(owner, name, Timer { due, interval: Some(interval) });
            }
            None => self.cancel(owner, name),
        }
        Some((owner, name))
    }

    /// Returns the time until the next timer is due, zero if one is; `None` if none is set.
    pub(super) fn next_in(&mut self, now: Tick) -> Option<Duration> {
        self.advance(now);
        let (due, ..) = self.due.first()?;
        let hundredths = u32::try_from(due.saturating_sub(self.now)).unwrap_or(u32::MAX);
        Some(UNIT * hundredths)
    }

    /// Returns the connections that have timers, one for each.
    #[cfg(test)]
    pub(super) fn connections(&self) -> impl Iterator<Item = Key> {
        self.timers.keys().filter_map(|(owner, _)| match owner {
            Owner::App => None,
            Owner::Connection(key) => Some(*key),
        })
    }

    fn advance(&mut self, now: Tick) {
        self.now += hundredths(now.since(self.tick), Rounding::Nearest);
        self.tick = now;
    }
}

#[derive(Clone, Copy, Debug)]
enum Rounding {
    Up,
    Nearest,
}

/// Converts a duration of any length: those of more than a year count as a year.
fn hundredths(duration: Duration, rounding: Rounding) -> Hundredths {
    let part = match rounding {
        Rounding::Up => UNIT - Duration::from_nanos(1),
        Rounding::Nearest => UNIT / 2,
    };
    let hundredths = (duration.min(LONGEST) + part).as_millis() / UNIT.as_millis();
    u64::try_from(hundredths).unwrap_or(u64::MAX)
}

const UNIT: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A peer may lead an app to set timers; a timer takes about 100 bytes.
const MAX_OF_CONNECTION: usize = 16;
const MAX_OF_APP: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::reactor::Clock;

    const PEER: Owner = Owner::Connection(Key { slot: 3, generation: 0 });
    const NEXT_OF_SLOT: Owner = Owner::Connection(Key { slot: 3, generation: 1 });

    struct Run {
        start: Instant,
        clock: Clock,
        timers: Timers,
    }

    impl Run {
        fn new() -> Self {
            let start = Instant::now();
            let clock = Clock::starting_at(start);
            Self { start, clock, timers: Timers::new(clock.tick(start)) }
        }

        fn at(&self, milliseconds: u64) -> Tick {
            self.clock.tick(self.start + Duration::from_millis(milliseconds))
        }

        fn due(&mut self, milliseconds: u64) -> Vec<(Owner, u32)> {
            let now = self.at(milliseconds);
            std::iter::from_fn(|| self.timers.next_due(now)).collect()
        }

        fn next_in(&mut self, milliseconds: u64) -> Option<u128> {
            let now = self.at(milliseconds);
            self.timers.next_in(now).map(|wait| wait.as_millis())
        }
    }

    #[test]
    fn a_timer_is_due_once_and_never_early() {
        // When it is set and its delay, in milliseconds; the last time at which it is not due, and the first.
        for (set, delay, before, due) in
            [(0, 0, 9, 10), (9, 0, 9, 10), (0, 1, 19, 20), (9, 10, 19, 20), (5, 11, 29, 30), (0, 5000, 5009, 5010)]
        {
            let mut run = Run::new();
            let now = run.at(set);
            run.timers.set_once(PEER, 7, Duration::from_millis(delay), now).unwrap();
            assert_eq!(run.due(before), [], "{delay} ms from {set}");
            assert_eq!(run.next_in(before), Some(10), "{delay} ms from {set}");
            assert_eq!(run.next_in(due), Some(0), "{delay} ms from {set}");
            assert_eq!(run.due(due), [(PEER, 7)], "{delay} ms from {set}");
            assert_eq!(run.due(due + 100_000), [], "{delay} ms from {set}");
            assert_eq!(run.next_in(due), None, "{delay} ms from {set}");
        }
    }

    #[test]
    fn an_interval_keeps_to_its_times_and_those_that_were_missed_are_skipped() {
        let mut run = Run::new();
        let now = run.at(0);
        run.timers.set_interval(Owner::App, 1, Duration::from_millis(50), now).unwrap();
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
            assert_eq!(run.due(now).len(), usize::from(is_due), "after {now} ms");
            assert_eq!(run.next_in(now), Some(next), "after {now} ms");
        }
    }

    #[test]
    fn an_interval_is_rounded_to_hundredths_of_a_second() {
        for (interval, milliseconds) in [
            (Duration::ZERO, 10),
            (Duration::from_micros(14_999), 10),
            (Duration::from_millis(16), 20),
            (Duration::from_secs(1), 1000),
            (Duration::MAX, 365 * 24 * 60 * 60 * 1000),
        ] {
            let mut run = Run::new();
            let now = run.at(0);
            run.timers.set_interval(PEER, 0, interval, now).unwrap();
            assert_eq!(run.next_in(0), Some(milliseconds), "{interval:?}");
        }
    }

    #[test]
    fn timers_are_due_in_the_order_of_their_times_and_each_belongs_to_its_owner() {
        let mut run = Run::new();
        let now = run.at(0);
        for (owner, name, delay) in [(PEER, 1, 300), (Owner::App, 1, 200), (PEER, 2, 100), (NEXT_OF_SLOT, 1, 400)] {
            run.timers.set_once(owner, name, Duration::from_millis(delay), now).unwrap();
        }
        // Set again, it has the new time alone.
        run.timers.set_once(PEER, 1, Duration::from_millis(50), now).unwrap();
        run.timers.cancel(Owner::App, 2);
        assert_eq!(run.due(350), [(PEER, 1), (PEER, 2), (Owner::App, 1)]);
        assert_eq!(run.due(1000), [(NEXT_OF_SLOT, 1)]);
    }

    #[test]
    fn a_connection_takes_its_timers_with_it_and_no_others() {
        let mut run = Run::new();
        let now = run.at(0);
        for owner in [PEER, NEXT_OF_SLOT, Owner::App] {
            for name in [0, 1, u32::MAX] {
                run.timers.set_interval(owner, name, Duration::from_millis(10), now).unwrap();
            }
        }
        run.timers.cancel_all(Key { slot: 3, generation: 0 });
        run.timers.cancel(Owner::App, 1);
        let expected = [Owner::App, NEXT_OF_SLOT].map(|owner| [(owner, 0), (owner, 1), (owner, u32::MAX)]);
        let expected: Vec<_> = expected.concat().into_iter().filter(|timer| *timer != (Owner::App, 1)).collect();
        assert_eq!(run.due(10), expected);
    }

    #[test]
    fn no_owner_has_more_timers_than_its_share() {
        for (owner, most) in [(PEER, 16), (Owner::App, 65_536)] {
            let mut run = Run::new();
            let now = run.at(0);
            let mut set = |name| run.timers.set_once(owner, name, Duration::from_secs(1), now);
            for name in 0..most {
                assert_eq!(set(name), Ok(()), "{owner:?}, {name}");
            }
            assert_eq!(set(most), Err(TooManyTimers), "{owner:?}");
            assert_eq!(set(most - 1), Ok(()), "{owner:?}: one that is set");
            run.timers.cancel(owner, 0);
            run.timers.set_once(owner, most, Duration::from_secs(1), now).unwrap();
            run.timers.set_once(NEXT_OF_SLOT, 0, Duration::from_secs(1), now).unwrap();
            assert_eq!(run.due(2000).len(), most as usize + 1, "{owner:?}");
            run.timers.set_once(owner, 0, Duration::ZERO, now).unwrap();
        }
    }

    #[test]
    fn the_clock_of_the_reactor_may_repeat() {
        let mut run = Run::new();
        let day = 24 * 60 * 60 * 1000;
        let now = run.at(0);
        run.timers.set_interval(PEER, 0, Duration::from_millis(300 * day), now).unwrap();
        for day_now in 1..=1000 {
            let is_due = day_now % 300 == 0;
            assert_eq!(run.due(day_now * day).len(), usize::from(is_due), "day {day_now}");
        }
    }
}
