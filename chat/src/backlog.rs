//! The events of a connection that the core has not finished: their bounds, and when the connection must wait.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// The events of one connection that the core has not finished.
///
/// A connection that reaches a bound is no longer read, so it is slowed down instead of refused. It is read again when
/// the core has finished half of its events. So the replies that a connection can request without reading any of them
/// are bounded, too.
#[derive(Debug)]
pub(super) struct Backlog {
    /// The key of the client's address: see [`address_key`](super::rate::address_key).
    address: IpAddr,
    /// The number of events, their bytes, and whether the connection waits: see [`EVENT`] and [`WAITS`].
    state: AtomicU64,
    /// The bytes of all connections' events.
    total: Arc<AtomicUsize>,
}

/// What a connection does after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// It is read on.
    Continue,
    /// It is not read until the core resumes it.
    Pause,
}

/// The core has too much to do. The client may try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overloaded;

impl Backlog {
    /// Returns the backlog of a new connection. `total` is shared by all connections.
    pub(super) fn new(address: IpAddr, total: Arc<AtomicUsize>) -> Self {
        Self { address, state: AtomicU64::new(0), total }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.address
    }

    /// Adds an event. Called on the connection's thread, which then pauses the connection if told so.
    ///
    /// # Errors
    /// [`Overloaded`] if the events of all connections have too many bytes. A connection with nothing else to be done
    /// may still send a short event, so that those who flood do not keep the others from it.
    pub(super) fn begin(&self, bytes: usize) -> Result<Flow, Overloaded> {
        let bytes = bytes.saturating_add(OVERHEAD);
        let is_modest = bytes <= MODEST_BYTES && self.state.load(Ordering::Relaxed) == 0;
        let max = if is_modest { MAX_TOTAL_BYTES + MODEST_RESERVE } else { MAX_TOTAL_BYTES };
        let added = |total: usize| total.checked_add(bytes).filter(|total| *total <= max);
        if self.total.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_err() {
            return Err(Overloaded);
        }
        let change = EVENT + bytes as u64;
        let state = self.state.fetch_add(change, Ordering::AcqRel) + change;
        if !is_above(state, 1) {
            return Ok(Flow::Continue);
        }
        // If the core has finished enough of them meanwhile, it has not seen the mark, or it resumes in vain.
        let state = self.state.fetch_or(WAITS, Ordering::AcqRel);
        let is_over = !is_above(state, 2) && self.state.fetch_and(!WAITS, Ordering::AcqRel) & WAITS != 0;
        Ok(if is_over { Flow::Continue } else { Flow::Pause })
    }

    /// Removes an event that the core has finished, with all its effects. Returns whether the connection waits and must
    /// be resumed.
    pub(super) fn finish(&self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(OVERHEAD);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        let change = EVENT + bytes as u64;
        let state = self.state.fetch_sub(change, Ordering::AcqRel) - change;
        state & WAITS != 0 && !is_above(state, 2) && self.state.fetch_and(!WAITS, Ordering::AcqRel) & WAITS != 0
    }
}

/// Returns whether a state has reached a bound divided by `part`.
fn is_above(state: u64, part: u64) -> bool {
    let (events, bytes) = ((state & !WAITS) / EVENT, state % EVENT);
    events >= MAX_EVENTS / part || bytes >= MAX_BYTES / part
}

/// Added to the state for each event. The bytes of the events are below it.
const EVENT: u64 = 1 << 40;
/// Added to the state while the connection waits.
const WAITS: u64 = 1 << 63;
/// Maximum events of a connection, and maximum bytes of them, beyond the last one.
const MAX_EVENTS: u64 = 32;
const MAX_BYTES: u64 = 128 << 10;
/// Bytes that an event takes beside its text.
const OVERHEAD: usize = 256;
/// Maximum bytes of all connections' events.
const MAX_TOTAL_BYTES: usize = 64 << 20;
/// More than that are accepted for the only event of a connection, if it is at most this long.
const MODEST_RESERVE: usize = 64 << 20;
const MODEST_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn backlog(total: &Arc<AtomicUsize>) -> Backlog {
        Backlog::new(Ipv4Addr::LOCALHOST.into(), Arc::clone(total))
    }

    #[test]
    fn a_connection_waits_from_its_32nd_event_until_half_of_them_are_finished() {
        let total = Arc::default();
        let backlog = backlog(&total);
        for number in 1..32 {
            assert_eq!(backlog.begin(10), Ok(Flow::Continue), "event {number}");
        }
        assert_eq!(backlog.begin(10), Ok(Flow::Pause));
        // What the connection had sent already.
        assert_eq!(backlog.begin(10), Ok(Flow::Pause));
        for left in (16..33).rev() {
            assert!(!backlog.finish(10), "with {left} left");
        }
        assert!(backlog.finish(10), "with 15 left");
        for left in (0..15).rev() {
            assert!(!backlog.finish(10), "with {left} left");
        }
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_connection_waits_for_long_events_earlier() {
        let total = Arc::default();
        let backlog = backlog(&total);
        assert_eq!(backlog.begin(64_000), Ok(Flow::Continue));
        assert_eq!(backlog.begin(64_000), Ok(Flow::Continue));
        assert_eq!(backlog.begin(64_000), Ok(Flow::Pause));
        assert!(!backlog.finish(64_000));
        assert!(backlog.finish(64_000));
        assert!(!backlog.finish(64_000));
    }

    #[test]
    fn past_the_bound_of_all_only_one_short_event_of_each_connection_is_accepted() {
        let total = Arc::default();
        let flood = backlog(&total);
        for bytes in [60_000, 0] {
            while flood.begin(bytes).is_ok() {}
        }
        let bytes = total.load(Ordering::Relaxed);
        assert!(bytes <= MAX_TOTAL_BYTES && bytes > MAX_TOTAL_BYTES - OVERHEAD);
        let calm = backlog(&total);
        assert_eq!(calm.begin(60_000), Err(Overloaded));
        assert_eq!(calm.begin(1_000), Ok(Flow::Continue));
        assert_eq!(calm.begin(1_000), Err(Overloaded), "one at a time");
        assert_eq!(flood.begin(1_000), Err(Overloaded), "and not to those who flood");
        calm.finish(1_000);
        assert_eq!(calm.begin(1_000), Ok(Flow::Continue));
        while backlog(&total).begin(7_000).is_ok() {}
        assert!(total.load(Ordering::Relaxed) <= MAX_TOTAL_BYTES + MODEST_RESERVE);
    }

    /// A connection's thread and the core's thread at once: whoever waits is resumed.
    #[test]
    fn a_connection_that_waits_is_always_resumed() {
        let total = Arc::default();
        let backlog = Arc::new(backlog(&total));
        let (events, work) = std::sync::mpsc::channel::<()>();
        let (resume, resumed) = std::sync::mpsc::channel::<()>();
        let core = {
            let backlog = Arc::clone(&backlog);
            std::thread::spawn(move || {
                for () in work {
                    if backlog.finish(1) {
                        resume.send(()).unwrap();
                    }
                }
            })
        };
        for _ in 0..200_000 {
            let flow = backlog.begin(1).unwrap();
            events.send(()).unwrap();
            if flow == Flow::Pause {
                resumed.recv_timeout(std::time::Duration::from_secs(60)).expect("resumed");
            }
        }
        drop(events);
        core.join().unwrap();
        assert_eq!(total.load(Ordering::Relaxed), 0);
    }
}
