//! What connections and messages cost in memory, counted at the allocator and per thread.

mod engine;
#[cfg(all(feature = "server", feature = "client", feature = "deflate"))]
mod server;

use switchboard_tests::counting::CountingAllocator;

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;
