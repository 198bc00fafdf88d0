//! The rules for passwords ([`Password`]), and their slow hashes, which are stored ([`Hasher`]).

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _, password_hash::Error};
use precis_profiles::{OpaqueString, precis_core::profile::Rules as _};
use zeroize::Zeroizing;

use super::{
    hash_queue::{Asker, HashJobs, HashQueue, QueueFull, hash_queue},
    precis,
    token::Token,
};

/// A password: an [OpaqueString] of RFC 8265 with 8 to 256 characters, so that it is the same on each keyboard and
/// system. `Debug` does not reveal it, and dropping it wipes it from memory.
///
/// [OpaqueString]: https://www.rfc-editor.org/rfc/rfc8265#section-4.2
#[derive(Clone)]
pub(super) struct Password(Zeroizing<String>);

/// Why a text is not a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadPassword {
    /// Fewer than 8 characters.
    TooShort,
    /// More than 256 characters.
    TooLong,
    /// This character is not allowed: it may differ between keyboards, or is invisible.
    NotAllowed(char),
}

impl Password {
    /// Replaces each kind of space by a plain one, and composes letters with their marks.
    ///
    /// # Errors
    /// [`BadPassword`] if the text breaks a rule.
    pub(super) fn new(text: &str) -> Result<Self, BadPassword> {
        // Checked first: the rules below look at each character. Composing letters with their marks shortens a text,
        // but by no more than this.
        if text.len() > MAX_CHARS * MAX_BYTES_PER_CHAR || text.chars().count() > MAX_CHARS * MAX_COMPOSED {
            return Err(BadPassword::TooLong);
        }
        precis::check_freeform(text).map_err(BadPassword::NotAllowed)?;
        let profile = OpaqueString::new();
        let enforced = profile.additional_mapping_rule(text).and_then(|text| profile.normalization_rule(text));
        let password = Zeroizing::new(enforced.expect("these rules accept every text").into_owned());
        match password.chars().count() {
            ..MIN_CHARS => Err(BadPassword::TooShort),
            MIN_CHARS..=MAX_CHARS => Ok(Self(password)),
            _ => Err(BadPassword::TooLong),
        }
    }

    /// Hashes the password on the calling thread, for storage. See [`Hasher::hash`].
    ///
    /// # Errors
    /// [`HashError`].
    pub(super) fn hash(&self) -> Result<String, HashError> {
        hash(&Argon2::default(), self)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Display for BadPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => write!(f, "A password has at least {MIN_CHARS} characters."),
            Self::TooLong => write!(f, "A password has at most {MAX_CHARS} characters."),
            Self::NotAllowed(c) => write!(f, "A password must not contain {}.", precis::describe(*c)),
        }
    }
}

impl std::error::Error for BadPassword {}

/// Hashes and verifies passwords with Argon2id, one at a time on a thread of its own.
///
/// Each hash takes 19 MiB and about 20 ms. That makes guessing expensive, and is too long for a thread that serves
/// connections. The thread finishes the queued jobs and ends when all handles are dropped.
///
/// Jobs wait in a queue that is shared fairly: see [`HashQueue`].
#[derive(Clone)]
pub(super) struct Hasher(Arc<HashQueue<Job>>);

/// A job, or the news that it was refused.
type Job = Box<dyn FnOnce(Result<&Hashing, QueueFull>) + Send>;

/// Why there is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HashError {
    /// Too many hashes are asked for.
    QueueFull,
    /// The system has no memory or no randomness for a hash.
    System(Error),
}

impl Hasher {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's error if it has no thread, or no memory or randomness for a hash.
    pub(super) fn start() -> io::Result<Self> {
        Self::start_with(Argon2::default()).map(|(hasher, _)| hasher)
    }

    fn start_with(argon2: Argon2<'static>) -> io::Result<(Self, JoinHandle<()>)> {
        let hashing = Hashing::new(argon2).map_err(io::Error::other)?;
        let (queue, jobs) = hash_queue();
        let thread = Builder::new().name("passwords".to_owned()).spawn(move || hashing.run(&jobs))?;
        Ok((Self(queue), thread))
    }

