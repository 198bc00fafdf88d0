//! The server over loopback.

mod backpressure;
#[cfg(feature = "deflate")]
mod compression;
mod deadlines;
mod http;
mod lifetimes;
mod loopback;
mod panics;
mod topics;
