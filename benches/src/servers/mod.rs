//! The benches `servers` and `tokio`: compare our program, and our library on tokio, with servers on other libraries.
//!
//! | file | what |
//! |---|---|
//! | `row.rs` | the rows: what a server has to do, and how it is measured |
//! | `results.rs` | the results of all tested servers |
//! | `tables.rs` | the tables and plots of the results |
//! | `bench.rs` | the bench: all tested servers, row by row and round by round |

mod bench;
mod results;
mod row;
mod tables;

pub use bench::ServersBench;
pub use row::Row;
