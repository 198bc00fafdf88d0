//! The memory that connections and messages take, counted by the allocator for each thread.
//!
//! | file | subject |
//! |---|---|
//! | `client` | a client of many in a process |
//! | `engine` | a connection: its size, and the allocations that a peer can cause |
//! | `handshake` | what a head, a handshake and a rejection say of their memory |
//! | `server` | messages of a server that has warmed up |
//! | `tls` | the same over TLS |

#[cfg(all(feature = "server", feature = "client", feature = "deflate"))]
mod client;
mod engine;
mod handshake;
#[cfg(all(feature = "server", feature = "client", feature = "deflate"))]
mod server;
#[cfg(all(feature = "client", feature = "deflate", feature = "tls"))]
mod tls;

use switchboard_tests::counting::CountingAllocator;

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;
