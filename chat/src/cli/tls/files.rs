//! Certificates and keys from files, which others replace while the program runs.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use switchboard::{TlsBuilder, TlsConfig, TlsVersion};
use zeroize::Zeroizing;

use super::{
    super::small_file::{self, Links},
    certificate::Certificate,
};

/// The files of a server's certificates.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// Each certificate with its key. The first one is the default.
    pub(crate) pairs: Vec<Pair>,
    /// The authorities whose certificates clients must have.
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) min_version: TlsVersion,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The contents of the files at one time.
#[derive(Default)]
pub(super) struct Contents {
    /// Each certificate with its key.
    pairs: Vec<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    client_ca: Option<Vec<u8>>,
}

/// Certificates that a server can use.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) config: TlsConfig,
    /// The certificates, each with where it is from.
    pub(crate) certificates: Vec<(String, Certificate)>,
}

impl Files {
    /// Reads all files, through links.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(super) fn read(&self) -> Result<Contents, String> {
        Contents::read(&self.pairs, self.client_ca.as_deref())
    }

    /// Makes a configuration of the contents. A certificate without its own key is refused.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(super) fn load(&self, contents: &Contents) -> Result<Loaded, String> {
        let mut builder = TlsConfig::builder().min_version(self.min_version);
        let mut certificates = Vec::new();
        for (pair, (chain, key)) in self.pairs.iter().zip(&contents.pairs) {
            builder = builder.certificate(chain, key).map_err(|error| format!("{pair}: {error}"))?;
            let file = pair.certificate.display().to_string();
            match Certificate::first_of(chain) {
                Some(certificate) => certificates.push((file, certificate)),
                None => return Err(format!("{file} has no certificate that can be read")),
            }
        }
        let config = contents.build(builder, self.client_ca.as_deref())?;
        Ok(Loaded { config, certificates })
    }

    /// Returns the files of keys that every user of the machine can read.
    pub(crate) fn exposed_keys(&self) -> impl Iterator<Item = &Path> {
        use std::os::unix::fs::PermissionsExt as _;
        let is_exposed =
            |path: &Path| path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & READABLE_BY_OTHERS != 0);
        self.pairs.iter().map(|pair| &*pair.key).filter(move |path| is_exposed(path))
    }
}

impl Contents {
    /// Reads certificates, their keys and the authorities of clients, through links.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(super) fn read(pairs: &[Pair], client_ca: Option<&Path>) -> Result<Self, String> {
        let pair = |pair: &Pair| Ok((read(&pair.certificate)?, Zeroizing::new(read(&pair.key)?)));
        let pairs = pairs.iter().map(pair).collect::<Result<_, String>>()?;
        Ok(Self { pairs, client_ca: client_ca.map(read).transpose()? })
    }

    /// Makes a configuration that also has the authorities of clients, which are from the file `client_ca`.
    ///
    /// # Errors
    /// A text that names the file and the reason.
    pub(super) fn build(&self, mut builder: TlsBuilder, client_ca: Option<&Path>) -> Result<TlsConfig, String> {
        if let (Some(file), Some(pem)) = (client_ca, &self.client_ca) {
            builder = builder.client_ca(pem).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        builder.build().map_err(|error| error.to_string())
    }

    /// Returns a hash that is the same only for the same contents.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let pairs = self.pairs.iter().flat_map(|(chain, key)| [chain.as_slice(), key.as_slice()]);
        for content in pairs.chain(self.client_ca.as_deref()) {
            hash.update((content.len() as u64).to_le_bytes());
            hash.update(content);
        }
        hash.finalize().into()
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.certificate == self.key {
            write!(f, "{}", self.certificate.display())
        } else {
            write!(f, "{} with {}", self.certificate.display(), self.key.display())
        }
    }
}

/// Reads a file, through links.
///
/// # Errors
/// A text that names the file and the reason.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    small_file::read(path, MAX_FILE_BYTES, Links::Follow)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Maximum length of a file. A chain has a few KiB; the largest collection of authorities is one of browsers, 250 KiB.
const MAX_FILE_BYTES: u64 = 1 << 20;
const READABLE_BY_OTHERS: u32 = 0o004;