    /// Hashes a password with a new salt, and calls `then` with the hash to store.
    ///
    /// The hash is a [PHC string], which contains salt and costs. `then` is called on the hasher's thread, or on any
    /// that queues a job if this one is refused, and must be quick.
    ///
    /// [PHC string]: https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md
    pub(super) fn hash(
        &self,
        asker: Asker,
        password: Password,
        then: impl FnOnce(Result<String, HashError>) + Send + 'static,
    ) {
        self.queue(asker, move |hashing| then(hashing.and_then(|hashing| hashing.hash(&password))));
    }

    /// Verifies a password against a stored hash, and calls `then` with the result.
    ///
    /// Without a stored hash, because there is no such account, the result is `false` after the same time. So the time
    /// does not reveal which accounts exist. `then` is called as by [`hash`](Self::hash).
    pub(super) fn verify(
        &self,
        asker: Asker,
        password: Password,
        stored: Option<String>,
        then: impl FnOnce(Result<bool, HashError>) + Send + 'static,
    ) {
        self.queue(asker, move |hashing| then(hashing.map(|hashing| hashing.verify(&password, stored.as_deref()))));
    }

    /// Verifies a password as [`verify`](Self::verify) does, if it is admitted immediately before. Calls the function
    /// that `admit` returns if the password is right. Passwords are verified one at a time, so no other is admitted
    /// meanwhile.
    pub(super) fn verify_if_admitted<E: From<HashError>, G: FnOnce()>(
        &self,
        asker: Asker,
        password: Password,
        stored: Option<String>,
        admit: impl FnOnce() -> Result<G, E> + Send + 'static,
        then: impl FnOnce(Result<bool, E>) + Send + 'static,
    ) {
        self.queue(asker, move |hashing| {
            let verify = |hashing: &Hashing| {
                let give_back = admit()?;
                let is_right = hashing.verify(&password, stored.as_deref());
                if is_right {
                    give_back();
                }
                Ok(is_right)
            };
            then(hashing.map_err(E::from).and_then(verify));
        });
    }

    fn queue(&self, asker: Asker, job: impl FnOnce(Result<&Hashing, HashError>) + Send + 'static) {
        let job: Job = Box::new(move |hashing| job(hashing.map_err(|QueueFull| HashError::QueueFull)));
        if let Some(refused) = self.0.push(asker, job) {
            refused(Err(QueueFull));
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("too many passwords are hashed at the same time"),
            Self::System(error) => write!(f, "cannot hash a password: {error}"),
        }
    }
}

impl std::error::Error for HashError {}

/// The state of the hasher's thread.
struct Hashing {
    argon2: Argon2<'static>,
    /// The hash of a random password, which costs the same to verify as a real one.
    dummy: PasswordHash,
}

impl Hashing {
    fn new(argon2: Argon2<'static>) -> Result<Self, HashError> {
        let dummy = argon2.hash_password(Token::random().to_string().as_bytes()).map_err(HashError::System)?;
        Ok(Self { argon2, dummy })
    }

    /// Runs queued jobs until all handles are dropped.
    ///
    /// A panic in a `then` ends the process, as one in a worker does: a server must not go on if nobody can sign in.
    fn run(&self, jobs: &HashJobs<Job>) {
        let done = catch_unwind(AssertUnwindSafe(|| {
            while let Some(job) = jobs.next() {
                job(Ok(self));
            }
        }));
        if done.is_err() {
            log::error!("the password thread panicked; the process ends");
            std::process::exit(101);
        }
    }

    fn hash(&self, password: &Password) -> Result<String, HashError> {
        hash(&self.argon2, password)
    }

    fn verify(&self, password: &Password, stored: Option<&str>) -> bool {
        let stored = stored.and_then(|stored| {
            PasswordHash::new(stored).inspect_err(|error| log::error!("a stored password hash is broken: {error}")).ok()
        });
        let hash = stored.as_ref().unwrap_or(&self.dummy);
        match self.argon2.verify_password(password.0.as_bytes(), hash) {
            Ok(()) => stored.is_some(),
            Err(Error::PasswordInvalid) => false,
            Err(error) => {
                log::error!("cannot verify a password: {error}");
                false
            }
        }
    }
}

