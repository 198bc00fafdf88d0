//! A certificate authority of the tests' own, made with OpenSSL.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

/// An authority, and a server's certificate that can be made anew.
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes the authority and a first certificate.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it runs programs")]
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a folder for certificates");
        let authority = Self { folder };
        fs::write(authority.path("openssl.cnf"), CONFIGURATION).expect("the configuration is written");
        authority.openssl(&["-subj", "/CN=browser tests", "-extensions", "authority"], "ca");
        authority.renew();
        authority
    }

    /// Makes a new certificate in the place of the server's.
    #[track_caller]
    pub fn renew(&self) {
        let signed = ["-subj", "/CN=server", "-extensions", "server", "-CA", "ca.pem", "-CAkey", "ca.key"];
        self.openssl(&signed, "new");
        for kind in ["pem", "key"] {
            let [new, current] = ["new", "server"].map(|name| self.path(&format!("{name}.{kind}")));
            fs::rename(new, current).expect("the file is replaced");
        }
    }

    /// Returns the options of a server with the certificate.
    pub(crate) fn options(&self) -> [String; 4] {
        ["--tls-cert".to_owned(), self.path("server.pem"), "--tls-key".to_owned(), self.path("server.key")]
    }

    /// Makes programs with this home folder trust the authority, as an administrator does: through NSS's database.
    #[track_caller]
    pub(crate) fn trust_in(&self, home: &Path) {
        let database = home.join(".pki/nssdb");
        fs::create_dir_all(&database).expect("a folder for the database");
        let database = format!("sql:{}", database.display());
        run(Command::new("certutil").args(["-d", &database, "-N", "--empty-password"]));
        let authority = ["-A", "-n", "browser tests", "-t", "C,,", "-i", &self.path("ca.pem")];
        run(Command::new("certutil").args(["-d", &database]).args(authority));
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Makes a key and a certificate for it.
    #[track_caller]
    fn openssl(&self, arguments: &[&str], name: &str) {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let files = ["-keyout", &key, "-out", &certificate];
        let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-config", "openssl.cnf"]).args(kind).args(arguments).args(files);
        run(command.current_dir(self.folder.path()));
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    assert!(ended.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

const CONFIGURATION: &str = "
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
";
