//! Connections are opened, upgraded and reset, some at a time.

use std::{io, net::SocketAddr, time::Instant};

use super::{Work, clients};

/// A load of handshakes. It includes the server's work for a connection's end.
#[derive(Debug)]
pub struct Handshakes {
    address: SocketAddr,
    count: u64,
}

impl Handshakes {
    pub fn of(address: SocketAddr) -> Self {
        Self { address, count: 0 }
    }
}

impl Work for Handshakes {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            let streams = clients::open(self.address, clients::AT_ONCE, false)?;
            self.count += streams.len() as u64;
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.count
    }
}
