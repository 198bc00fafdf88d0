//! The number of connections from each address, over all workers of a server.
//!
//! A connection is counted when it is accepted, before it has sent anything, and until it is removed: as long as its
//! [`Permit`] exists. The table has an entry for each address with a connection, so their number bounds it. Its lock is
//! taken to count a connection, and when the last one of an address is removed.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use ipnet::IpNet;
use log::warn;

use super::Config;

/// Counts connections by their address. All workers share it.
#[derive(Debug)]
pub(super) struct Addresses {
    rules: RwLock<Rules>,
    table: Arc<Mutex<Table>>,
}

/// Which connections are counted, and how many there may be.
#[derive(Debug)]
struct Rules {
    limit: Option<usize>,
    uncounted: Vec<IpNet>,
}

/// Counts one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Count>);

/// The address has as many connections as allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The addresses that count as one: an address of IPv4, or a /64 of IPv6, which a subscriber has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(Ipv4Addr),
    V6([u16; 4]),
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Network, Entry>,
    warnings: Warnings,
}

#[derive(Debug)]
struct Entry {
    count: Weak<Count>,
    /// When a warning about the network was last logged.
    warned: Option<Instant>,
}

/// What the permits of one network share. Their number is the number of its connections.
#[derive(Debug)]
struct Count {
    network: Network,
    table: Arc<Mutex<Table>>,
}

/// How many warnings were logged in the last minute or so.
#[derive(Debug, Default)]
struct Warnings {
    first: Option<Instant>,
    count: usize,
}

impl Addresses {
    pub(super) fn new(config: &Config) -> Self {
        Self { rules: RwLock::new(Rules::of(config)), table: Arc::default() }
    }

    /// Follows the rules of another configuration from now on.
    pub(super) fn set_config(&self, config: &Config) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Rules::of(config);
    }

    /// Counts a connection. Returns `None` if its address is not counted.
    ///
    /// # Errors
    /// [`TooMany`]. It is logged at most once a minute for each address.
    pub(super) fn admit(&self, address: IpAddr) -> Result<Option<Permit>, TooMany> {
        self.admit_at(address, Instant::now)
    }

    fn admit_at(&self, address: IpAddr, now: impl FnOnce() -> Instant) -> Result<Option<Permit>, TooMany> {
        let Some(limit) = self.rules.read().unwrap_or_else(PoisonError::into_inner).limit_of(address) else {
            return Ok(None);
        };
        let network = Network::of(address);
        let mut table = lock(&self.table);
        let count = table.entries.get(&network).map(|entry| &entry.count);
        if count.map_or(0, Weak::strong_count) < limit {
            let count = count.and_then(Weak::upgrade).unwrap_or_else(|| {
                let count = Arc::new(Count { network, table: Arc::clone(&self.table) });
                table.entries.insert(network, Entry { count: Arc::downgrade(&count), warned: None });
                count
            });
            return Ok(Some(Permit(count)));
        }
        let warns = table.may_warn(network, now());
        drop(table);
        if warns {
            warn!(
                "{network} has {limit} connections, as many as one address may have; more are refused. \
                 If it is a reverse proxy, name it with Config::uncounted_networks or --trusted-proxy"
            );
        }
        Err(TooMany)
    }

    /// Returns the number of counted connections.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        lock(&self.table).entries.values().map(|entry| entry.count.strong_count()).sum()
    }
}

impl Rules {
    fn of(config: &Config) -> Self {
        Self { limit: config.max_connections_per_address, uncounted: config.uncounted_networks.clone() }
    }

    /// Returns how many connections an address may have, or `None` if it is not counted.
    fn limit_of(&self, address: IpAddr) -> Option<usize> {
        let address = address.to_canonical();
        self.limit.filter(|_| !self.uncounted.iter().any(|network| network.contains(&address)))
    }
}

impl Permit {
    /// Returns a number that is the same for all connections of a network, while it has any.
    pub(super) fn network_number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// Shows the network.
impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.network.fmt(f)
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(address) => address.fmt(f),
            Self::V6([a, b, c, d]) => write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
        }
    }
}

