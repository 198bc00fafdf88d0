//! The parts of the program that are not its main path.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | the command line |
//! | `users.rs` | `switchboard user` |

pub(crate) mod options;
pub(crate) mod users;
