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
    /// The memory for all connections' events.
    memory: Arc<EventMemory>,
}

/// The memory for the events of all connections that the core has not finished.
#[derive(Debug)]
pub(super) struct EventMemory {
    used: AtomicUsize,
    /// Maximum bytes. More than half of them are taken only for the only event of a connection, if it is at most
    /// [`MODEST_BYTES`] long.
    max: usize,
}

impl EventMemory {
    pub(super) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }
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
    /// Returns the backlog of a new connection. All connections share `memory`.
    pub(super) fn new(address: IpAddr, memory: Arc<EventMemory>) -> Self {
        Self { address, state: AtomicU64::new(0), memory }
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
        let max = if is_modest { self.memory.max } else { self.memory.max / 2 };
        let added = |used: usize| used.checked_add(bytes).filter(|used| *used <= max);
        if self.memory.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).is_err() {
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
        self.memory.used.fetch_sub(bytes, Ordering::Relaxed);
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
pub(super) const MAX_EVENTS: u64 = 32;
pub(super) const MAX_BYTES: u64 = 128 << 10;
/// Bytes that an event takes beside its text.
const OVERHEAD: usize = 256;
/// Maximum length of an event that may use the second half of the memory, with [`OVERHEAD`].
const MODEST_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const MAX: usize = 1 << 20;

    fn memory() -> Arc<EventMemory> {
        Arc::new(EventMemory::new(MAX))
    }

    fn backlog(memory: &Arc<EventMemory>) -> Backlog {
        Backlog::new(Ipv4Addr::LOCALHOST.into(), Arc::clone(memory))
    }

    #[test]
    fn a_connection_waits_from_its_32nd_event_until_half_of_them_are_finished() {
        let memory = memory();
        let backlog = backlog(&memory);
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
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_connection_waits_for_long_events_earlier() {
        let memory = memory();
        let backlog = backlog(&memory);
        assert_eq!(backlog.begin(64_000), Ok(Flow::Continue));
        assert_eq!(backlog.begin(64_000), Ok(Flow::Continue));
        assert_eq!(backlog.begin(64_000), Ok(Flow::Pause));
        assert!(!backlog.finish(64_000));
        assert!(backlog.finish(64_000));
        assert!(!backlog.finish(64_000));
    }

    #[test]
    fn past_the_bound_of_all_only_one_short_event_of_each_connection_is_accepted() {
        let memory = memory();
        let flood = backlog(&memory);
        for bytes in [60_000, 0] {
            while flood.begin(bytes).is_ok() {}
        }
        let bytes = memory.used.load(Ordering::Relaxed);
        assert!(bytes <= MAX / 2 && bytes > MAX / 2 - OVERHEAD);
        let calm = backlog(&memory);
        assert_eq!(calm.begin(60_000), Err(Overloaded));
        assert_eq!(calm.begin(1_000), Ok(Flow::Continue));
        assert_eq!(calm.begin(1_000), Err(Overloaded), "one at a time");
        assert_eq!(flood.begin(1_000), Err(Overloaded), "and not to those who flood");
        calm.finish(1_000);
        assert_eq!(calm.begin(1_000), Ok(Flow::Continue));
        while backlog(&memory).begin(7_000).is_ok() {}
        assert!(memory.used.load(Ordering::Relaxed) <= MAX);
    }

    /// A connection's thread and the core's thread at once: whoever waits is resumed.
    #[test]
    fn a_connection_that_waits_is_always_resumed() {
        let memory = memory();
        let backlog = Arc::new(backlog(&memory));
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
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
