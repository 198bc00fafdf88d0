//! The load generator: one thread, frames made beforehand, and each byte of every answer compared with what it must be.
//! A wrong answer is an error, never a figure.
//!
//! | file | what |
//! |---|---|
//! | `traffic.rs` | the bytes of requests and answers |
//! | `client.rs` | one connection: what it has sent and received |
//! | `poller.rs` | many sockets, and which of them are ready |
//! | `clients.rs` | many, connected and polled |
//! | `echo.rs` | each connection keeps some messages in flight |
//! | `fan_out.rs` | one publishes, all receive |
//! | `handshakes.rs` | connections come and go |
//! | `idle.rs` | connections that do nothing |
//! | `round_trips.rs` | how long one message takes, one at a time |
//! | `paced.rs` | how long one message takes at a fixed rate |
//! | `measure.rs` | warm up, then count work and the server's CPU time |

mod client;
mod clients;
mod echo;
mod fan_out;
mod handshakes;
mod idle;
mod measure;
mod paced;
mod poller;
mod round_trips;
mod traffic;

use std::io;

use hdrhistogram::Histogram;

pub use clients::Clients;
pub use echo::Echo;
pub use fan_out::FanOut;
pub use handshakes::Handshakes;
pub use idle::idle_bytes;
pub use measure::{Measurement, Times, Work, measure};
pub use paced::Paced;
pub(crate) use poller::{Poller, Ready};
pub use round_trips::RoundTrips;
pub use traffic::Traffic;

/// For times in nanoseconds, up to ten seconds, with three digits that are right.
pub(crate) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(10_000_000_000, 3).map_err(io::Error::other)
}
