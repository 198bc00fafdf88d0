//! The server over loopback.

mod apps;
#[cfg(feature = "deflate")]
mod compression;
mod deadlines;
mod http;
mod lifetimes;
mod loopback;
mod panics;
mod pressure;
mod topics;
