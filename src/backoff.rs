//! Whether and when to connect again. No I/O: the time and the random numbers are arguments.

use std::time::{Duration, Instant, SystemTime};

use crate::{CloseCode, ResponseHead};

/// Exponential back-off with full jitter, for a client that connects again after a loss
/// ([§7.2.3](https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3)).
///
/// Each delay is random, from zero up to a window that doubles with each failure. So the clients of a server that
/// restarts do not come back all at once, and a server that stays away is asked less and less. The first window, 5 s,
/// is the RFC's; the longest is a minute. The windows begin anew once a connection has lasted 10 s.
///
/// ```
/// use std::time::{Duration, Instant};
/// use switchboard::{Backoff, Wish};
///
/// let mut backoff = Backoff::new().windows(Duration::from_secs(1), Duration::from_secs(30));
/// let now = Instant::now();
/// let middle = 1 << 63; // a random number, of 64 bits
/// assert_eq!(backoff.delay(now, Wish::None, middle), Duration::from_millis(500));
/// assert_eq!(backoff.delay(now, Wish::None, middle), Duration::from_millis(1000));
/// assert_eq!(backoff.delay(now, Wish::After(Duration::from_secs(10)), middle), Duration::from_secs(12));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    stable_after: Duration,
    /// How many attempts have failed, or connections were lost too early, in a row.
    failures: u32,
    open_since: Option<Instant>,
}

/// What a server wishes about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Nothing.
    None,
    /// The next attempt not before this time is over: a Retry-After. An hour counts for more.
    After(Duration),
    /// The server restarts or is overloaded: close codes 1012 and 1013. The next attempt comes after "a randomized
    /// delay of 5 - 30s", as the registry of close codes asks.
    Restart,
}

impl Backoff {
    /// Windows of 5 s up to a minute, which begin anew once a connection has lasted 10 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: Duration::from_secs(5),
            max: Duration::from_secs(60),
            stable_after: Duration::from_secs(10),
            failures: 0,
            open_since: None,
        }
    }

    /// Sets the first and the longest window.
    #[must_use]
    pub const fn windows(mut self, first: Duration, max: Duration) -> Self {
        (self.first, self.max) = (first, max);
        self
    }

    /// Sets how long a connection must last for the windows to begin anew.
    #[must_use]
    pub const fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// A connection is open.
    pub fn opened(&mut self, now: Instant) {
        self.open_since = Some(now);
    }

    /// Returns how long to wait now that the connection is lost, or an attempt has failed. `random` is any number of 64
    /// bits, each as likely.
    pub fn delay(&mut self, now: Instant, wish: Wish, random: u64) -> Duration {
        if let Some(since) = self.open_since.take()
            && now.saturating_duration_since(since) >= self.stable_after
        {
            self.failures = 0;
        }
        let doubled = 2_u32.checked_pow(self.failures).and_then(|factor| self.first.checked_mul(factor));
        let window = doubled.unwrap_or(self.max).min(self.max);
        self.failures = self.failures.saturating_add(1);
        match wish {
            Wish::None => share(window, random),
            Wish::After(time) => time.min(MAX_WISH).saturating_add(share(window, random)),
            Wish::Restart => MIN_RESTART.saturating_add(share(window.max(RESTART_WINDOW), random)),
        }
    }

    /// Returns how many attempts have failed, or connections were lost too early, in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Returns whether the reason for this Close may pass by itself: 1001, 1011, 1012, 1013, 1014, or no code (`None`).
    #[must_use]
    pub fn retries_close(code: Option<CloseCode>) -> bool {
        match code.map(CloseCode::get) {
            // Going away, no status, internal error, service restart, try again later, bad gateway.
            None | Some(1001 | 1011 | 1012 | 1013 | 1014) => true,
            // The server's wish (1000), what this client has done, and codes whose meaning only the application knows.
            Some(_) => false,
        }
    }

    /// Returns whether the reason for a response with this status may pass by itself: 408, 425, 429, or from 500 on,
    /// except 501, 505, 506, 510 and 511.
    #[must_use]
    pub fn retries_status(status: u16) -> bool {
        match status {
            408 | 425 | 429 => true,
            // Not implemented, wrong version, and what another attempt with the same request cannot change.
            501 | 505 | 506 | 510 | 511 => false,
            500..=599 => true,
            _ => false,
        }
    }
}

impl Wish {
    /// Returns the wish in a Close with this code, or without one (`None`).
    #[must_use]
    pub fn of_close(code: Option<CloseCode>) -> Self {
        match code {
            Some(CloseCode::SERVICE_RESTART | CloseCode::TRY_AGAIN_LATER) => Self::Restart,
            Some(_) | None => Self::None,
        }
    }

    /// Returns the wish in the response that refuses a connection: its Retry-After
    /// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). `now` is the time of the wall
    /// clock, with which a date is compared.
    #[must_use]
    pub fn of_refusal(response: &ResponseHead, now: SystemTime) -> Self {
        retry_after(response, now).map_or(Self::None, Self::After)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns a share of the window: `random / 2^64` of it.
fn share(window: Duration, random: u64) -> Duration {
    let nanoseconds = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(nanoseconds) * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(share).unwrap_or(nanoseconds))
}

/// Returns the time from `now` on that the response asks to wait.
pub(crate) fn retry_after(response: &ResponseHead, now: SystemTime) -> Option<Duration> {
    let value = std::str::from_utf8(response.values("retry-after").next()?).ok()?.trim_ascii();
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The longest Retry-After that is obeyed.
const MAX_WISH: Duration = Duration::from_secs(3600);

/// The delay after the close codes 1012 and 1013: 5 to 30 seconds.
const MIN_RESTART: Duration = Duration::from_secs(5);
const RESTART_WINDOW: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HeadLimits, ResponseReader};

