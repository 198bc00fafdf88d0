//! What the thread spends its time on: the CPU time of each kind of work, by name.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The CPU time of the thread's work, by the name of the work: an event's name, or one in angle brackets.
#[derive(Debug, Default)]
pub(super) struct Costs {
    rows: Vec<(&'static str, Cost)>,
}

/// The CPU time of one kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// How often it was done.
    pub(super) count: u64,
    pub(super) total: Duration,
    /// The longest that it took once.
    pub(super) max: Duration,
}

/// Measures work that is done piece after piece.
///
/// The clock of a thread's CPU time is read only if a piece took long: it costs ten times as much as the clock of real
/// time, of which the thread may have spent some waiting for a core.
#[derive(Debug)]
pub(super) struct Stopwatch {
    real: Instant,
    cpu: Duration,
}

impl Costs {
    /// Records that work of this name was done once, and logs if it took too long.
    pub(super) fn record(&mut self, name: &'static str, took: Duration) {
        if took >= LONG {
            // An operator can do something about the longer ones: a slow disk, a machine with too much else to do.
            let level = if took >= TOO_LONG { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{name} took {} ms of the chat's thread", took.as_millis());
        }
        let index = match self.rows.iter().position(|(other, _)| std::ptr::eq(*other, name) || *other == name) {
            Some(index) => index,
            None => {
                self.rows.push((name, Cost::default()));
                self.rows.len() - 1
            }
        };
        let (_, cost) = &mut self.rows[index];
        cost.count += 1;
        cost.total += took;
        cost.max = cost.max.max(took);
    }

    /// Returns all names with their costs, in the order in which they were first recorded.
    pub(super) fn rows(&self) -> &[(&'static str, Cost)] {
        &self.rows
    }
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { real: Instant::now(), cpu: cpu_time() }
    }

    /// Returns the CPU time since the last call, or since the start.
    pub(super) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        let real = now - std::mem::replace(&mut self.real, now);
        if real < EXACT {
            return real;
        }
        // Of the pieces before this one, the CPU time is not known exactly. So this is an upper bound as well.
        let cpu = cpu_time();
        real.min(cpu.saturating_sub(std::mem::replace(&mut self.cpu, cpu)))
    }
}

/// Returns the CPU time of the calling thread.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// From this on, a piece of work is logged, and from the second on as a warning: users notice it.
const LONG: Duration = Duration::from_millis(5);
const TOO_LONG: Duration = Duration::from_millis(50);
/// From this on, the CPU time of a piece is read.
const EXACT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_added_up_by_name() {
        let mut costs = Costs::default();
        for (name, millis) in [("say", 1), ("join", 2), ("say", 3)] {
            costs.record(name, Duration::from_millis(millis));
        }
        let cost =
            |count, total, max| Cost { count, total: Duration::from_millis(total), max: Duration::from_millis(max) };
        assert_eq!(costs.rows(), [("say", cost(2, 4, 3)), ("join", cost(1, 2, 2))]);
    }

    #[test]
    fn time_that_the_thread_waits_is_not_counted() {
        let mut stopwatch = Stopwatch::start();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let waited = Duration::from_millis(50);
        assert!(receiver.recv_timeout(waited).is_err());
        drop(sender);
        assert!(stopwatch.lap() < waited / 2);
        let started = cpu_time();
        while cpu_time() - started < Duration::from_millis(3) {}
        assert!(stopwatch.lap() >= Duration::from_millis(3));
    }
}
