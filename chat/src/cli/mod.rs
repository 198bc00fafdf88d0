//! The parts of the command-line program.
//!
//! | file | contents |
//! |---|---|
//! | `config/` | the settings of the file and of the environment, `switchboard config` |
//! | `connect/` | `switchboard connect` |
//! | `control/` | `switchboard stop`, `reload` and `infos`, and the socket by which they reach a chat that runs |
//! | `data.rs` | `switchboard backup`, `switchboard check` |
//! | `hsts.rs` | HTTP Strict Transport Security |
//! | `memory.rs` | how much memory peers may make the program use |
//! | `options/` | the command line's options |
//! | `redirect.rs` | the server for plain HTTP: redirects to https, and the challenges of ACME |
//! | `reload.rs` | using the settings anew while the chat runs |
//! | `removed_file.rs` | files that are there while the program runs |
//! | `serving.rs` | what is served, and until when |
//! | `small_file.rs` | reading files that others may replace |
//! | `systemd.rs` | what a supervisor is told |
//! | `tls/` | certificates |
//! | `users.rs` | `switchboard user` |
//! | `values.rs` | the values of options |

pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod hsts;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod redirect;
pub(crate) mod reload;
mod removed_file;
pub(crate) mod serving;
mod small_file;
mod systemd;
pub(crate) mod tls;
pub(crate) mod users;
mod values;
