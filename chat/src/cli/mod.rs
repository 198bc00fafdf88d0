//! The parts of the command-line program.
//!
//! | file | contents |
//! |---|---|
//! | `data.rs` | `switchboard backup`, `switchboard check` |
//! | `memory.rs` | how much memory peers may make the program use |
//! | `options.rs` | the command line's options |
//! | `users.rs` | `switchboard user` |
//! | `values.rs` | the values of options |

pub(crate) mod data;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod users;
mod values;
