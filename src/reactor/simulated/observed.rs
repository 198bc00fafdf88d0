//! The state that the simulation's checks look at, besides what clients and workers see.

use super::{
    super::{Key, Socket, system},
    Facts, Faults, Network, Random, Time, Wire,
    ends::{Peer, Stream},
    flow::Fin,
};

impl Network {
    /// Returns the hash of the trace so far.
    pub(crate) fn trace(&self) -> u64 {
        self.lock().trace.hash
    }

    pub(crate) fn facts(&self, pair: usize) -> Facts {
        self.lock().pairs[pair].facts
    }

    /// Returns how many bytes the server has written since a time.
    pub(crate) fn written_since(&self, pair: usize, since: Time) -> usize {
        sum_since(&self.lock().pairs[pair].writes, since)
    }

    /// Returns how many bytes have arrived at the server since a time.
    pub(crate) fn arrived_since(&self, pair: usize, since: Time) -> usize {
        sum_since(&self.lock().pairs[pair].arrivals, since)
    }

    /// Returns the sockets that a worker watches and for which no event is queued, each with whether it can be read and
    /// whether it can be written.
    pub(crate) fn unannounced(&self, worker: usize) -> Vec<(Key, bool, bool)> {
        let state = self.lock();
        let watched = state.pairs.iter().filter(|pair| !pair.queued);
        let ours = watched.filter_map(|pair| match pair.watched {
            Some((by, token)) if by == worker => Some((pair, token)),
            _ => None,
        });
        ours.map(|(pair, token)| {
            let (up, down, end) = (&pair.flows[0], &pair.flows[1], &pair.ends[1]);
            let ended = (up.fin == Fin::Arrived || end.broken) && !up.end_read;
            let readable = !up.arrived.is_empty() || end.error.is_some() || ended;
            (Key::from(token), readable, down.free() > 0 && !down.wants_writable)
        })
        .collect()
    }

    /// Returns the number of calls on the sockets of a worker, without interrupted ones.
    pub(crate) fn calls(&self, worker: usize) -> u64 {
        self.lock().workers[worker].calls
    }
}

/// Returns how many bytes were moved after a time.
fn sum_since(moves: &[(Time, usize)], since: Time) -> usize {
    moves.iter().rev().take_while(|(at, _)| *at > since).map(|(_, count)| count).sum()
}

/// Creates a connection that no worker watches, and returns its network and both ends.
pub(crate) fn pair(up: Wire, down: Wire) -> (Network, Socket, Peer) {
    let network = Network::new(Random::new(0), 1, Faults::default(), false);
    let peer = network.connect(0, up, down);
    let stream = Stream { network: network.clone(), pair: peer.pair };
    (network, Socket::new(system::Stream::Simulated(stream)), peer)
}
