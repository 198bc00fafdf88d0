//! Rate limits: a [`Rate`] that the operator configures, and a token [`Bucket`] for each user, connection or address.
//!
//! Time is an argument; nothing here reads a clock.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    time::{Duration, Instant},
};

/// A rate limit: a burst at once, then a number per second.
///
/// As text it is `20+5/s`: 20 at once, then 5 per second. Minutes and hours are `m` and `h`: `10+10/m`.
///
/// Any numbers are safe. With 0 `at_once`, nothing is ever allowed. A `per_second` below once a day, or not a number,
/// counts as once a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The number that is allowed at once.
    pub at_once: u32,
    /// The number that becomes available again per second.
    pub per_second: f64,
}

/// Why a text is not a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRate {
    /// The text is not of the form `20+5/s`.
    Form,
    /// A number is zero or too large.
    Range,
}

impl Rate {
    /// Multiplies both numbers.
    pub(super) fn times(self, factor: u32) -> Self {
        Self { at_once: self.at_once.saturating_mul(factor), per_second: self.per_second * f64::from(factor) }
    }

    /// Multiplies the number that is allowed at once.
    pub(super) fn times_at_once(self, factor: u32) -> Self {
        Self { at_once: self.at_once.saturating_mul(factor), ..self }
    }

    /// Divides both numbers, and allows at least one at once.
    pub(super) fn divided_by(self, divisor: u32) -> Self {
        Self { at_once: (self.at_once / divisor).max(1), per_second: self.per_second / f64::from(divisor) }
    }

    /// Returns the time until one more is available.
    fn interval(self) -> Duration {
        // False for NaN and negative numbers, too.
        if self.per_second > 0.0 {
            Duration::try_from_secs_f64(1.0 / self.per_second).map_or(MAX_INTERVAL, |time| time.min(MAX_INTERVAL))
        } else {
            MAX_INTERVAL
        }
    }
}

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (at_once, refill) = text.split_once('+').ok_or(BadRate::Form)?;
        let (count, unit) = refill.split_once('/').ok_or(BadRate::Form)?;
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(BadRate::Form)?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if !is_number(at_once) || !is_number(count) {
            return Err(BadRate::Form);
        }
        let count: f64 = count.parse().map_err(|_| BadRate::Form)?;
        let per_second = count / seconds;
        let at_once = at_once.parse().map_err(|_| if at_once.is_empty() { BadRate::Form } else { BadRate::Range })?;
        if at_once > 0 && per_second > 0.0 && per_second.is_finite() {
            Ok(Self { at_once, per_second })
        } else {
            Err(BadRate::Range)
        }
    }
}

/// Writes the form that is parsed, with the shortest unit for which the number is whole.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = |(_, seconds): &(&str, f64)| (self.per_second * seconds).fract() == 0.0;
        let (unit, seconds) = UNITS.into_iter().find(is_whole).unwrap_or(UNITS[0]);
        write!(f, "{}+{}/{unit}", self.at_once, self.per_second * seconds)
    }
}

impl fmt::Display for BadRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a rate has the form 20+5/s: 20 at once, then 5 per second (or m for minute, h for hour)",
            Self::Range => "both numbers of a rate must be greater than 0, and the first at most 4294967295",
        })
    }
}

impl std::error::Error for BadRate {}

