//! The parts of the command-line program.
//!
//! | file | contents |
//! |---|---|
//! | `config/` | the settings of the file and of the environment, `switchboard config` |
//! | `connect/` | `switchboard connect` |
//! | `data.rs` | `switchboard backup`, `switchboard check` |
//! | `hsts.rs` | HTTP Strict Transport Security |
//! | `memory.rs` | how much memory peers may make the program use |
//! | `options/` | the command line's options |
//! | `redirect.rs` | the server for plain HTTP: redirects to https, and the challenges of ACME |
//! | `reload.rs` | using the settings anew while the chat runs |
//! | `serving.rs` | what is served, and until when |
//! | `small_file.rs` | reading files that others may replace |
//! | `tls/` | certificates |
//! | `users.rs` | `switchboard user` |
//! | `values.rs` | the values of options |

pub(crate) mod config;
pub(crate) mod connect;
pub(crate) mod data;
pub(crate) mod hsts;
pub(crate) mod memory;
pub(crate) mod options;
pub(crate) mod redirect;
pub(crate) mod reload;
pub(crate) mod serving;
mod small_file;
pub(crate) mod tls;
pub(crate) mod users;
mod values;
