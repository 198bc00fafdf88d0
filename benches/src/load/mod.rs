//! The load generator: one thread, with frames made beforehand. It compares each byte of every answer with the expected
//! one. A wrong answer is an error, never a figure.
//!
//! | file | what |
//! |---|---|
//! | `traffic.rs` | the bytes of requests and answers |
//! | `target.rs` | what the load generator connects to, and how it speaks there |
//! | `transport.rs` | TCP, or TLS over it |
//! | `client.rs` | one connection: its unsent and its received bytes |
//! | `poller.rs` | many sockets, and which of them are ready |
//! | `clients.rs` | many connections, opened and polled |
//! | `echo.rs` | each connection keeps some messages in flight |
//! | `fan_out.rs` | one connection publishes, all receive |
//! | `handshakes.rs` | connections are opened and reset |
//! | `tls_handshakes.rs` | handshakes of TLS alone, complete or aborted |
//! | `idle.rs` | idle connections |
//! | `round_trips.rs` | the latency of messages, one at a time |
//! | `paced.rs` | the latency of messages at a fixed rate |
//! | `measure.rs` | warms up, then counts work and the server's CPU time |

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
mod target;
mod tls_handshakes;
mod traffic;
mod transport;

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
pub use target::{KeyExchange, Target};
pub use tls_handshakes::{TlsHandshakeKind, TlsHandshakes};
pub use traffic::Traffic;

/// Returns a histogram for times in nanoseconds, up to ten seconds, with three significant digits.
pub(crate) fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_max(10_000_000_000, 3).map_err(io::Error::other)
}