    fn head(fields: &str) -> ResponseHead {
        let head = format!("HTTP/1.1 503 X\r\n{fields}\r\n");
        ResponseReader::new(HeadLimits::default()).receive(head.as_bytes()).unwrap().unwrap().0
    }

    const MIDDLE: u64 = 1 << 63;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn windows_double_up_to_the_longest_and_a_delay_is_a_random_share() {
        let now = Instant::now();
        let rows = [
            (0, [0.0; 8]),
            (MIDDLE, [2.5, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0, 30.0]),
            (MIDDLE / 2, [1.25, 2.5, 5.0, 10.0, 15.0, 15.0, 15.0, 15.0]),
        ];
        for (random, expected) in rows {
            let mut backoff = Backoff::new();
            let delays = expected.map(|_| backoff.delay(now, Wish::None, random));
            assert_eq!(delays, expected.map(seconds), "{random}");
        }
        let mut backoff = Backoff::new();
        let longest = backoff.delay(now, Wish::None, u64::MAX);
        assert!(longest < seconds(5.0) && longest > seconds(4.999_999), "{longest:?}");
    }

    #[test]
    fn windows_begin_anew_only_after_a_connection_that_lasted() {
        let start = Instant::now();
        for (lasted, expected) in [(0.0, 10.0), (9.999, 10.0), (10.0, 2.5), (3600.0, 2.5)] {
            let mut backoff = Backoff::new();
            backoff.delay(start, Wish::None, MIDDLE);
            backoff.delay(start, Wish::None, MIDDLE);
            backoff.opened(start);
            assert_eq!(backoff.delay(start + seconds(lasted), Wish::None, MIDDLE), seconds(expected), "{lasted}");
        }
    }

    #[test]
    fn a_wish_of_the_server_is_the_least() {
        let now = Instant::now();
        let after = |seconds| Wish::After(Duration::from_secs(seconds));
        let rows = [
            (after(0), 0, 0.0),
            (after(0), MIDDLE, 2.5),
            (after(120), 0, 120.0),
            (after(120), MIDDLE, 122.5),
            (after(3600), 0, 3600.0),
            (after(3601), 0, 3600.0),
            (after(u64::MAX), MIDDLE, 3602.5),
            (Wish::Restart, 0, 5.0),
            (Wish::Restart, MIDDLE, 17.5),
        ];
        for (wish, random, expected) in rows {
            assert_eq!(Backoff::new().delay(now, wish, random), seconds(expected), "{wish:?} {random}");
        }
        let mut backoff = Backoff::new();
        let restarts = [(); 5].map(|()| backoff.delay(now, Wish::Restart, MIDDLE));
        assert_eq!(restarts, [17.5, 17.5, 17.5, 25.0, 35.0].map(seconds));
    }

    #[test]
    fn no_time_and_no_number_of_failures_overflows() {
        let now = Instant::now();
        let mut backoff = Backoff::new().windows(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            for wish in [Wish::None, Wish::After(Duration::MAX), Wish::Restart] {
                assert!(backoff.delay(now, wish, u64::MAX) <= Duration::MAX);
            }
        }
        backoff.failures = u32::MAX;
        backoff.delay(now, Wish::None, u64::MAX);
        let mut none = Backoff::new().windows(Duration::ZERO, Duration::ZERO);
        assert_eq!(none.delay(now, Wish::None, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn a_close_is_retryable_if_the_server_may_come_back() {
        let retryable = (1000..5000).filter(|&code| Backoff::retries_close(Some(CloseCode::new(code))));
        assert!(retryable.eq([1001, 1011, 1012, 1013, 1014]));
        assert!(Backoff::retries_close(None));
    }

    #[test]
    fn a_close_may_ask_for_time() {
        let restarts = (1000..5000).filter(|&code| Wish::of_close(Some(CloseCode::new(code))) == Wish::Restart);
        assert!(restarts.eq([1012, 1013]));
        assert_eq!(Wish::of_close(None), Wish::None);
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let rows = [
            ("Retry-After: 0\r\n", Some(0)),
            ("Retry-After: 120\r\n", Some(120)),
            ("retry-after:  7 \r\n", Some(7)),
            ("Retry-After: Sun, 06 Nov 1994 08:50:37 GMT\r\n", Some(60)),
            ("Retry-After: Sun, 06 Nov 1994 08:49:36 GMT\r\n", Some(0)),
            ("Retry-After: 18446744073709551615\r\n", Some(u64::MAX)),
            ("Retry-After: 18446744073709551616\r\n", None),
            ("Retry-After: -1\r\n", None),
            ("Retry-After: +1\r\n", None),
            ("Retry-After: 1.5\r\n", None),
            ("Retry-After: soon\r\n", None),
            ("Retry-After:\r\n", None),
            ("", None),
        ];
        for (fields, seconds) in rows {
            let expected = seconds.map(Duration::from_secs).map_or(Wish::None, Wish::After);
            assert_eq!(Wish::of_refusal(&head(fields), now), expected, "{fields:?}");
        }
    }
}
