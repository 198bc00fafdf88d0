//! The parts of the command-line program.
//!
//! | file | contents |
//! |---|---|
//! | `options.rs` | the command line's options |
//! | `users.rs` | `switchboard user` |

pub(crate) mod options;
pub(crate) mod users;
