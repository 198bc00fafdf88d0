//! When to send a Ping, and when to give a peer up. The time is an argument.

use std::time::{Duration, Instant};

/// The deadlines of an open connection: Pings while the peer is silent (§5.5.2), its end if the silence lasts, and the
/// time that the peer has for its Close after ours.
///
/// ```
/// use std::time::{Duration, Instant};
/// use switchboard::{Keepalive, Overdue};
///
/// let start = Instant::now();
/// let mut keepalive = Keepalive::new(start);
/// assert_eq!(keepalive.next_deadline(), start + Duration::from_secs(30));
/// assert_eq!(keepalive.overdue(start + Duration::from_secs(30)), Some(Overdue::Ping));
/// assert_eq!(keepalive.next_deadline(), start + Duration::from_secs(60));
/// keepalive.heard(start + Duration::from_secs(31)); // a Pong, or anything else
/// assert_eq!(keepalive.next_deadline(), start + Duration::from_secs(61));
/// ```
#[derive(Clone, Debug)]
pub struct Keepalive {
    ping_after: Duration,
    silent_for: Duration,
    close_within: Duration,
    heard: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The peer was heard.
    Idle,
    /// A Ping is sent since.
    Pinged,
    /// Our Close is sent, or the connection has failed, at this time.
    Closing(Instant),
}

/// What is due on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overdue {
    /// Send a Ping.
    Ping,
    /// The peer is silent for too long. _Fail the connection_, and call [`Keepalive::closing`].
    Silence,
    /// The peer does not end the closing handshake. End TCP.
    Close,
}

impl Keepalive {
    /// Begins at `now`, with a Ping after 30 s of silence, an end after 60 s, and 5 s for the closing handshake.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            ping_after: Duration::from_secs(30),
            silent_for: Duration::from_secs(60),
            close_within: Duration::from_secs(5),
            heard: now,
            phase: Phase::Idle,
        }
    }

    /// Sets after what silence a Ping is due, and after what silence the peer is given up. The second should be longer;
    /// otherwise there is no Ping.
    #[must_use]
    pub const fn silence(mut self, ping_after: Duration, give_up_after: Duration) -> Self {
        (self.ping_after, self.silent_for) = (ping_after, give_up_after);
        self
    }

    /// Sets how long the peer may take for its Close after ours.
    #[must_use]
    pub const fn close_within(mut self, time: Duration) -> Self {
        self.close_within = time;
        self
    }

    /// Bytes came from the peer.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        if let Phase::Pinged = self.phase {
            self.phase = Phase::Idle;
        }
    }

    /// Our Close was sent, or the connection has failed. What the peer sends no longer counts. Only the first call has
    /// an effect.
    pub fn closing(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Closing(_)) {
            self.phase = Phase::Closing(now);
        }
    }

    /// Returns when to call [`overdue`](Self::overdue) again. A time beyond the range of the clock is the clock's end,
    /// as far as it is known: a century.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let (from, time) = match self.phase {
            Phase::Idle => (self.heard, self.ping_after.min(self.silent_for)),
            Phase::Pinged => (self.heard, self.silent_for),
            Phase::Closing(since) => (since, self.close_within),
        };
        from + time.min(CENTURY)
    }

    /// Returns what is due at `now`, if anything. A Ping is due once, until the peer is heard again.
    ///
    /// Read first what has arrived: after a time in which the process did not run, the peer's bytes may be waiting.
    pub fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        if now < self.next_deadline() {
            return None;
        }
        match self.phase {
            Phase::Closing(_) => Some(Overdue::Close),
            _ if now >= self.heard + self.silent_for.min(CENTURY) => Some(Overdue::Silence),
            _ => {
                self.phase = Phase::Pinged;
                Some(Overdue::Ping)
            }
        }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
