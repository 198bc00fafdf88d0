//! The bench `servers`: what is measured of each server, and the tables that come of it.
//!
//! | file | what |
//! |---|---|
//! | `row.rs` | the work that servers are given |
//! | `field.rs` | all contestants, row by row and round by round |
//! | `tables.rs` | what is shown of it |

mod field;
mod row;
mod tables;

pub use field::Field;
pub use row::Row;
