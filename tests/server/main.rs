//! The server over loopback TCP, against the client and against raw bytes.

mod apps;
mod backpressure;
mod clock;
#[cfg(feature = "deflate")]
mod compression;
mod deadlines;
mod ears;
mod http;
mod lifetimes;
mod listeners;
mod loopback;
mod panics;
mod reconfigured;
mod requests;
mod slow;
mod tasks;
#[cfg(feature = "tls")]
mod tls;
mod told;
mod topics;