/// A token bucket. It starts full. Each call passes its [`Rate`].
///
/// It stores only the time when it will be full again. So there is no sum that could drift, and a full bucket equals a
/// new one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one token.
    ///
    /// # Errors
    /// The time until one is available, at most a day. Nothing was taken.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_several(1, rate, now)
    }

    /// Takes `count` tokens, or all if a full bucket has fewer: so an expensive action stays possible, although rarely.
    ///
    /// # Errors
    /// The time until that many are available. Nothing was taken.
    fn take_several(&mut self, count: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        let interval = rate.interval();
        let whole = interval.saturating_mul(rate.at_once);
        let wanted = interval.saturating_mul(count.min(rate.at_once.max(1)));
        // At most twice all tokens are missing: see `charge`. Without this, a rate lower than the last call's would
        // cause too long a wait.
        let missing = self.missing(now).min(whole.saturating_mul(2)) + wanted;
        match missing.checked_sub(whole) {
            Some(Duration::ZERO) | None => {
                // Cannot overflow: at most 2³² days from now.
                self.full_at = Some(now + missing);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// Takes `count` tokens that may not be there yet: the next ones are available the later. At most a whole bucket is
    /// owed.
    fn charge(&mut self, count: u32, rate: Rate, now: Instant) {
        let interval = rate.interval();
        let whole = interval.saturating_mul(rate.at_once);
        let missing = self.missing(now).saturating_add(interval.saturating_mul(count)).min(whole.saturating_mul(2));
        // Cannot overflow: at most 2³³ days from now.
        self.full_at = Some(now + missing);
    }

    /// Returns a token that was taken.
    fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.and_then(|full_at| full_at.checked_sub(rate.interval()));
    }

    /// Returns whether no token is missing.
    fn is_full(&self, now: Instant) -> bool {
        self.missing(now).is_zero()
    }

    /// Returns the time until the bucket is full. `now` may be a little earlier than in the last call, as another
    /// thread's time may be.
    fn missing(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }
}

/// A [`Bucket`] for each key, at most [`MAX_BUCKETS`].
#[derive(Debug)]
pub(super) struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    pub(super) fn new() -> Self {
        Self { buckets: HashMap::new() }
    }

    /// Takes one token from the bucket of a key.
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub(super) fn take(&mut self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_several(key, 1, rate, now)
    }

    /// Takes `count` tokens from the bucket of a key.
    ///
    /// # Errors
    /// As [`Bucket::take_several`].
    pub(super) fn take_several(&mut self, key: K, count: u32, rate: Rate, now: Instant) -> Result<(), Duration> {
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(&key) {
            self.make_room(now);
        }
        self.buckets.entry(key).or_default().take_several(count, rate, now)
    }

    /// Takes `count` tokens from the bucket of a key, even if they are not there yet.
    pub(super) fn charge(&mut self, key: K, count: u32, rate: Rate, now: Instant) {
        // Only what was just used can owe more.
        if let Some(bucket) = self.buckets.get_mut(&key) {
            bucket.charge(count, rate, now);
        }
    }

    /// Returns a token that was taken.
    pub(super) fn give_back(&mut self, key: &K, rate: Rate) {
        if let Some(bucket) = self.buckets.get_mut(key) {
            bucket.give_back(rate);
        }
    }

    /// Returns the time until a token of a key is available, or `None` if one is. Takes none.
    pub(super) fn wait_for<Q>(&self, key: &Q, rate: Rate, now: Instant) -> Option<Duration>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.buckets.get(key).and_then(|bucket| {
            let mut copy = *bucket;
            copy.take(rate, now).err()
        })
    }

    /// Evicts the full buckets, which equal new ones. If none is full, evicts the one that will be full first. Refusing
    /// new keys instead would let a flood of addresses lock out everybody else.
    fn make_room(&mut self, now: Instant) {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        if self.buckets.len() >= MAX_BUCKETS {
            let next = self.buckets.iter().min_by_key(|(_, bucket)| bucket.full_at).map(|(key, _)| key.clone());
            next.map(|key| self.buckets.remove(&key));
        }
    }
}

/// A [`Bucket`] for each network of clients.
///
/// A client can use many addresses: a subscriber has a /64 of IPv6 at least, often a /56, a company a /48. So a token
/// comes from each network that the address is in, and a wider one has a multiple of the rate: it may have many users.
#[derive(Debug)]
pub(super) struct NetworkBuckets {
    buckets: Buckets<Network>,
}

/// The addresses that share this many leading bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    fn of(address: IpAddr, bits: u8) -> Self {
        let mask = |bits: u8, width: u8| u128::MAX.checked_shl((width - bits).into()).unwrap_or(0);
        let address = match address.to_canonical() {
            IpAddr::V4(v4) => {
                Ipv4Addr::from_bits(v4.to_bits() & u32::MAX.checked_shl((32 - bits).into()).unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask(bits, 128)).into(),
        };
        Self { address, bits }
    }

    /// Returns the widest network that is taken for one client: a /24 of IPv4, a /48 of IPv6.
    pub(super) fn widest_of(address: IpAddr) -> Self {
        match widths_of(address).last() {
            Some((bits, _)) => Self::of(address, *bits),
            None => Self::of(address, 0),
        }
    }
}

