//! Connections that do nothing: what the server keeps for each.

use std::{io, ops::Range, thread, time::Duration};

use super::clients;
use crate::process::Server;

/// The server's resident memory per connection, in bytes: how much it grows from so many open connections to so many.
/// What it owns before the first, or once for all, does not count. With `deflate` all agree on permessage-deflate.
///
/// # Errors
/// A connection cannot be opened, or the system does not say.
pub fn idle_bytes(server: &Server, connections: Range<usize>, deflate: bool) -> io::Result<f64> {
    let mut streams = Vec::with_capacity(connections.end);
    let mut open_until = |count: usize| {
        while streams.len() < count {
            let at_once = clients::AT_ONCE.min(count - streams.len());
            streams.extend(clients::open(server.address(), at_once, deflate)?);
        }
        thread::sleep(SETTLED_WITHIN);
        server.resident_bytes()
    };
    let few = open_until(connections.start)?;
    let many = open_until(connections.end)?;
    Ok((many as f64 - few as f64) / connections.len() as f64)
}

/// After the last answer a server has something to put away.
const SETTLED_WITHIN: Duration = Duration::from_millis(50);
