//! The values of one table cell, one per round, and their statistics.

/// The values of one cell, one per round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds the value of a round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The values in the order of rounds.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.0
    }

    /// Returns the median, or `None` without values.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// Returns the first and the third quartile.
    #[must_use]
    pub fn quartiles(&self) -> Option<(f64, f64)> {
        Some((self.quantile(0.25)?, self.quantile(0.75)?))
    }

    /// Returns the distance between the quartiles as a fraction of the median.
    #[must_use]
    pub fn spread(&self) -> Option<f64> {
        let ((low, high), median) = (self.quartiles()?, self.median()?);
        Some((high - low) / median)
    }

    /// Returns the median, formatted by `figure`, or a dash without values.
    #[must_use]
    pub fn shown(&self, figure: impl Fn(f64) -> String) -> String {
        self.median().map_or_else(|| NONE.to_owned(), figure)
    }

    /// Returns the median and half the distance between the quartiles, formatted by `figure`: `0.91 ±0.02`.
    #[must_use]
    pub fn spread_shown(&self, figure: impl Fn(f64) -> String) -> Option<String> {
        let ((low, high), median) = (self.quartiles()?, self.median()?);
        Some(format!("{} ±{}", figure(median), figure((high - low) / 2.0)))
    }

    /// Returns the quantile `part` (0 to 1), interpolated between the two nearest values.
    fn quantile(&self, part: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = part * sorted.len().checked_sub(1)? as f64;
        let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        Some(low + (high - low) * at.fract())
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Returns `a / b` round by round, as a disturbance in a round affects both. Rounds that only one of them has are left
/// out.
#[must_use]
pub fn ratios(a: &Samples, b: &Samples) -> Samples {
    a.0.iter().zip(&b.0).map(|(a, b)| a / b).collect()
}

/// Returns the order of `count` participants in a round. Each round begins with another one.
pub fn rotated(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |at| (at + round) % count)
}

const NONE: &str = "–";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quartiles() {
        let none = Samples::default();
        assert_eq!((none.median(), none.quartiles(), none.spread()), (None, None, None));
        let one = Samples::from_iter([3.0]);
        assert_eq!((one.median(), one.quartiles()), (Some(3.0), Some((3.0, 3.0))));
        let five = Samples::from_iter([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.median(), five.quartiles()), (Some(3.0), Some((2.0, 4.0))));
        let four = Samples::from_iter([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(four.median(), Some(2.5));
    }

    #[test]
    fn ratios_are_of_rounds_that_both_have() {
        let (a, b) = (Samples::from_iter([2.0, 9.0, 5.0]), Samples::from_iter([1.0, 3.0]));
        assert_eq!(ratios(&a, &b).values(), [2.0, 3.0]);
    }

    #[test]
    fn each_round_begins_with_another_participant() {
        assert_eq!(rotated(3, 0).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(rotated(3, 4).collect::<Vec<_>>(), [1, 2, 0]);
    }
}