/// Returns the widths of the networks of an address, the narrowest first, and by how much each multiplies the rate.
fn widths_of(address: IpAddr) -> &'static [(u8, u32)] {
    match address.to_canonical() {
        IpAddr::V4(_) => &[(32, 1), (24, 4)],
        IpAddr::V6(_) => &[(64, 1), (56, 2), (48, 4)],
    }
}

/// Returns the networks of an address, and the rate of each, if `rate` is that of one address.
fn rates_of(address: IpAddr, rate: Rate) -> impl Iterator<Item = (Network, Rate)> {
    widths_of(address).iter().map(move |(bits, factor)| (Network::of(address, *bits), rate.times(*factor)))
}

impl NetworkBuckets {
    pub(super) fn new() -> Self {
        Self { buckets: Buckets::new() }
    }

    /// Takes one token from the bucket of each network of an address.
    ///
    /// # Errors
    /// The time until one is available from all of them. Nothing was taken.
    pub(super) fn take(&mut self, address: IpAddr, rate: Rate, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait_for(address, rate, now) {
            return Err(wait);
        }
        rates_of(address, rate).try_for_each(|(network, rate)| self.buckets.take(network, rate, now))
    }

    /// Returns the time until a token is available from the buckets of all networks of an address, or `None` if one is.
    /// Takes none.
    pub(super) fn wait_for(&self, address: IpAddr, rate: Rate, now: Instant) -> Option<Duration> {
        rates_of(address, rate).filter_map(|(network, rate)| self.buckets.wait_for(&network, rate, now)).max()
    }

    /// Returns the tokens that were taken for an address.
    pub(super) fn give_back(&mut self, address: IpAddr, rate: Rate) {
        for (network, rate) in rates_of(address, rate) {
            self.buckets.give_back(&network, rate);
        }
    }
}

/// Returns the address as which a client counts: for IPv6 its /64, since a subscriber can use all addresses of at least
/// that.
pub(super) fn address_key(address: IpAddr) -> IpAddr {
    match widths_of(address).first() {
        Some((bits, _)) => Network::of(address, *bits).address,
        None => address,
    }
}