fn hash(argon2: &Argon2<'_>, password: &Password) -> Result<String, HashError> {
    let hash = argon2.hash_password(password.0.as_bytes()).map_err(HashError::System)?;
    Ok(hash.to_string())
}

/// The least and the most characters of a password.
pub(super) const MIN_CHARS: usize = 8;
pub(super) const MAX_CHARS: usize = 256;
/// Bytes of the longest text that composes to one character, a Greek letter with three marks.
const MAX_BYTES_PER_CHAR: usize = 8;
/// Maximum characters that compose to one.
const MAX_COMPOSED: usize = 4;

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Sender, channel},
        time::Duration,
    };

    use argon2::Params;

    use super::{super::hash_queue::MAX_WAITING, *};

    /// The longest that a test waits.
    const DEADLINE: Duration = Duration::from_secs(60);

    fn password(text: &str) -> Password {
        Password::new(text).unwrap()
    }

    fn asker() -> Asker {
        Asker::User("Ada".to_owned())
    }

    /// Returns the cheapest parameters.
    fn cheap() -> Argon2<'static> {
        let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
        Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
    }

    /// Returns a hasher whose thread is blocked in a job until the sender is dropped.
    fn held() -> (Hasher, JoinHandle<()>, Sender<()>) {
        let (hasher, thread) = Hasher::start_with(cheap()).unwrap();
        let ((release, held), (begun, begins)) = (channel(), channel());
        let hold = move || {
            begun.send(()).unwrap();
            assert!(held.recv().is_err());
        };
        hasher.verify(asker(), password("long enough"), None, move |_| hold());
        begins.recv_timeout(DEADLINE).unwrap();
        (hasher, thread, release)
    }

    fn hash(hasher: &Hasher, text: &str) -> String {
        let (sender, results) = channel();
        hasher.hash(asker(), password(text), move |hash| sender.send(hash).unwrap());
        results.recv_timeout(DEADLINE).unwrap().unwrap()
    }

    fn verify(hasher: &Hasher, text: &str, stored: Option<&str>) -> bool {
        let (sender, results) = channel();
        hasher
            .verify(asker(), password(text), stored.map(str::to_owned), move |is_right| sender.send(is_right).unwrap());
        results.recv_timeout(DEADLINE).unwrap().unwrap()
    }

    #[test]
    fn passwords_on_both_sides_of_each_rule() {
        use BadPassword::{NotAllowed, TooLong, TooShort};
        let longest = "ö".repeat(256);
        let decomposed = "o\u{308}".repeat(256);
        let too_long = "ö".repeat(257);
        let huge = "\u{7}".repeat(64 << 10);
        let rows: &[(&str, &str, Result<&str, BadPassword>)] = &[
            ("eight characters", "12345678", Ok("12345678")),
            ("spaces and case", " Correct  Horse ", Ok(" Correct  Horse ")),
            ("an emoji of Unicode 6, one of Unicode 8", "passw🚀rd🦀", Ok("passw🚀rd🦀")),
            ("other spaces", "correct\u{A0}horse\u{3000}", Ok("correct horse ")),
            ("composed", "schön genug", Ok("schön genug")),
            ("decomposed", "scho\u{308}n genug", Ok("schön genug")),
            ("full width is not the same", "ａ2345678", Ok("ａ2345678")),
            ("the longest", &longest, Ok(&longest)),
            ("the longest, decomposed", &decomposed, Ok(&longest)),
            ("the empty text", "", Err(TooShort)),
            ("seven characters", "1234567", Err(TooShort)),
            ("seven characters of two bytes", "ööööööö", Err(TooShort)),
            ("eight that become seven", "123456o\u{308}", Err(TooShort)),
            ("one too many", &too_long, Err(TooLong)),
            ("64 KiB, refused by its length", &huge, Err(TooLong)),
            ("a control character", "1234567\t", Err(NotAllowed('\t'))),
            ("a zero-width space", "1234567\u{200B}", Err(NotAllowed('\u{200B}'))),
        ];
        for (name, text, expected) in rows {
            let made = Password::new(text);
            assert_eq!(made.as_ref().map(|made| made.0.as_str()).map_err(|error| *error), *expected, "{name}");
            if let Ok(made) = made {
                assert_eq!(password(&made.0).0, made.0, "{name}: twice is the same as once");
            }
        }
    }

    #[test]
    fn debug_does_not_reveal_a_password() {
        assert_eq!(format!("{:?}", password("correct horse")), "Password(..)");
    }

    #[test]
    fn the_right_password_is_verified_and_no_other() {
        let hasher = Hasher::start().unwrap();
        let stored = hash(&hasher, "schön genug");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let rows = [
            ("right", "schön genug", Some(stored.as_str()), true),
            ("right, decomposed", "scho\u{308}n genug", Some(&stored), true),
            ("right, with another space", "schön\u{A0}genug", Some(&stored), true),
            ("another case", "Schön genug", Some(&stored), false),
            ("without its mark", "schon genug", Some(&stored), false),
            ("no such account", "schön genug", None, false),
            ("broken", "schön genug", Some(&stored[..stored.len() - 30]), false),
            ("another kind of hash", "schön genug", Some("$2b$12$abcdefghijklmnopqrstuv"), false),
            ("empty", "schön genug", Some(""), false),
        ];
        for (name, text, stored, expected) in rows {
            assert_eq!(verify(&hasher, text, stored), expected, "{name}");
        }
    }

    #[test]
    fn a_password_that_is_hashed_twice_has_two_salts() {
        let (hasher, _) = Hasher::start_with(cheap()).unwrap();
        let (one, other) = (hash(&hasher, "correct horse"), hash(&hasher, "correct horse"));
        assert_ne!(one, other);
        assert!(verify(&hasher, "correct horse", Some(&one)) && verify(&hasher, "correct horse", Some(&other)));
    }

    #[test]
    fn an_unknown_name_costs_the_same_to_verify_as_an_account() {
        let hashing = Hashing::new(Argon2::default()).unwrap();
        let stored = PasswordHash::new(&hashing.hash(&password("correct horse")).unwrap()).unwrap();
        assert_eq!(stored.params, hashing.dummy.params);
        assert_eq!((stored.algorithm, stored.version), (hashing.dummy.algorithm, hashing.dummy.version));
    }

    #[test]
    fn a_full_queue_refuses_jobs_at_once_and_runs_all_others() {
        let (hasher, thread, release) = held();
        let (sender, results) = channel();
        let queue = |number| {
            let sender = sender.clone();
            hasher.verify(asker(), password("long enough"), None, move |done| sender.send((number, done)).unwrap());
        };
        (0..MAX_WAITING).for_each(queue);
        queue(MAX_WAITING);
        assert_eq!(results.recv_timeout(DEADLINE), Ok((MAX_WAITING, Err(HashError::QueueFull))));
        drop((hasher, sender, release));
        let expected: Vec<_> = (0..MAX_WAITING).map(|number| (number, Ok(false))).collect();
        assert_eq!(results.iter().collect::<Vec<_>>(), expected, "in order");
        thread.join().unwrap();
    }

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let (hasher, thread) = Hasher::start_with(cheap()).unwrap();
        let other = hasher.clone();
        drop(hasher);
        assert!(!verify(&other, "long enough", None));
        drop(other);
        thread.join().unwrap();
    }

    /// Runs itself in a child process, which the panic ends.
    #[test]
    fn a_panic_in_a_callback_ends_the_process() {
        const CHILD: &str = "SWITCHBOARD_TEST_OF_A_PANIC";
        if std::env::var_os(CHILD).is_some() {
            let (hasher, _) = Hasher::start_with(cheap()).unwrap();
            hasher.verify(asker(), password("long enough"), None, |_| panic!("on purpose"));
            let (_never, end) = channel::<()>();
            let _ = end.recv_timeout(DEADLINE);
            // Reached only if the process goes on: then the test fails by its status.
            return;
        }
        let name = std::thread::current().name().unwrap().to_owned();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.code(), Some(101), "{child:?}");
    }
}
