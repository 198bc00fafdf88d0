//! Compares implementations of the same work. They are measured in turns, so that a disturbance of the machine affects
//! all of them.

mod cpu_time;

use std::time::Duration;

use crate::{
    Outcome,
    report::{Run, Samples, ratios, rotated},
};

/// Works for about the given time, and returns the nanoseconds per item.
type Measure<'a> = Box<dyn FnMut(Duration) -> Outcome<f64> + 'a>;

/// Implementations, and the samples of each.
#[derive(Default)]
pub struct Comparison<'a> {
    entries: Vec<(String, Measure<'a>, Samples)>,
}

impl<'a> Comparison<'a> {
    /// Adds an implementation. `work` handles at least the given number of items and returns how many it handled.
    pub fn add(&mut self, name: impl Into<String>, mut work: impl FnMut(u64) -> Outcome<u64> + 'a) {
        let (mut items, mut is_warm) = (1, false);
        self.add_self_timed(name, move |target| {
            loop {
                let (done, time) = cpu_time::measure(|| work(items));
                let (done, time) = (done?, time.as_nanos() as f64);
                let part = time / target.as_nanos() as f64;
                if part >= 0.5 && is_warm {
                    return Ok(time / done as f64);
                }
                // The first calls find the number of items and warm up memory and caches.
                is_warm = part >= 0.5;
                if is_warm {
                    continue;
                }
                items = (items as f64 * (0.8 / part.max(0.01)).max(2.0)).ceil() as u64;
            }
        });
    }

    /// Adds an implementation that measures its own time.
    pub fn add_self_timed(&mut self, name: impl Into<String>, measure: impl FnMut(Duration) -> Outcome<f64> + 'a) {
        self.entries.push((name.into(), Box::new(measure), Samples::default()));
    }

    /// Measures every implementation in every round, each time for about `each`.
    ///
    /// # Errors
    /// An implementation fails, or does the work wrongly.
    pub fn run(&mut self, run: &Run, what: &str, rounds: usize, each: Duration) -> Outcome<()> {
        for round in 0..rounds {
            for at in rotated(self.entries.len(), round) {
                if run.is_over() {
                    return Ok(());
                }
                let (name, measure, samples) = &mut self.entries[at];
                run.progress(&format!("{what}, round {} of {rounds}: {name}", round + 1));
                samples.push(measure(each).map_err(|error| format!("{name}, {what}: {error}"))?);
            }
        }
        Ok(())
    }

    /// Returns the samples of an implementation, if it takes part.
    #[must_use]
    pub fn samples(&self, name: &str) -> Option<&Samples> {
        self.entries.iter().find(|entry| entry.0 == name).map(|entry| &entry.2)
    }

    /// Returns the implementation among `names` with the lowest median.
    #[must_use]
    pub fn best<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let median = |name: &str| self.samples(name).and_then(Samples::median);
        let medians = names.into_iter().filter_map(|name| Some((name, median(name)?)));
        medians.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
    }

    /// Returns the median over the rounds of the ratio of `name`'s time to `to`'s.
    #[must_use]
    pub fn ratio(&self, name: &str, to: &str) -> Option<f64> {
        ratios(self.samples(name)?, self.samples(to)?).median()
    }

    /// Returns the largest spread of all implementations.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        self.entries.iter().filter_map(|entry| entry.2.spread()).max_by(f64::total_cmp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Options;

    #[test]
    fn every_implementation_is_measured_in_every_round() {
        let run = Run::begin("test", &Options::default()).expect("signals can be handled");
        let mut comparison = Comparison::default();
        comparison.add_self_timed("quick", |_| Ok(2.0));
        comparison.add_self_timed("slow", |_| Ok(5.0));
        comparison.run(&run, "nothing", 3, Duration::ZERO).expect("no implementation fails");
        assert_eq!(comparison.samples("quick").map(|samples| samples.values().len()), Some(3));
        assert_eq!(comparison.best(["slow", "quick", "absent"]), Some("quick"));
        assert_eq!((comparison.ratio("slow", "quick"), comparison.ratio("slow", "absent")), (Some(2.5), None));
    }

    #[test]
    fn a_wrong_answer_ends_the_comparison() {
        let run = Run::begin("test", &Options::default()).expect("signals can be handled");
        let mut comparison = Comparison::default();
        comparison.add("careless", |_| Err("one is missing".into()));
        let error = comparison.run(&run, "counting", 1, Duration::from_millis(1)).expect_err("it does");
        assert_eq!(error.to_string(), "careless, counting: one is missing");
    }
}
