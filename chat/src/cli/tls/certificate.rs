//! What the program says of a certificate: its names, until when it is valid, and its fingerprint.

use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use webpki::EndEntityCert;
use yasna::{ASN1Result, BERReader, Tag};

/// The certificate of a server.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    /// When it expires.
    pub(crate) not_after: SystemTime,
}

impl Certificate {
    /// Reads the first certificate of a chain in PEM. Returns `None` if there is none, or it is malformed.
    pub(crate) fn first_of(chain: &[u8]) -> Option<Self> {
        let der = CertificateDer::from_pem_slice(chain).ok()?;
        let not_after = SystemTime::from(not_after(&der).ok()?);
        Some(Self { der, not_after })
    }

    /// Returns the host names that it is for.
    fn names(&self) -> Vec<&str> {
        EndEntityCert::try_from(&self.der)
            .map(|certificate| certificate.valid_dns_names().collect())
            .unwrap_or_default()
    }

    /// Returns whether it is for an IP address.
    pub(crate) fn is_for(&self, address: IpAddr) -> bool {
        let name = ServerName::IpAddress(address.into());
        EndEntityCert::try_from(&self.der)
            .is_ok_and(|certificate| certificate.verify_is_valid_for_subject_name(&name).is_ok())
    }

    /// Returns the SHA-256 of the certificate as browsers show it.
    pub(crate) fn fingerprint(&self) -> String {
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Returns a warning if it expires soon, or has expired.
    pub(crate) fn expiry_warning(&self, now: SystemTime) -> Option<String> {
        let date = date(self.not_after);
        match self.not_after.duration_since(now) {
            Err(_) => Some(format!("expired on {date}")),
            Ok(left) if left <= WARN_BEFORE => Some(format!("expires in {} days, on {date}", left.as_secs() / DAY)),
            Ok(_) => None,
        }
    }
}

/// Writes the names and the expiry.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names();
        if !names.is_empty() {
            write!(f, "for {}, ", names.join(", "))?;
        }
        write!(f, "valid until {}", date(self.not_after))
    }
}

/// Reads when a certificate expires (RFC 5280 §4.1). yasna is here already, for rcgen; whole parsers of certificates
/// are a dozen packages.
fn not_after(der: &[u8]) -> ASN1Result<OffsetDateTime> {
    yasna::parse_der(der, |certificate| {
        certificate.read_sequence(|certificate| {
            let not_after = certificate.next().read_sequence(|fields| {
                fields.read_optional(|version| version.read_tagged(Tag::context(0), |version| version.read_der()))?;
                for _skipped in ["serialNumber", "signature", "issuer"] {
                    fields.next().read_der()?;
                }
                let not_after = fields.next().read_sequence(|validity| {
                    validity.next().read_der()?;
                    read_time(validity.next())
                })?;
                while fields.read_optional(|field| field.read_der())?.is_some() {}
                Ok(not_after)
            })?;
            for _skipped in ["signatureAlgorithm", "signatureValue"] {
                certificate.next().read_der()?;
            }
            Ok(not_after)
        })
    })
}

/// Reads a time: one up to the year 2049 in two digits, a later one in four (RFC 5280 §4.1.2.5).
fn read_time(reader: BERReader<'_, '_>) -> ASN1Result<OffsetDateTime> {
    if reader.lookahead_tag()? == yasna::tags::TAG_UTCTIME {
        Ok(*reader.read_utctime()?.datetime())
    } else {
        Ok(*reader.read_generalized_time()?.datetime())
    }
}

/// Returns a date and time without fractions, in UTC.
fn date(time: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(time)
}

const DAY: u64 = 24 * 60 * 60;
/// How long before its end a certificate is warned about. Certbot renews 30 days before.
const WARN_BEFORE: Duration = Duration::from_secs(14 * DAY);

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Returns a certificate for these names that expires then, in seconds since 1970.
    fn certificate(names: &[&str], not_after: u64) -> Certificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = (SystemTime::UNIX_EPOCH + Duration::from_secs(not_after)).into();
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        Certificate::first_of(pem.as_bytes()).expect("a certificate")
    }

    #[test]
    fn the_expiry_and_the_names_are_those_of_the_certificate() {
        for (not_after, expected) in [
            (1_900_000_000, "for a.example, b.example, valid until 2030-03-17T17:46:40Z"),
            // The last time with a year of two digits, and the first with one of four.
            (2_524_607_999, "for a.example, b.example, valid until 2049-12-31T23:59:59Z"),
            (2_524_608_000, "for a.example, b.example, valid until 2050-01-01T00:00:00Z"),
        ] {
            let certificate = certificate(&["a.example", "b.example", "127.0.0.1"], not_after);
            assert_eq!(certificate.to_string(), expected);
            assert!(certificate.is_for([127, 0, 0, 1].into()) && !certificate.is_for([127, 0, 0, 2].into()));
        }
        assert_eq!(certificate(&["127.0.0.1"], 1_900_000_000).to_string(), "valid until 2030-03-17T17:46:40Z");
    }

    #[test]
    fn a_fingerprint_is_that_of_openssl() {
        let certificate = certificate(&["a.example"], 1_900_000_000);
        let fingerprint = certificate.fingerprint();
        assert_eq!((fingerprint.len(), fingerprint.matches(':').count()), (95, 31));
        let der: String = Sha256::digest(&certificate.der).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(fingerprint.replace(':', "").to_lowercase(), der);
    }

    #[test]
    fn a_certificate_is_warned_about_in_its_last_14_days() {
        let end = 1_900_000_000;
        let certificate = certificate(&["a.example"], end);
        let warning = |at: u64| certificate.expiry_warning(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
        assert_eq!(warning(end - 14 * DAY - 1), None);
        assert_eq!(warning(end - 14 * DAY).as_deref(), Some("expires in 14 days, on 2030-03-17T17:46:40Z"));
        assert_eq!(warning(end - 1).as_deref(), Some("expires in 0 days, on 2030-03-17T17:46:40Z"));
        assert_eq!(warning(end + 1).as_deref(), Some("expired on 2030-03-17T17:46:40Z"));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let whole = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let whole = whole.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(Certificate::first_of(whole.pem().as_bytes()).is_some());
        for length in 0..whole.der().len() {
            assert!(not_after(&whole.der()[..length]).is_err(), "cut after {length} bytes");
        }
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"] {
            assert!(Certificate::first_of(text.as_bytes()).is_none(), "{text}");
        }
    }
}
