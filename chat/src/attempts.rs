//! The limits of attempts to sign in ([`Attempts`]).
//!
//! Only a wrong password is a guess. Whether a password is wrong is known after it was verified, so a guess is charged
//! immediately before, and given back if the password is right. Passwords are verified one after another: those that
//! wait are not charged yet, and any number of right ones can wait at once.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    ChatLimits,
    device::Device,
    interface::Limited,
    rate::{Buckets, NetworkBuckets, Rate},
};

/// The rate limits for signing in, which all workers share. They are apart, so that guesses do not keep new users out.
#[derive(Clone, Debug)]
pub(super) struct Attempts(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// Failed log-ins from each network.
    failures: NetworkBuckets,
    /// Failed log-ins to each account by strangers from all networks, by the key of the name.
    failures_of_account: Buckets<String>,
    /// Failed log-ins of each known device.
    failures_of_device: Buckets<Device>,
    /// The rate of all failed log-ins.
    failure_rate: Rate,
    /// Sign-ins of all kinds from each network, except wrong guesses that are refused: each costs a hash or a session.
    sign_ins: NetworkBuckets,
    /// Log-ins of each device that has a cookie.
    sign_ins_of_device: Buckets<Device>,
    /// The rate of all sign-ins.
    sign_in_rate: Rate,
}

/// An attempt to log in.
#[derive(Clone, Debug)]
pub(super) struct LogIn {
    attempts: Attempts,
    from: IpAddr,
    /// The key of the name.
    account: String,
    /// The device that the client's cookie claims.
    claimed: Option<Device>,
}

/// A guess that is charged.
#[derive(Debug)]
pub(super) struct Guess {
    attempts: Attempts,
    guesser: Guesser,
}

#[derive(Debug)]
enum Guesser {
    Stranger { from: IpAddr, account: String },
    Device(Device),
}

impl Attempts {
    pub(super) fn new(limits: &ChatLimits) -> Self {
        Self(Arc::new(Mutex::new(State {
            failures: NetworkBuckets::new(),
            failures_of_account: Buckets::new(),
            failures_of_device: Buckets::new(),
            failure_rate: limits.sign_ins,
            sign_ins: NetworkBuckets::new(),
            sign_ins_of_device: Buckets::new(),
            sign_in_rate: limits.sign_ups,
        })))
    }

    /// Uses the rates of these limits from now on.
    pub(super) fn set_limits(&self, limits: &ChatLimits) {
        let mut state = self.lock();
        (state.failure_rate, state.sign_in_rate) = (limits.sign_ins, limits.sign_ups);
    }

