//! The command line that all benches share.

use std::num::NonZeroUsize;

use clap::Parser;

/// The options of every bench. A bench with more options flattens these into its own.
#[derive(Clone, Debug, Default, Parser)]
pub struct Options {
    /// Measure everything N times; the tables show medians
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroUsize>,

    /// Only check that everything works: takes a few seconds, and the figures mean nothing
    #[arg(long)]
    pub quick: bool,

    /// Measure only the rows whose names contain TEXT
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// Write the tables and plots to benches/results/
    #[arg(long)]
    pub save: bool,

    /// Ignored; cargo adds it to the command line of every bench
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    /// Returns the number of rounds from the command line. Without one it returns `quick` in a quick run, else `usual`.
    #[must_use]
    pub fn rounds_or(&self, usual: usize, quick: usize) -> usize {
        self.rounds.map_or(if self.quick { quick } else { usual }, NonZeroUsize::get)
    }

    /// Returns whether the row is to be measured.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|text| row.contains(text))
    }
}
