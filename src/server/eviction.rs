//! Which connections give way first when a worker runs out of memory.
//!
//! The network that holds the most loses its largest connection, again and again. So many connections of one network
//! that hold little each give way before one of another that holds more: a flood from few addresses costs the others
//! nothing.

use std::collections::{BinaryHeap, HashMap};

use super::addresses::Permit;
use crate::reactor::Key;

/// Connections in the order in which they give way.
#[derive(Debug)]
pub(super) struct EvictionOrder {
    /// Each network with the sum of its shares, the largest on top.
    totals: BinaryHeap<(usize, Holder)>,
    /// The connections of each network, the largest last.
    connections: HashMap<Holder, Vec<(usize, Key)>>,
}

/// Connections that count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Holder {
    /// The connections of a network, by its number.
    Network(usize),
    /// A connection whose network is not counted, such as a proxy's.
    Connection(Key),
}

impl EvictionOrder {
    /// Orders connections by their network and the bytes that each holds; those that hold none are left out.
    pub(super) fn new<'a>(shares: impl Iterator<Item = (Key, Option<&'a Permit>, usize)>) -> Self {
        let mut connections: HashMap<Holder, Vec<(usize, Key)>> = HashMap::new();
        for (key, permit, share) in shares.filter(|&(_, _, share)| share > 0) {
            let holder = permit.map_or(Holder::Connection(key), |permit| Holder::Network(permit.network_number()));
            connections.entry(holder).or_default().push((share, key));
        }
        let mut totals = BinaryHeap::with_capacity(connections.len());
        for (holder, shares) in &mut connections {
            shares.sort_unstable();
            totals.push((shares.iter().map(|(share, _)| share).sum(), *holder));
        }
        Self { totals, connections }
    }
}

impl Iterator for EvictionOrder {
    type Item = Key;

    fn next(&mut self) -> Option<Key> {
        let (total, holder) = self.totals.pop()?;
        let (share, key) = self.connections.get_mut(&holder)?.pop()?;
        if total > share {
            self.totals.push((total - share, holder));
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Config, addresses::Addresses},
        *,
    };

    #[test]
    fn the_largest_connection_of_the_network_that_holds_most_gives_way() {
        let rows: [(&[(&str, usize)], &[usize]); 6] = [
            (&[], &[]),
            (&[("10.0.0.1", 0)], &[]),
            (&[("10.0.0.1", 1), ("10.0.0.1", 3), ("10.0.0.1", 2)], &[1, 2, 0]),
            // Four small ones hold more than a large one.
            (
                &[("10.0.0.1", 30), ("10.0.0.2", 10), ("10.0.0.2", 11), ("10.0.0.2", 12), ("10.0.0.2", 13)],
                &[4, 3, 0, 2, 1],
            ),
            (&[("10.0.0.1", 5), ("10.0.0.2", 9), ("::1", 7)], &[1, 2, 0]),
            // A proxy's connections stand for themselves.
            (&[("10.9.9.9", 20), ("10.9.9.9", 20), ("10.0.0.1", 15), ("10.0.0.1", 15)], &[3, 1, 0, 2]),
        ];
        for (connections, expected) in rows {
            let config =
                Config { uncounted_networks: vec![std::net::IpAddr::from([10, 9, 9, 9]).into()], ..Config::default() };
            let addresses = Addresses::new(&config);
            let admit = |&(address, _): &(&str, usize)| addresses.admit(address.parse().unwrap()).unwrap();
            let permits: Vec<_> = connections.iter().map(admit).collect();
            let shares = connections
                .iter()
                .zip(&permits)
                .zip(0..)
                .map(|((&(_, share), permit), slot)| (Key { slot, generation: 0 }, permit.as_ref(), share));
            let order: Vec<_> = EvictionOrder::new(shares).map(|key| key.slot as usize).collect();
            assert_eq!(order, expected, "{connections:?}");
        }
    }
}
