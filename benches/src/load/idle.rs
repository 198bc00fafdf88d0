//! Idle connections: the server's memory for each.

use std::{io, ops::Range, thread, time::Duration};

use super::{Target, clients};
use crate::process::Server;

/// Returns the server's resident memory per connection, in bytes: its growth from `connections.start` to
/// `connections.end` open connections. Memory that does not depend on the number of connections does not count. With
/// `deflate` all connections agree on permessage-deflate.
///
/// # Errors
/// A connection cannot be opened, or the memory cannot be read.
pub fn idle_bytes(
    server: &Server,
    target: impl Into<Target>,
    connections: Range<usize>,
    deflate: bool,
) -> io::Result<f64> {
    let target = target.into();
    let mut open = Vec::with_capacity(connections.end);
    let mut grow_to = |count: usize| {
        while open.len() < count {
            let at_once = clients::AT_ONCE.min(count - open.len());
            open.extend(clients::open(&target, at_once, deflate)?);
        }
        thread::sleep(SETTLE_TIME);
        server.resident_bytes()
    };
    let few = grow_to(connections.start)?;
    let many = grow_to(connections.end)?;
    Ok((many as f64 - few as f64) / connections.len() as f64)
}

/// A server may free memory after its last response.
const SETTLE_TIME: Duration = Duration::from_millis(50);
