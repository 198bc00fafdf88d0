//! Connections are opened, upgraded and reset, some at a time.

use std::{io, time::Instant};

use super::{Target, Work, clients};

/// A load of handshakes. It includes the server's work for a connection's end.
#[derive(Debug)]
pub struct Handshakes {
    target: Target,
    count: u64,
}

impl Handshakes {
    pub fn of(target: impl Into<Target>) -> Self {
        Self { target: target.into(), count: 0 }
    }
}

impl Work for Handshakes {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            let opened = clients::open(&self.target, clients::AT_ONCE, false)?;
            self.count += opened.len() as u64;
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.count
    }
}
