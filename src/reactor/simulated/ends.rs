//! Both ends of a connection: the client's, and the server's.

use std::io;

use super::{
    Network, Side, Time,
    flow::{Fin, Pair},
};

/// A client's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(super) network: Network,
    pub(crate) pair: usize,
}

impl Peer {
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.lock().read(self.pair, Side::Client, buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.network.lock().write(self.pair, Side::Client, bytes)
    }

    pub(crate) fn shutdown_write(&self) {
        let _ = self.network.lock().shutdown_write(self.pair, Side::Client);
    }

    /// Sends an urgent byte behind all bytes that were written, unless another one waits.
    #[cfg(test)]
    pub(crate) fn write_urgent(&self) {
        let mut state = self.network.lock();
        let flow = &mut state.pairs[self.pair].flows[Side::Client as usize];
        flow.urgent.get_or_insert(flow.sent.len() + flow.arrived.len());
        if flow.has_urgent() {
            state.notify(
                self.pair,
                Side::Server,
                super::flow::Flags { readable: true, urgent: true, ..Default::default() },
            );
        }
    }

    /// Resets the connection. Bytes that have not arrived are lost.
    pub(crate) fn reset(&self) {
        let mut state = self.network.lock();
        let Pair { flows, ends, .. } = &mut state.pairs[self.pair];
        ends[Side::Client as usize].closed = true;
        flows[Side::Client as usize].sent.clear();
        flows[Side::Client as usize].fin = Fin::None;
        state.send_reset(self.pair, Side::Server);
    }

    pub(crate) fn close(&self) {
        self.network.lock().close(self.pair, Side::Client);
    }

    /// Stalls the direction that `from` writes to until `until`: nothing in it arrives.
    pub(crate) fn stall(&self, from: Side, until: Time) {
        let mut state = self.network.lock();
        let flow = &mut state.pairs[self.pair].flows[from as usize];
        flow.stalled_until = flow.stalled_until.max(until);
    }
}

/// The server's end of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) network: Network,
    pub(super) pair: usize,
}

impl Stream {
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.network.lock().read(self.pair, Side::Server, buffer)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.network.lock().write(self.pair, Side::Server, bytes)
    }

    pub(crate) fn shutdown_write(&self) -> io::Result<()> {
        self.network.lock().shutdown_write(self.pair, Side::Server)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.network.lock().close(self.pair, Side::Server);
    }
}