    /// Charges a new user.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn new_user(&self, from: IpAddr, now: Instant) -> Result<(), Limited> {
        self.lock().take_sign_in(from, now)
    }

    /// Begins an attempt to log in to the account whose name has this key. Charges a log-in, since even a right
    /// password costs a hash. Others in its network must not keep a known device out, so a device has a rate of its
    /// own.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn log_in(
        &self,
        from: IpAddr,
        account: &str,
        claimed: Option<Device>,
        now: Instant,
    ) -> Result<LogIn, Limited> {
        let mut state = self.lock();
        match claimed {
            Some(device) => {
                let rate = state.sign_in_rate;
                state.sign_ins_of_device.take(device, rate, now).map_err(Limited::sign_ins)?;
            }
            None => {
                state.check_stranger(from, account, now)?;
                state.take_sign_in(from, now)?;
            }
        }
        Ok(LogIn { attempts: self.clone(), from, account: account.to_owned(), claimed })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogIn {
    /// Returns whether a device has guesses left. One that has used them up counts as a stranger.
    pub(super) fn has_guesses(&self, device: Device, now: Instant) -> bool {
        let state = self.attempts.lock();
        state.failures_of_device.wait_for(&device, state.failure_rate, now).is_none()
    }

    /// Charges a guess of a known device, or of a stranger. Called immediately before the password is verified.
    ///
    /// # Errors
    /// The limit that is reached. Then the password must not be verified.
    pub(super) fn guess(self, device: Option<Device>, now: Instant) -> Result<Guess, Limited> {
        let Self { attempts, from, account, claimed } = self;
        let mut state = attempts.lock();
        let rate = state.failure_rate;
        let guesser = match device {
            Some(device) if state.failures_of_device.take(device, rate, now).is_ok() => Guesser::Device(device),
            _ => {
                state.take_stranger(from, &account, claimed.is_some(), now)?;
                Guesser::Stranger { from, account }
            }
        };
        drop(state);
        Ok(Guess { attempts, guesser })
    }
}

impl Guess {
    /// Returns what was charged, because the password is right.
    pub(super) fn give_back(self) {
        let mut state = self.attempts.lock();
        let rate = state.failure_rate;
        match self.guesser {
            Guesser::Stranger { from, account } => {
                state.failures.give_back(from, rate);
                state.failures_of_account.give_back(&account, rate);
            }
            Guesser::Device(device) => state.failures_of_device.give_back(&device, rate),
        }
    }
}

impl State {
    fn take_sign_in(&mut self, from: IpAddr, now: Instant) -> Result<(), Limited> {
        self.sign_ins.take(from, self.sign_in_rate, now).map_err(Limited::sign_ins)
    }

    /// Checks whether a stranger has guesses left.
    fn check_stranger(&self, from: IpAddr, account: &str, now: Instant) -> Result<(), Limited> {
        if let Some(wait) = self.failures.wait_for(from, self.failure_rate, now) {
            return Err(Limited::network(wait));
        }
        match self.failures_of_account.wait_for(account, self.failure_rate.times_at_once(ACCOUNT_FACTOR), now) {
            Some(wait) => Err(Limited::account(wait)),
            None => Ok(()),
        }
    }

    /// Charges a stranger's guess. The log-in was charged before, except to a stranger who `claimed` to be a device.
    fn take_stranger(&mut self, from: IpAddr, account: &str, claimed: bool, now: Instant) -> Result<(), Limited> {
        if let Err(limited) = self.check_stranger(from, account, now) {
            if !claimed {
                self.sign_ins.give_back(from, self.sign_in_rate);
            }
            return Err(limited);
        }
        if claimed {
            self.take_sign_in(from, now)?;
        }
        self.failures.take(from, self.failure_rate, now).map_err(Limited::network)?;
        let all = self.failure_rate.times_at_once(ACCOUNT_FACTOR);
        self.failures_of_account.take(account.to_owned(), all, now).map_err(Limited::account)
    }
}

/// How many guesses at an account all strangers have at once, as a multiple of those of one address. Later ones come at
/// the rate of one address.
const ACCOUNT_FACTOR: u32 = 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Three guesses at once, and twenty sign-ins, then one an hour each.
    fn attempts() -> Attempts {
        let rate = |at_once| Rate { at_once, per_second: 1.0 / 3600.0 };
        Attempts::new(&ChatLimits { sign_ins: rate(3), sign_ups: rate(20), ..ChatLimits::default() })
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn attempts_that_wait_are_not_charged_and_no_more_guesses_than_the_limit_are_admitted() {
        let (attempts, now) = (attempts(), Instant::now());
        let log_in = || attempts.log_in(address(1), "ada", None, now);
        let waiting: Vec<_> = (0..10).map(|_| log_in().expect("nothing is charged yet")).collect();
        let mut results = Vec::new();
        for (number, attempt) in waiting.into_iter().enumerate() {
            let guess = attempt.guess(None, now);
            results.push(guess.is_ok());
            if let (Ok(guess), 0 | 2 | 3) = (guess, number) {
                guess.give_back();
            }
        }
        let (right, wrong, refused) = (true, true, false);
        assert_eq!(results, [right, wrong, right, right, wrong, wrong, refused, refused, refused, refused]);
        assert_eq!(log_in().map(drop), Err(Limited::network(HOUR)), "refused at once");
        assert!(attempts.log_in(address(2), "ada", None, now).is_ok(), "another address");
    }

    #[test]
    fn a_refused_guess_costs_no_sign_in_and_others_do() {
        let (attempts, now) = (attempts(), Instant::now());
        let waiting: Vec<_> = (0..20).map(|_| attempts.log_in(address(1), "ada", None, now).unwrap()).collect();
        assert_eq!(attempts.new_user(address(1), now), Err(Limited::sign_ins(HOUR)));
        let refused = waiting.into_iter().filter_map(|attempt| attempt.guess(None, now).err()).count();
        assert_eq!(refused, 17);
        let new_users = (0..20).filter(|_| attempts.new_user(address(1), now).is_ok()).count();
        assert_eq!(new_users, 17);
    }

    #[test]
    fn a_device_has_guesses_of_its_own_and_then_counts_as_a_stranger() {
        let (attempts, now) = (attempts(), Instant::now());
        let device = Device::random();
        for _ in 0..3 {
            attempts.log_in(address(1), "ada", None, now).unwrap().guess(None, now).unwrap();
        }
        let log_in = || attempts.log_in(address(1), "ada", Some(device), now).unwrap();
        for _ in 0..3 {
            assert!(log_in().has_guesses(device, now));
            log_in().guess(Some(device), now).unwrap();
        }
        assert!(!log_in().has_guesses(device, now));
        assert_eq!(log_in().guess(Some(device), now).map(drop), Err(Limited::network(HOUR)));
        // One that only claims to be a known device is a stranger, and is charged as one.
        let other = |last| attempts.log_in(address(last), "ada", Some(Device::random()), now).unwrap();
        for _ in 0..3 {
            other(2).guess(None, now).unwrap();
        }
        assert_eq!(other(2).guess(None, now).map(drop), Err(Limited::network(HOUR)));
        let new_users = (0..20).filter(|_| attempts.new_user(address(2), now).is_ok()).count();
        assert_eq!(new_users, 17);
    }

    #[test]
    fn strangers_share_the_guesses_at_an_account_and_are_charged_nothing_beyond() {
        let (attempts, now) = (attempts(), Instant::now());
        for last in 0..10 {
            for _ in 0..3 {
                // Each from a network of its own.
                let from = IpAddr::from([198, 51, last, 1]);
                attempts.log_in(from, "ada", None, now).unwrap().guess(None, now).unwrap();
            }
        }
        assert_eq!(attempts.log_in(address(1), "ada", None, now).map(drop), Err(Limited::account(HOUR)));
        for _ in 0..3 {
            attempts.log_in(address(1), "bob", None, now).unwrap().guess(None, now).unwrap();
        }
    }
}