impl Table {
    /// Returns whether to log a warning about a network now. If so, counts it as logged.
    fn may_warn(&mut self, network: Network, now: Instant) -> bool {
        let is_due =
            |last: Option<Instant>| last.is_none_or(|last| now.saturating_duration_since(last) >= WARN_INTERVAL);
        // An address without a connection, which is refused because none is allowed, has no entry.
        let entry = self.entries.get_mut(&network);
        if !is_due(entry.as_ref().and_then(|entry| entry.warned)) {
            return false;
        }
        if is_due(self.warnings.first) {
            self.warnings = Warnings { first: Some(now), count: 0 };
        }
        if self.warnings.count >= MAX_WARNINGS {
            return false;
        }
        self.warnings.count += 1;
        if let Some(entry) = entry {
            entry.warned = Some(now);
        }
        true
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        // Another count may have replaced it already.
        if table.entries.get(&self.network).is_some_and(|entry| entry.count.strong_count() == 0) {
            table.entries.remove(&self.network);
        }
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // No change to the table can panic halfway.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The shortest time between two warnings about one address.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
/// The number of warnings in that time, about all addresses together.
const MAX_WARNINGS: usize = 20;

#[cfg(test)]
mod tests {
    use std::{thread, time::Instant};

    use super::*;

    fn addresses(limit: Option<usize>, uncounted: &[&str]) -> Addresses {
        Addresses::new(&Config {
            max_connections_per_address: limit,
            uncounted_networks: uncounted.iter().map(|address| address.parse().unwrap()).collect(),
            ..Config::default()
        })
    }

    #[test]
    fn an_address_has_at_most_its_limit_until_one_of_its_connections_ends() {
        let addresses = addresses(Some(2), &["10.0.0.1/32"]);
        let rows = [
            ("10.0.0.2", "10.0.0.3", false),
            ("10.0.0.2", "::ffff:10.0.0.2", true),
            ("2001:db8::1", "2001:db8:0:0:ffff::2", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "127.0.0.1", false),
        ];
        for (one, other, same) in rows {
            let admit = |address: &str| addresses.admit(address.parse().unwrap());
            let mut permits = vec![admit(one).unwrap(), admit(one).unwrap()];
            assert!(permits.iter().all(Option::is_some), "{one} is counted");
            assert_eq!(admit(one).err(), Some(TooMany), "{one}");
            assert_eq!(admit(other).is_err(), same, "{one} and {other}");
            permits.pop();
            let again = admit(other).unwrap();
            assert_eq!(admit(one).is_err(), same, "{one} and {other}");
            drop((permits, again));
            assert!(lock(&addresses.table).entries.is_empty(), "no connection is left");
        }
        for uncounted in ["10.0.0.1", "::ffff:10.0.0.1"] {
            let permits: Vec<_> = (0..5).map(|_| addresses.admit(uncounted.parse().unwrap())).collect();
            assert!(permits.iter().all(|permit| matches!(permit, Ok(None))), "{uncounted}");
        }
    }

    #[test]
    fn the_limit_may_be_none_at_all_or_infinite() {
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(addresses(Some(0), &[]).admit(address).err(), Some(TooMany));
        assert!(matches!(addresses(None, &[]).admit(address), Ok(None)));
        assert!(matches!(addresses(Some(usize::MAX), &[]).admit(address), Ok(Some(_))));
    }

    /// Threads add and end connections of few addresses, so that rows end while others look for them.
    #[test]
    fn workers_count_together_and_leave_nothing() {
        let addresses = addresses(Some(3), &[]);
        thread::scope(|scope| {
            for worker in 0..4_u8 {
                let addresses = &addresses;
                scope.spawn(move || {
                    for round in 0..20_000_u32 {
                        let address = IpAddr::from([10, 0, 0, (round % 2) as u8]);
                        let permits: Vec<_> = (0..worker % 3 + 1).map(|_| addresses.admit(address)).collect();
                        let table = lock(&addresses.table);
                        assert!(table.entries.len() <= 2);
                        assert!(table.entries.values().all(|entry| entry.count.strong_count() <= 3));
                        drop(table);
                        drop(permits);
                    }
                });
            }
        });
        assert_eq!((addresses.count(), lock(&addresses.table).entries.len()), (0, 0));
    }

    #[test]
    fn a_minute_has_one_warning_about_an_address_and_twenty_in_all() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let addresses = addresses(Some(1), &[]);
        let networks: Vec<IpAddr> = (0..50).map(|number| IpAddr::from([10, 0, 0, number])).collect();
        let permits: Vec<_> = networks.iter().map(|address| addresses.admit_at(*address, || at(0))).collect();
        let warns = |address: IpAddr, at| lock(&addresses.table).may_warn(Network::of(address), at);
        let warned = |at| networks.iter().filter(|address| warns(**address, at)).count();
        assert!(warns(networks[0], at(1)));
        assert!(!warns(networks[0], at(60)));
        assert_eq!(warned(at(60)), 19);
        assert_eq!(warned(at(62)), 20);
        assert_eq!(warned(at(63)), 0);
        drop(permits);
    }
}
