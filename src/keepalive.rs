//! When to send a Ping, and when to give a peer up. The time is an argument.

use std::time::{Duration, Instant};

/// The deadlines of an open connection: Pings while the peer is silent (§5.5.2), its end if the silence lasts, the end
/// of a message that arrives too slowly, and the time that the peer has for its Close after ours.
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
    message_within: Duration,
    close_within: Duration,
    heard: Instant,
    message: Option<Message>,
    phase: Phase,
}

/// A message that the peer has begun.
#[derive(Clone, Copy, Debug)]
struct Message {
    progress: Progress,
    /// The time of the last progress.
    since: Instant,
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
    /// A message arrives too slowly. _Fail the connection_, and call [`Keepalive::closing`].
    Message,
    /// The peer does not end the closing handshake. End TCP.
    Close,
}

impl Keepalive {
    /// Begins at `now`, with a Ping after 30 s of silence, an end after 60 s, 30 s without progress in a message, and
    /// 5 s for the closing handshake.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            ping_after: Duration::from_secs(30),
            silent_for: Duration::from_secs(60),
            message_within: Duration::from_secs(30),
            close_within: Duration::from_secs(5),
            heard: now,
            message: None,
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

    /// Sets how long a message may be without progress; see [`unfinished`](Self::unfinished).
    #[must_use]
    pub const fn message_within(mut self, time: Duration) -> Self {
        self.message_within = time;
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

    /// All bytes that came are processed, and this is what is left of them: the bytes of an unfinished message, which
    /// are [`Receiver::buffered_bytes`] if [`Receiver::has_unfinished`] is true; otherwise `None`. `is_new` says whether
    /// a message was completed since the last call, so that the unfinished one is another.
    ///
    /// A thirty-second part more of these bytes, at least one, is progress. So a message that is kept in memory costs
    /// the peer bytes in proportion, and Pings or empty frames do not count. This is for messages that are returned
    /// whole: those in pieces are not kept.
    ///
    /// [`Receiver::buffered_bytes`]: crate::Receiver::buffered_bytes
    /// [`Receiver::has_unfinished`]: crate::Receiver::has_unfinished
    pub fn unfinished(&mut self, buffered: Option<u64>, is_new: bool, now: Instant) {
        match (&mut self.message, buffered) {
            (Some(message), Some(buffered)) if !is_new => {
                if message.progress.is_made(buffered) {
                    message.since = now;
                }
            }
            (message, Some(buffered)) => *message = Some(Message { progress: Progress::from(buffered), since: now }),
            (message, None) => *message = None,
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
        let of_silence = match self.phase {
            Phase::Idle => after(self.heard, self.ping_after.min(self.silent_for)),
            Phase::Pinged => after(self.heard, self.silent_for),
            Phase::Closing(since) => return after(since, self.close_within),
        };
        self.message.map_or(of_silence, |message| of_silence.min(after(message.since, self.message_within)))
    }

    /// Returns what is due at `now`, if anything. A Ping is due once, until the peer is heard again.
    ///
    /// Read first what has arrived: after a time in which the process did not run, the peer's bytes may be waiting. A
    /// message that is found more than a second too late starts anew: nobody has read its bytes meanwhile.
    pub fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        if now < self.next_deadline() {
            return None;
        }
        if let Phase::Closing(_) = self.phase {
            return Some(Overdue::Close);
        }
        if now >= after(self.heard, self.silent_for) {
            return Some(Overdue::Silence);
        }
        if let Some(message) = &mut self.message
            && let Some(late) = now.checked_duration_since(after(message.since, self.message_within))
        {
            if late <= MAX_LATE {
                return Some(Overdue::Message);
            }
            message.since = now;
        }
        let is_ping_due = matches!(self.phase, Phase::Idle) && now >= after(self.heard, self.ping_after);
        is_ping_due.then(|| {
            self.phase = Phase::Pinged;
            Overdue::Ping
        })
    }
}

fn after(from: Instant, time: Duration) -> Instant {
    from + time.min(CENTURY)
}

/// Which part more of an unfinished message is progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// The number of bytes that must be buffered for the next progress.
    goal: u64,
}

impl Progress {
    /// Returns whether `buffered` bytes are progress since this was last true.
    pub(crate) fn is_made(&mut self, buffered: u64) -> bool {
        let is_made = buffered >= self.goal;
        if is_made {
            *self = Self::from(buffered);
        }
        is_made
    }
}

impl From<u64> for Progress {
    /// A message of which `buffered` bytes have arrived.
    fn from(buffered: u64) -> Self {
        Self { goal: buffered.saturating_add((buffered / SHARE).max(1)) }
    }
}

const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// A thirty-second part is progress.
const SHARE: u64 = 32;
/// How much later than its deadline a message still fails.
const MAX_LATE: Duration = Duration::from_secs(1);
