//! Replacing certificates while the program runs: at a signal, and when their files have changed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime},
};

use switchboard::{Remote, TlsConfig};

use super::{
    files::{Contents, Files, Loaded},
    self_signed::SelfSigned,
};

/// Where certificates come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Files(Files),
    SelfSigned(SelfSigned),
}

/// The certificates in use, and what was found instead of them.
#[derive(Debug)]
pub(crate) struct Reloader {
    source: Source,
    in_use: Loaded,
    /// The certificates in use, for people.
    lines: Arc<Mutex<Vec<String>>>,
    /// The files that are in use, or that were refused.
    handled: Seen,
    /// The files when they were last looked at.
    last: Seen,
}

/// The state of the files: a hash of their contents, or the reason why they cannot be read.
type Seen = Result<[u8; 32], String>;

/// The result of a look at the files.
#[derive(Debug)]
pub(crate) enum Look {
    /// There is nothing new.
    Unchanged,
    /// The files have changed, and may still be written: the next look tells.
    Changing,
    /// There are new certificates.
    Replaced(TlsConfig),
    /// There are new files that cannot be used. Those in use remain.
    Refused(String),
}

impl Source {
    /// Loads the certificates for the first time.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(crate) fn load_first(mut self, now: SystemTime) -> Result<Reloader, String> {
        let contents = self.read()?;
        let (in_use, seen) = (self.load(&contents, now)?, Ok(contents.hash()));
        let lines = Arc::new(Mutex::new(lines_of(&in_use)));
        Ok(Reloader { source: self, in_use, lines, handled: seen.clone(), last: seen })
    }

    fn read(&self) -> Result<Contents, String> {
        match self {
            Self::Files(files) => files.read(),
            Self::SelfSigned(own) => own.read(),
        }
    }

    fn load(&mut self, contents: &Contents, now: SystemTime) -> Result<Loaded, String> {
        match self {
            Self::Files(files) => files.load(contents),
            Self::SelfSigned(own) => own.load(contents, now),
        }
    }

    /// Returns whether it is time to make a new certificate, because the one in use ends. For files others do that.
    fn must_renew(&self, in_use: &Loaded, now: SystemTime) -> bool {
        matches!(self, Self::SelfSigned(own) if !own.is_usable(in_use, now))
    }
}

impl Reloader {
    /// Returns the certificates in use.
    pub(crate) fn in_use(&self) -> &Loaded {
        &self.in_use
    }

    /// Returns the certificates in use, for people, as they are at any time.
    pub(crate) fn lines(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.lines)
    }

    /// Looks at the files. A change counts once two looks have found the same: until then somebody may be writing them,
    /// and a chain of which a part is missing cannot be told from a whole one. If `at_once`, the files are used as they
    /// are, also if they are the same as before.
    pub(crate) fn look(&mut self, at_once: bool, now: SystemTime) -> Look {
        let contents = self.source.read();
        let seen = contents.as_ref().map(Contents::hash).map_err(String::clone);
        let last = std::mem::replace(&mut self.last, seen.clone());
        if !at_once && !self.source.must_renew(&self.in_use, now) {
            if seen == self.handled {
                return Look::Unchanged;
            }
            if seen != last {
                return Look::Changing;
            }
        }
        self.handled = seen;
        match contents.and_then(|contents| self.source.load(&contents, now)) {
            Ok(loaded) => {
                self.in_use = loaded;
                *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = lines_of(&self.in_use);
                Look::Replaced(self.in_use.config.clone())
            }
            Err(why) => Look::Refused(why),
        }
    }

    /// Looks at the files once a minute, and whenever it is told to, until the sender is gone. Gives new certificates to
    /// the server. May be told of other files; those in use remain if the others cannot be used.
    pub(crate) fn run(mut self, wishes: &Receiver<Option<Source>>, remote: &Remote) {
        let mut wait = PERIOD;
        let mut warned: Option<Instant> = None;
        loop {
            if warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
                self.warn_of_expiry(SystemTime::now());
                warned = Some(Instant::now());
            }
            let mut before = None;
            let at_once = match wishes.recv_timeout(wait) {
                Ok(source) => {
                    before = source.map(|source| std::mem::replace(&mut self.source, source));
                    true
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            wait = PERIOD;
            match self.look(at_once, SystemTime::now()) {
                Look::Unchanged => {}
                Look::Changing => wait = SETTLE_TIME,
                Look::Replaced(config) => {
                    remote.set_tls(&config);
                    self.log_certificates();
                    warned = None;
                }
                Look::Refused(why) => {
                    if let Some(before) = before {
                        self.source = before;
                    }
                    log::error!("the certificates are not replaced, those in use remain: {why}");
                }
            }
        }
    }

    /// Logs the certificates in use, and keys that everybody can read.
    pub(crate) fn log_certificates(&self) {
        for line in lines_of(&self.in_use) {
            log::info!("TLS: {line}");
        }
        if let Source::Files(files) = &self.source {
            for key in files.exposed_keys() {
                let key = key.display();
                log::warn!("every user of this machine can read the key {key}; change that with chmod o-r {key}");
            }
        }
    }

    fn warn_of_expiry(&self, now: SystemTime) {
        for (file, certificate) in &self.in_use.certificates {
            if let Some(warning) = certificate.expiry_warning(now) {
                log::warn!("the certificate {file} {warning}; renew it");
            }
        }
    }
}

