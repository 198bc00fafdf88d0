//! The command line that all benches share.

use std::num::NonZeroUsize;

use clap::Parser;

/// What every bench is asked on its command line; a bench with more options flattens these into its own.
#[derive(Clone, Debug, Default, Parser)]
pub struct Options {
    /// How often everything is measured, in turns; the tables show medians.
    #[arg(long, value_name = "N")]
    pub rounds: Option<NonZeroUsize>,

    /// Only prove that everything works: a few seconds, and no figure worth reading.
    #[arg(long)]
    pub quick: bool,

    /// Only rows whose names contain this.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// Keep the tables and plots in benches/results/.
    #[arg(long)]
    pub save: bool,

    /// What cargo adds to every command line of a bench; it changes nothing.
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Options {
    /// As many rounds as were asked for; else `usual`, or `quick` in a run that only proves that all works.
    #[must_use]
    pub fn rounds_or(&self, usual: usize, quick: usize) -> usize {
        self.rounds.map_or(if self.quick { quick } else { usual }, NonZeroUsize::get)
    }

    /// Whether a row is to be measured.
    #[must_use]
    pub fn wants(&self, row: &str) -> bool {
        self.only.as_ref().is_none_or(|text| row.contains(text))
    }
}
