//! How long the client waits for the peer.

use std::{
    io,
    time::{Duration, Instant},
};

/// How long to wait for the peer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// A timeout for each read or write, none if `None`. Several of them together may take longer.
    PerCall(Option<Duration>),
    /// A point in time by which all reads and writes must be done.
    At(Instant),
    /// As `At`, or no deadline; a [`Waker`](super::Waker) ends a read as well.
    Wakeable(Option<Instant>),
}

impl Deadline {
    /// A deadline for all reads and writes, `duration` from now; none if `None`.
    pub(super) fn after(duration: Option<Duration>) -> Self {
        // A time beyond the range of the clock is no limit.
        match duration.and_then(|duration| Instant::now().checked_add(duration)) {
            Some(deadline) => Self::At(deadline),
            None => Self::PerCall(None),
        }
    }

    /// A deadline for all reads, `duration` from now, that a waker ends earlier.
    pub(super) fn or_waker(duration: Option<Duration>) -> Self {
        match Self::after(duration) {
            Self::At(deadline) => Self::Wakeable(Some(deadline)),
            Self::PerCall(_) | Self::Wakeable(_) => Self::Wakeable(None),
        }
    }

    /// Returns the earlier of this deadline and one that is `duration` from now.
    #[cfg(feature = "client-tls")]
    pub(super) fn at_most(self, duration: Duration) -> Self {
        match (self, Self::after(Some(duration))) {
            (Self::At(one) | Self::Wakeable(Some(one)), Self::At(other)) => Self::At(one.min(other)),
            (Self::PerCall(_) | Self::Wakeable(None), after) => after,
            (at, Self::PerCall(_) | Self::Wakeable(_)) => at,
        }
    }

    /// Returns the timeout for the next read or write.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] if no time is left.
    pub(super) fn timeout(self) -> io::Result<Option<Duration>> {
        match self {
            Self::PerCall(timeout) => Ok(timeout.map(|timeout| timeout.max(MIN_TIMEOUT))),
            Self::Wakeable(None) => Ok(None),
            Self::At(deadline) | Self::Wakeable(Some(deadline)) => {
                match deadline.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
                    left => Ok(Some(left.max(MIN_TIMEOUT))),
                }
            }
        }
    }
}

/// The shortest timeout that is set. Sockets refuse a timeout of zero.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(1);