fn lines_of(loaded: &Loaded) -> Vec<String> {
    loaded.certificates.iter().map(|(file, certificate)| format!("{file}, {certificate}")).collect()
}

/// The time between two looks at the files.
const PERIOD: Duration = Duration::from_secs(60);
/// The time until the next look after a change.
const SETTLE_TIME: Duration = Duration::from_secs(2);
/// The time between two warnings about a certificate that expires soon.
const WARN_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::symlink,
        path::{Path, PathBuf},
    };

    use rcgen::{CertificateParams, KeyPair};
    use switchboard::TlsVersion;

    use super::{
        super::{files::Pair, self_signed::Place},
        *,
    };

    /// Writes a certificate for this name and its key to a folder.
    fn write_pair(folder: &Path, name: &str) -> Pair {
        fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        let pair = Pair { certificate: folder.join("fullchain.pem"), key: folder.join("privkey.pem") };
        fs::write(&pair.certificate, certificate.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }

    fn reloader(pair: Pair) -> Reloader {
        let files = Files { pairs: vec![pair], client_ca: None, min_version: TlsVersion::V1_2 };
        Source::Files(files).load_first(SystemTime::now()).unwrap()
    }

    fn name_in_use(reloader: &Reloader) -> String {
        let text = reloader.in_use().certificates[0].1.to_string();
        text.split([' ', ',']).nth(1).unwrap().to_owned()
    }

    /// Looks, and returns the variant and the reason of a refusal.
    fn look(reloader: &mut Reloader, at_once: bool) -> (&'static str, String) {
        match reloader.look(at_once, SystemTime::now()) {
            Look::Unchanged => ("unchanged", String::new()),
            Look::Changing => ("changing", String::new()),
            Look::Replaced(_) => ("replaced", String::new()),
            Look::Refused(why) => ("refused", why),
        }
    }

    #[test]
    fn a_new_pair_is_used_once_two_looks_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut reloader = reloader(write_pair(folder.path(), "one.example"));
        for name in ["two.example", "three.example"] {
            assert_eq!(look(&mut reloader, false).0, "unchanged");
            write_pair(folder.path(), name);
            assert_eq!(look(&mut reloader, false).0, "changing");
            assert_ne!(name_in_use(&reloader), name);
            assert_eq!(look(&mut reloader, false).0, "replaced");
            assert_eq!(name_in_use(&reloader), name);
        }
        // A file that goes on changing is not used.
        for name in ["four.example", "five.example", "six.example"] {
            write_pair(folder.path(), name);
            assert_eq!(look(&mut reloader, false).0, "changing");
        }
        assert_eq!(name_in_use(&reloader), "three.example");
        // At a signal it is.
        assert_eq!(look(&mut reloader, true).0, "replaced");
        assert_eq!(name_in_use(&reloader), "six.example");
        assert_eq!(look(&mut reloader, false).0, "unchanged");
        assert_eq!(look(&mut reloader, true).0, "replaced", "a signal always loads");
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_once_and_the_old_ones_remain() {
        let folder = tempfile::tempdir().unwrap();
        let pair = write_pair(folder.path(), "one.example");
        let mut reloader = reloader(pair.clone());
        let [certificate, key] = [&pair.certificate, &pair.key].map(|file| fs::read(file).unwrap());
        let other = write_pair(&folder.path().join("other"), "other.example");
        let other_key = fs::read(&other.key).unwrap();
        let broken: [(&str, &Path, Vec<u8>); 6] = [
            ("rubbish", &pair.certificate, b"rubbish".to_vec()),
            ("half a certificate", &pair.certificate, certificate[..certificate.len() / 2].to_vec()),
            ("an empty certificate", &pair.certificate, Vec::new()),
            ("half a key", &pair.key, key[..key.len() / 2].to_vec()),
            ("an empty key", &pair.key, Vec::new()),
            ("the key of another certificate", &pair.key, other_key),
        ];
        for (what, file, content) in broken {
            let good = fs::read(file).unwrap();
            fs::write(file, content).unwrap();
            assert_eq!(look(&mut reloader, false).0, "changing", "{what}");
            let (result, why) = look(&mut reloader, false);
            assert_eq!(result, "refused", "{what}");
            assert!(why.contains(file.to_str().unwrap()), "{what}: {why}");
            for _ in 0..3 {
                assert_eq!(look(&mut reloader, false).0, "unchanged", "{what}: it is said once");
            }
            assert_eq!(look(&mut reloader, true).0, "refused", "{what}, at a signal");
            assert_eq!(name_in_use(&reloader), "one.example");
            fs::write(file, good).unwrap();
            assert_eq!(look(&mut reloader, false).0, "changing", "{what}");
            assert_eq!(look(&mut reloader, false).0, "replaced", "{what}");
        }
        fs::remove_file(&pair.key).unwrap();
        assert_eq!(look(&mut reloader, false).0, "changing");
        let (result, why) = look(&mut reloader, false);
        assert_eq!(result, "refused");
        assert!(why.starts_with(&format!("cannot read {}: ", pair.key.display())), "{why}");
    }

    /// Certbot replaces one link after the other, Kubernetes the link to the folder of both.
    #[test]
    fn links_may_be_replaced_one_by_one_or_with_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let replace_link = |target: PathBuf, link: &Path| {
            let new = path("new-link");
            symlink(target, &new).unwrap();
            fs::rename(new, link).unwrap();
        };
        write_pair(&path("archive1"), "one.example");
        write_pair(&path("archive2"), "two.example");
        fs::create_dir(path("live")).unwrap();
        let pair = Pair { certificate: path("live/fullchain.pem"), key: path("live/privkey.pem") };
        symlink("../archive1/fullchain.pem", &pair.certificate).unwrap();
        symlink("../archive1/privkey.pem", &pair.key).unwrap();
        let mut certbot = reloader(pair.clone());
        assert_eq!(name_in_use(&certbot), "one.example");
        replace_link("../archive2/fullchain.pem".into(), &pair.certificate);
        assert_eq!(look(&mut certbot, false).0, "changing");
        replace_link("../archive2/privkey.pem".into(), &pair.key);
        assert_eq!(look(&mut certbot, false).0, "changing");
        assert_eq!(look(&mut certbot, false).0, "replaced");
        assert_eq!(name_in_use(&certbot), "two.example");

        symlink("archive1", path("..data")).unwrap();
        symlink("..data/fullchain.pem", path("tls.crt")).unwrap();
        symlink("..data/privkey.pem", path("tls.key")).unwrap();
        let mut kubernetes = reloader(Pair { certificate: path("tls.crt"), key: path("tls.key") });
        assert_eq!(name_in_use(&kubernetes), "one.example");
        replace_link("archive2".into(), &path("..data"));
        assert_eq!(look(&mut kubernetes, false).0, "changing");
        assert_eq!(look(&mut kubernetes, false).0, "replaced");
        assert_eq!(name_in_use(&kubernetes), "two.example");
    }

    #[test]
    fn a_self_signed_certificate_is_renewed_before_it_ends() {
        let now = SystemTime::now();
        let mut reloader = Source::SelfSigned(self_signed(None)).load_first(now).unwrap();
        let fingerprint = |reloader: &Reloader| reloader.in_use().certificates[0].1.fingerprint();
        let first = fingerprint(&reloader);
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(matches!(reloader.look(false, now + day * 363), Look::Unchanged));
        assert!(matches!(reloader.look(true, now + day * 363), Look::Replaced(_)), "a signal always loads");
        assert_eq!(fingerprint(&reloader), first);
        assert!(matches!(reloader.look(false, now + day * 365), Look::Replaced(_)));
        assert_ne!(fingerprint(&reloader), first);
    }

    #[test]
    fn new_authorities_of_clients_leave_a_self_signed_certificate_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let authority = write_pair(folder.path(), "one.example").certificate;
        let mut reloader =
            Source::SelfSigned(self_signed(Some(authority.clone()))).load_first(SystemTime::now()).unwrap();
        let fingerprint = |reloader: &Reloader| reloader.in_use().certificates[0].1.fingerprint();
        let first = fingerprint(&reloader);
        assert_eq!(look(&mut reloader, false).0, "unchanged");
        write_pair(folder.path(), "two.example");
        assert_eq!(look(&mut reloader, false).0, "changing");
        assert_eq!(look(&mut reloader, false).0, "replaced");
        fs::write(&authority, "rubbish").unwrap();
        assert_eq!(look(&mut reloader, false).0, "changing");
        let (result, why) = look(&mut reloader, false);
        assert_eq!(result, "refused");
        assert!(why.starts_with(authority.to_str().unwrap()), "{why}");
        assert_eq!(fingerprint(&reloader), first);
    }

    fn self_signed(client_ca: Option<PathBuf>) -> SelfSigned {
        let (place, addresses) = (Place::Memory(None), vec![[127, 0, 0, 1].into()]);
        SelfSigned { place, addresses, client_ca, min_version: TlsVersion::V1_3 }
    }
}
