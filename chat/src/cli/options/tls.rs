//! The options of TLS.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use switchboard::TlsVersion;

use super::super::tls::{
    files::{Files, Pair},
    reload::Source,
    self_signed::{Place, SelfSigned},
};

#[derive(Args, Debug)]
#[command(next_help_heading = "TLS")]
pub(crate) struct TlsOptions {
    /// Serve https and wss with this certificate, in PEM, with those of its authorities behind it; repeatable, each
    /// with its --tls-key. A client gets the one for the name that it asks for, or else the first. New files are used
    /// within about a minute, or at SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_cert: Vec<PathBuf>,
    /// Private key of the certificate, in PEM; repeatable, in the order of --tls-cert
    #[arg(long, value_name = "FILE")]
    tls_key: Vec<PathBuf>,
    /// Require of clients a certificate of one of the authorities in this file, in PEM
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Minimum version of TLS [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    tls_min_version: Option<MinVersion>,
    /// Serve https and wss with a certificate that the program makes, on loopback addresses only: browsers warn about
    /// it until it is trusted. The chat keeps it in its data folder
    #[arg(long)]
    tls_self_signed: bool,
    /// Tell browsers to use nothing but https for this many seconds, with the host of --public-url or, of echo and
    /// broadcast, any [default without a number: a year]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "31536000")]
    pub(super) hsts: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MinVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

impl TlsOptions {
    /// Returns whether connections are encrypted.
    pub(super) fn is_on(&self) -> bool {
        self.tls_self_signed || !self.tls_cert.is_empty()
    }

    /// Returns what is wrong with the options together, for a server that only this machine can reach, or others too.
    pub(super) fn check(&self, is_local: bool) -> Result<(), String> {
        let (certificates, keys) = (self.tls_cert.len(), self.tls_key.len());
        if certificates != keys {
            return Err(format!(
                "each --tls-cert FILE needs a --tls-key FILE: there are {certificates} certificates and {keys} keys"
            ));
        }
        if self.tls_self_signed && certificates > 0 {
            return Err("--tls-self-signed makes a certificate, and --tls-cert names one; leave out either".to_owned());
        }
        if self.tls_self_signed && !is_local {
            return Err("--tls-self-signed is for this machine alone; use it with --listen 127.0.0.1:PORT, or give a \
                 certificate with --tls-cert FILE --tls-key FILE"
                .to_owned());
        }
        if self.tls_self_signed && self.hsts.is_some() {
            return Err(
                "--hsts makes browsers refuse the certificate of --tls-self-signed; leave out either".to_owned()
            );
        }
        let dependent =
            [("--tls-client-ca", self.tls_client_ca.is_some()), ("--tls-min-version", self.tls_min_version.is_some())];
        match dependent.iter().find(|(_, is_given)| *is_given && !self.is_on()) {
            Some((option, _)) => Err(format!("{option} needs --tls-cert FILE --tls-key FILE")),
            None => Ok(()),
        }
    }

    /// Returns where the certificates are, if there are any. `kept` is the file for one of the program's making.
    pub(crate) fn source(&self, listen: &[SocketAddr], kept: Option<PathBuf>) -> Option<Source> {
        let min_version = match self.tls_min_version {
            None | Some(MinVersion::V1_2) => TlsVersion::V1_2,
            Some(MinVersion::V1_3) => TlsVersion::V1_3,
        };
        if self.tls_self_signed {
            let addresses = listen.iter().map(|address| address.ip().to_canonical()).collect();
            let place = kept.map_or(Place::Memory(None), Place::File);
            let client_ca = self.tls_client_ca.clone();
            return Some(Source::SelfSigned(SelfSigned { place, addresses, client_ca, min_version }));
        }
        let pairs = self.tls_cert.iter().zip(&self.tls_key);
        let pairs = pairs.map(|(certificate, key)| Pair { certificate: certificate.clone(), key: key.clone() });
        let files = Files { pairs: pairs.collect(), client_ca: self.tls_client_ca.clone(), min_version };
        self.is_on().then_some(Source::Files(files))
    }
}
