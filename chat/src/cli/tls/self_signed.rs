//! A certificate of one's own making, to try the program with https on this machine.

use std::{
    fmt,
    io::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use switchboard::{TlsConfig, TlsVersion};
use zeroize::Zeroizing;

use super::{
    super::small_file::{self, Links},
    certificate::Certificate,
    files::{Contents, Loaded},
};

/// Where a certificate for this machine is kept, and for what it is.
#[derive(Clone, Debug)]
pub(crate) struct SelfSigned {
    pub(crate) place: Place,
    /// The addresses of the server.
    pub(crate) addresses: Vec<IpAddr>,
    /// The authorities whose certificates clients must have.
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) min_version: TlsVersion,
}

/// The place of a certificate and its key.
#[derive(Clone)]
pub(crate) enum Place {
    File(PathBuf),
    /// In PEM, once they are made.
    Memory(Option<Zeroizing<Vec<u8>>>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Memory(_) => f.write_str("memory"),
        }
    }
}

impl SelfSigned {
    /// Reads the authorities of clients.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(super) fn read(&self) -> Result<Contents, String> {
        Contents::read(&[], self.client_ca.as_deref())
    }

    /// Returns the kept certificate, or a new one if there is none, or it ends within a day, or is for other addresses.
    ///
    /// # Errors
    /// A text that says what cannot be done.
    pub(super) fn load(&mut self, contents: &Contents, now: SystemTime) -> Result<Loaded, String> {
        let is_usable = |pem: &Zeroizing<Vec<u8>>| {
            self.load_pem(pem, &Contents::default()).is_ok_and(|kept| self.is_usable(&kept, now))
        };
        let pem = match self.kept().filter(is_usable) {
            Some(pem) => pem,
            None => {
                let pem = self.generate(now).map_err(|error| format!("cannot make a certificate: {error}"))?;
                self.keep(&pem)?;
                pem
            }
        };
        self.load_pem(&pem, contents)
    }

    /// Returns whether a certificate can be used for another day.
    pub(crate) fn is_usable(&self, loaded: &Loaded, now: SystemTime) -> bool {
        loaded.certificates.iter().all(|(_, certificate)| {
            certificate.not_after > now + RENEW_BEFORE
                && self.addresses.iter().all(|&address| certificate.is_for(address))
        })
    }

    fn load_pem(&self, pem: &[u8], contents: &Contents) -> Result<Loaded, String> {
        let certificate = Certificate::first_of(pem).ok_or("there is no certificate")?;
        let builder = TlsConfig::builder().min_version(self.min_version).certificate(pem, pem);
        let config = contents.build(builder.map_err(|error| error.to_string())?, self.client_ca.as_deref())?;
        let name = match &self.place {
            Place::File(file) => file.display().to_string(),
            Place::Memory(_) => "the self-signed one".to_owned(),
        };
        Ok(Loaded { config, certificates: vec![(name, certificate)] })
    }

    fn kept(&self) -> Option<Zeroizing<Vec<u8>>> {
        match &self.place {
            Place::File(file) => small_file::read(file, MAX_FILE_BYTES, Links::Follow).ok().map(Zeroizing::new),
            Place::Memory(pem) => pem.clone(),
        }
    }

    fn keep(&mut self, pem: &Zeroizing<Vec<u8>>) -> Result<(), String> {
        match &mut self.place {
            Place::File(file) => write(file, pem).map_err(|error| format!("cannot write {}: {error}", file.display())),
            Place::Memory(kept) => {
                *kept = Some(pem.clone());
                Ok(())
            }
        }
    }

    /// Makes a certificate and its key, in PEM.
    fn generate(&self, now: SystemTime) -> Result<Zeroizing<Vec<u8>>, rcgen::Error> {
        let addresses = self.addresses.iter().map(IpAddr::to_string);
        let mut names: Vec<_> = NAMES.iter().map(|&name| name.to_owned()).chain(addresses).collect();
        names.sort_unstable();
        names.dedup();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "switchboard, self-signed");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = (now - DAY).into();
        params.not_after = (now + LIFETIME).into();
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let key = Zeroizing::new(key.serialize_pem());
        Ok(Zeroizing::new([certificate.pem().as_bytes(), key.as_bytes()].concat()))
    }
}

/// Writes a file that only its owner can read, as a whole or not at all.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The names that lead to this machine everywhere.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a certificate is valid.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long before its end it is renewed.
const RENEW_BEFORE: Duration = DAY;
/// Maximum length of the file, which has less than 2 KiB.
const MAX_FILE_BYTES: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn self_signed(place: Place, addresses: &[&str]) -> SelfSigned {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        SelfSigned { place, addresses, client_ca: None, min_version: TlsVersion::V1_2 }
    }

    fn load(own: &mut SelfSigned, now: SystemTime) -> Loaded {
        let contents = own.read().unwrap();
        own.load(&contents, now).unwrap()
    }

    fn fingerprint(loaded: &Loaded) -> String {
        loaded.certificates[0].1.fingerprint()
    }

    #[test]
    fn a_certificate_is_kept_until_it_ends_or_is_for_other_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("self-signed.pem");
        let mut local = self_signed(Place::File(file.clone()), &["127.0.0.1"]);
        let now = SystemTime::now();
        let first = load(&mut local, now);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let certificate = &first.certificates[0].1;
        for (address, expected) in [("127.0.0.1", true), ("::1", true), ("127.0.0.2", false), ("10.0.0.1", false)] {
            assert_eq!(certificate.is_for(address.parse().unwrap()), expected, "{address}");
        }
        assert!(certificate.to_string().starts_with("for localhost, valid until "), "{certificate}");
        for days in [0, 1, 363] {
            assert_eq!(fingerprint(&load(&mut local, now + DAY * days)), fingerprint(&first), "after {days} days");
        }
        let later = now + DAY * 365;
        let second = load(&mut local, later);
        assert_ne!(fingerprint(&second), fingerprint(&first));
        assert_eq!(fingerprint(&load(&mut local, later)), fingerprint(&second));
        assert!(second.certificates[0].1.not_after > later + DAY * 364);
        let other = load(&mut self_signed(Place::File(file.clone()), &["127.0.0.2"]), now);
        assert!(other.certificates[0].1.is_for([127, 0, 0, 2].into()));
        fs::write(&file, "rubbish").unwrap();
        let renewed = load(&mut local, now);
        assert_eq!(fingerprint(&load(&mut local, now)), fingerprint(&renewed));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn without_a_file_each_run_has_a_new_certificate() {
        let now = SystemTime::now();
        let [mut one, mut other] = [(); 2].map(|()| self_signed(Place::Memory(None), &["::1"]));
        let first = fingerprint(&load(&mut one, now));
        assert_eq!(fingerprint(&load(&mut one, now)), first);
        assert_ne!(fingerprint(&load(&mut other, now)), first);
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = self_signed(Place::File("/nonexistent/self-signed.pem".into()), &[])
            .load(&Contents::default(), SystemTime::now())
            .unwrap_err();
        assert!(error.starts_with("cannot write /nonexistent/self-signed.pem"), "{error}");
    }
}