const UNITS: [(&str, f64); 3] = [("s", 1.0), ("m", 60.0), ("h", 3600.0)];
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_BUCKETS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const EXTREMES: [f64; 9] =
        [f64::NAN, 0.0, -0.0, -1.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 5e-324];

    #[test]
    fn a_rate_is_written_as_it_is_parsed() {
        let rows = [
            ("20+5/s", 20, 5.0),
            ("1+1/s", 1, 1.0),
            ("10+10/m", 10, 10.0 / 60.0),
            ("3+1/h", 3, 1.0 / 3600.0),
            ("4294967295+1000000000/s", u32::MAX, 1e9),
            ("1+18/m", 1, 0.3),
            ("1+0.0001/s", 1, 0.0001),
        ];
        for (text, at_once, per_second) in rows {
            let rate = Rate { at_once, per_second };
            assert_eq!(text.parse(), Ok(rate), "{text}");
            assert_eq!(rate.to_string(), text);
        }
        for (text, shortest) in
            [("1+60/m", "1+1/s"), ("1+30/m", "1+30/m"), ("2+0.5/m", "2+30/h"), ("07+2.0/s", "7+2/s")]
        {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), shortest, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_rate_is_refused() {
        let rows = [
            ("", BadRate::Form),
            ("20", BadRate::Form),
            ("20+5", BadRate::Form),
            ("20,5", BadRate::Form),
            ("+5/s", BadRate::Form),
            ("20+/s", BadRate::Form),
            ("20+./s", BadRate::Form),
            ("20+5/d", BadRate::Form),
            ("20+5/s ", BadRate::Form),
            ("20 + 5/s", BadRate::Form),
            ("-1+5/s", BadRate::Form),
            ("20+-5/s", BadRate::Form),
            ("20+NaN/s", BadRate::Form),
            ("20+inf/s", BadRate::Form),
            ("20+1e9/s", BadRate::Form),
            ("20++5/s", BadRate::Form),
            ("0+5/s", BadRate::Range),
            ("20+0/s", BadRate::Range),
            ("1.5+5/s", BadRate::Range),
            ("4294967296+5/s", BadRate::Range),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<Rate>(), Err(expected), "{text:?}");
        }
        let endless = format!("20+{}/s", "9".repeat(400));
        assert_eq!(endless.parse::<Rate>(), Err(BadRate::Range));
    }

    #[test]
    fn a_bucket_allows_a_burst_and_then_one_per_interval() {
        let rate = Rate { at_once: 3, per_second: 2.0 };
        let start = Instant::now();
        let mut bucket = Bucket::default();
        let rows: &[(u64, Result<(), u64>)] = &[
            (0, Ok(())),
            (0, Ok(())),
            (0, Ok(())),
            (0, Err(500)),
            (200, Err(300)),
            (499, Err(1)),
            (500, Ok(())),
            (500, Err(500)),
            (1500, Ok(())),
            (1500, Ok(())),
            (1500, Err(500)),
            // A long pause fills the bucket, but not above its size.
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Ok(())),
            (60_000, Err(500)),
            // The time of another thread, a little behind.
            (59_999, Err(501)),
        ];
        for (row, (millis, expected)) in rows.iter().enumerate() {
            let taken = bucket.take(rate, start + Duration::from_millis(*millis));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "row {row}");
        }
    }

    #[test]
    fn several_tokens_are_taken_at_once_or_none() {
        let rate = Rate { at_once: 5, per_second: 2.0 };
        let start = Instant::now();
        let mut bucket = Bucket::default();
        let rows: &[(u64, u32, Result<(), u64>)] = &[
            (0, 3, Ok(())),
            (0, 3, Err(500)),
            (0, 2, Ok(())),
            (1499, 3, Err(1)),
            (1500, 3, Ok(())),
            // More than a full bucket has: all of them.
            (3999, 100, Err(1)),
            (4000, 100, Ok(())),
            (4000, 1, Err(500)),
        ];
        for (row, (millis, count, expected)) in rows.iter().enumerate() {
            let taken = bucket.take_several(*count, rate, start + Duration::from_millis(*millis));
            assert_eq!(taken, expected.map_err(Duration::from_millis), "row {row}");
        }
    }

    #[test]
    fn tokens_that_are_charged_are_owed_up_to_a_whole_bucket() {
        let rate = Rate { at_once: 10, per_second: 1.0 };
        let now = Instant::now();
        let rows = [(0, Ok(())), (9, Err(1)), (10, Err(2)), (15, Err(7)), (1_000_000, Err(11))];
        for (count, expected) in rows {
            let mut bucket = Bucket::default();
            bucket.take(rate, now).unwrap();
            bucket.charge(count, rate, now);
            assert_eq!(bucket.take(rate, now), expected.map_err(Duration::from_secs), "{count}");
        }
    }

    #[test]
    fn a_token_is_available_after_the_returned_wait() {
        for per_second in [0.001, 1.0 / 6.0, 0.3, 1.0, 3.0, 7.0, 1000.0 / 7.0, 1e6 / 3.0] {
            let rate = Rate { at_once: 5, per_second };
            let (mut bucket, mut now) = (Bucket::default(), Instant::now());
            for _ in 0..5 {
                assert_eq!(bucket.take(rate, now), Ok(()), "{per_second}");
            }
            for _ in 0..100 {
                let wait = bucket.take(rate, now).unwrap_err();
                assert!(bucket.take(rate, now + wait - Duration::from_nanos(1)).is_err(), "{per_second}");
                now += wait;
                assert_eq!(bucket.take(rate, now), Ok(()), "{per_second}");
            }
        }
    }

    #[test]
    fn a_lowered_rate_does_not_lengthen_the_wait() {
        let now = Instant::now();
        let mut bucket = Bucket::default();
        for _ in 0..1000 {
            bucket.take(Rate { at_once: 1000, per_second: 1.0 }, now).unwrap();
        }
        assert_eq!(bucket.take(Rate { at_once: 2, per_second: 10.0 }, now), Err(Duration::from_millis(300)));
    }

    #[test]
    fn no_rate_panics_and_no_wait_is_longer_than_a_day() {
        let now = Instant::now();
        for per_second in EXTREMES {
            for at_once in [0, 1, 2, u32::MAX] {
                let rate = Rate { at_once, per_second };
                let mut bucket = Bucket::default();
                for _ in 0..3 {
                    if let Err(wait) = bucket.take(rate, now) {
                        assert!(wait <= MAX_INTERVAL, "{rate:?}");
                    }
                }
                assert!(rate.to_string().starts_with(&format!("{at_once}+")), "{rate:?}");
            }
        }
        let broken = Rate { at_once: 1, per_second: f64::NAN };
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(broken, now), Ok(()));
        assert_eq!(bucket.take(broken, now), Err(MAX_INTERVAL));
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let (rate, now) = (Rate { at_once: 1, per_second: 1.0 }, Instant::now());
        let mut buckets = Buckets::new();
        assert_eq!(buckets.take(1, rate, now), Ok(()));
        assert_eq!(buckets.take(2, rate, now), Ok(()));
        assert_eq!(buckets.take(1, rate, now), Err(Duration::from_secs(1)));
    }

    #[test]
    fn at_most_10_000_buckets_are_kept_and_full_ones_are_evicted_first() {
        let rate = Rate { at_once: 2, per_second: 1.0 };
        let start = Instant::now();
        let mut buckets = Buckets::new();
        for key in 0..MAX_BUCKETS {
            buckets.take(key, rate, start).unwrap();
        }
        // Key 7 is empty, all others will be full a second later.
        buckets.take(7, rate, start).unwrap();
        let later = start + Duration::from_secs(1);
        buckets.take(MAX_BUCKETS, rate, later).unwrap();
        assert_eq!(buckets.buckets.len(), 2);
        buckets.take(7, rate, later).unwrap();
        assert_eq!(buckets.take(7, rate, later), Err(Duration::from_secs(1)));
    }

    #[test]
    fn if_no_bucket_is_full_the_first_to_be_full_is_evicted() {
        let rate = Rate { at_once: 2, per_second: 1.0 };
        let start = Instant::now();
        let mut buckets = Buckets::new();
        for key in 0..MAX_BUCKETS {
            buckets.take(key, rate, start).unwrap();
            if key != 7 {
                buckets.take(key, rate, start).unwrap();
            }
        }
        buckets.take(MAX_BUCKETS, rate, start).unwrap();
        assert_eq!(buckets.buckets.len(), MAX_BUCKETS);
        assert!(!buckets.buckets.contains_key(&7) && buckets.buckets.contains_key(&MAX_BUCKETS));
    }

    #[test]
    fn a_wider_network_has_a_multiple_of_the_rate() {
        let (rate, now) = (Rate { at_once: 3, per_second: 1.0 }, Instant::now());
        let mut buckets = NetworkBuckets::new();
        let mut take = |address: String| buckets.take(address.parse().unwrap(), rate, now).is_ok();
        let rows = [
            ("one /64", (0..9).map(|host| format!("2001:db8:1:100::{host:x}")).collect::<Vec<_>>(), 3),
            ("its /56", (0..9).map(|net| format!("2001:db8:1:1{net:02x}::1")).collect(), 3),
            ("its /48", (0..9).map(|net| format!("2001:db8:1:{net:x}00::1")).collect(), 6),
            ("another /48", (0..99).map(|net| format!("2001:db8:2:{net:x}00::1")).collect(), 12),
            ("one address", vec!["192.0.2.7".to_owned(); 9], 3),
            ("the same, mapped", vec!["::ffff:192.0.2.7".to_owned(); 9], 0),
            ("its /24", (100..199).map(|host| format!("192.0.2.{host}")).collect(), 9),
            ("another /24", (100..199).map(|host| format!("192.0.3.{host}")).collect(), 12),
        ];
        for (name, addresses, expected) in rows {
            assert_eq!(addresses.into_iter().filter(|address| take(address.clone())).count(), expected, "{name}");
        }
    }

    #[test]
    fn tokens_that_are_given_back_are_available_again() {
        let (rate, now) = (Rate { at_once: 2, per_second: 1.0 }, Instant::now());
        let address = IpAddr::from([192, 0, 2, 7]);
        let mut buckets = NetworkBuckets::new();
        for _ in 0..100 {
            buckets.take(address, rate, now).unwrap();
            buckets.give_back(address, rate);
        }
        buckets.take(address, rate, now).unwrap();
        buckets.take(address, rate, now).unwrap();
        assert!(buckets.take(address, rate, now).is_err(), "and no more than those");
    }

    #[test]
    fn ipv6_addresses_of_one_64_share_a_key() {
        let rows = [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
            ("::1", "::"),
        ];
        for (address, key) in rows {
            assert_eq!(address_key(address.parse().unwrap()), key.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
