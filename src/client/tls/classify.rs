//! What kind of failure an error of rustls is.

use std::time::Duration;

use rustls::{AlertDescription, CertificateError, pki_types::UnixTime};

use super::{TlsError, TlsErrorKind};

/// Converts an error of rustls. `host` is the name in the URL.
pub(super) fn classified(error: rustls::Error, host: &str) -> TlsError {
    let kind = match &error {
        rustls::Error::InvalidCertificate(error) => certificate_error(error, host),
        rustls::Error::NoCertificatesPresented => TlsErrorKind::Certificate,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => TlsErrorKind::ClientCertificateRequired,
        rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate,
        ) => TlsErrorKind::ClientCertificateRefused,
        rustls::Error::AlertReceived(_) | rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => {
            TlsErrorKind::Refused
        }
        _ => TlsErrorKind::Protocol,
    };
    TlsError::new(kind, error)
}

fn certificate_error(error: &CertificateError, host: &str) -> TlsErrorKind {
    let between = |early: UnixTime, late: UnixTime| Duration::from_secs(late.as_secs().saturating_sub(early.as_secs()));
    match error {
        CertificateError::UnknownIssuer => TlsErrorKind::UnknownIssuer,
        CertificateError::Expired => TlsErrorKind::Expired { since: None },
        CertificateError::ExpiredContext { time, not_after } => {
            TlsErrorKind::Expired { since: Some(between(*not_after, *time)) }
        }
        CertificateError::NotValidYet => TlsErrorKind::NotYetValid { until: None },
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsErrorKind::NotYetValid { until: Some(between(*time, *not_before)) }
        }
        CertificateError::NotValidForName => TlsErrorKind::WrongName { host: host.to_owned(), names: Vec::new() },
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented.iter().take(MAX_NAMES).map(|name| bare_name(name).to_owned()).collect();
            TlsErrorKind::WrongName { host: host.to_owned(), names }
        }
        _ => TlsErrorKind::Certificate,
    }
}

/// Returns the name in the form `DnsName("example.com")` or `IpAddress(127.0.0.1)`, in which rustls lists names.
fn bare_name(listed: &str) -> &str {
    let inside = listed.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(listed);
    inside.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(inside)
}

/// How many names of a certificate an error keeps.
const MAX_NAMES: usize = 100;
