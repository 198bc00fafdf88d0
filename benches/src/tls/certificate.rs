//! The certificate that all servers have.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

/// A self-signed certificate for 127.0.0.1 with an ECDSA key on P-256, in a folder of its own. Dropping it removes the
/// folder.
#[derive(Debug)]
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes the certificate, in a new folder in `parent`.
    ///
    /// # Errors
    /// A file cannot be written, or the certificate cannot be made.
    pub fn make(parent: &Path) -> io::Result<Self> {
        let folder = parent.join(format!("switchboard-bench-tls-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let certificate = Self { folder };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)?;
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        let chain = params.self_signed(&key).map_err(io::Error::other)?;
        fs::write(certificate.chain(), chain.pem())?;
        fs::write(certificate.key(), key.serialize_pem())?;
        Ok(certificate)
    }

    /// The file of the certificate.
    pub fn chain(&self) -> PathBuf {
        self.folder.join("chain.pem")
    }

    /// The file of the key.
    pub fn key(&self) -> PathBuf {
        self.folder.join("key.pem")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // A file that stays disturbs no other run.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
