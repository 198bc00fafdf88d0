//! The frame of a bench and its output: options, progress, samples, tables, plots.
//!
//! In reading order:
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | [`Options`]: the command line that all benches share |
//! | `run.rs` | [`Run`]: progress, Ctrl-C, the end |
//! | `machine.rs` | the conditions in the header of the tables |
//! | `samples.rs` | [`Samples`]: the values of one cell, their median and spread, and the [`ratios`] of two |
//! | `figures.rs` | numbers for readers |
//! | `table.rs` | [`Table`]: markdown |
//! | `plot.rs` | [`Plot`]: bars and lines, as SVG |
//! | `svg.rs` | the drawing itself: colours, axes, legend |
//!
//! A bench in brief:
//!
//! ```
//! use switchboard_benches::report::{Options, Plot, Run, Samples, Table, figures, ratios, rotated};
//!
//! # fn measure(_: &str, _: &str) -> f64 { 10.0 }
//! fn bench(options: &Options) -> std::io::Result<()> {
//!     let mut run = Run::begin("sorting", options)?;
//!     run.peer("clap", None);
//!     let rounds = options.rounds_or(10, 1);
//!     let sorts = ["ours", "theirs"];
//!     let mut table = Table::new("Sorting, ns", ["work", "ours", "theirs / ours"]);
//!     let mut plot = Plot::bars("Sorting", "ns", sorts);
//!     for row in ["1,000 numbers", "1,000 words"].into_iter().filter(|row| options.wants(row)) {
//!         let mut samples = [Samples::default(), Samples::default()];
//!         for round in 0..rounds {
//!             for at in rotated(sorts.len(), round) {
//!                 if run.is_over() {
//!                     break;
//!                 }
//!                 run.progress(&format!("{row}, round {} of {rounds}: {}", round + 1, sorts[at]));
//!                 samples[at].push(measure(row, sorts[at]));
//!             }
//!         }
//!         let [ours, theirs] = &samples;
//!         table.row(row, [ours.shown(figures::plain), ratios(theirs, ours).shown(figures::ratio)]);
//!         plot.group(row, samples.iter().map(Samples::median));
//!     }
//!     run.finish(&[table], &[plot])
//! }
//! # bench(&clap::Parser::parse_from(["bench", "--quick"])).expect("standard output is there");
//! ```

pub mod figures;
mod machine;
mod options;
mod plot;
mod run;
mod samples;
mod svg;
mod table;

pub use options::Options;
pub use plot::Plot;
pub use run::Run;
pub use samples::{Samples, ratios, rotated};
pub use table::Table;
