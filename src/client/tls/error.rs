//! Why TLS failed, sorted by what can be done about it.

use std::{error::Error, fmt, time::Duration};

use crate::Escaped;

/// Why a connection could not be encrypted, or stopped being so.
///
/// `Display` says what to do. [`source`](Error::source) returns the error of the TLS library, if it is from there.
#[derive(Debug)]
pub struct TlsError {
    kind: TlsErrorKind,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`TlsError`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// No authority that the client trusts has issued the server's certificate.
    UnknownIssuer,
    /// The server's certificate, or one that it was issued with, has expired.
    Expired {
        /// How long ago, if that is known.
        since: Option<Duration>,
    },
    /// The server's certificate, or one that it was issued with, is not valid yet.
    NotYetValid {
        /// When it becomes valid, from now, if that is known.
        until: Option<Duration>,
    },
    /// The server's certificate is for other names than the URL's host.
    WrongName {
        /// The host of the URL.
        host: String,
        /// The names and addresses that the certificate has: at most 100, as the certificate writes them.
        names: Vec<String>,
    },
    /// The server's certificate is not acceptable for another reason.
    Certificate,
    /// The server does not speak TLS on this port: its first byte begins no TLS record.
    NoTls,
    /// The server ended the connection within the TLS handshake, without a reason.
    Ended,
    /// The server demands a client certificate, and the client has none.
    ClientCertificateRequired,
    /// The server refused the client's certificate.
    ClientCertificateRefused,
    /// The server refused the handshake or ended the connection with an alert, or shares no version or cipher with the
    /// client.
    Refused,
    /// The server broke the TLS protocol, or somebody changed its bytes.
    Protocol,
    /// The options of TLS cannot be used, for this reason. No connection was made.
    Options(&'static str),
}

impl TlsError {
    pub(super) fn new(kind: TlsErrorKind, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, cause: Some(cause.into()) }
    }

    pub(super) fn without_cause(kind: TlsErrorKind) -> Self {
        Self { kind, cause: None }
    }

    /// Returns what kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> &TlsErrorKind {
        &self.kind
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TlsErrorKind::UnknownIssuer => f.write_str(
                "the server's certificate is from no authority that this client trusts; \
                 if the authority is your own, give its certificate to ClientBuilder::roots",
            ),
            TlsErrorKind::Expired { since } => {
                f.write_str("the server's certificate expired")?;
                if let Some(since) = since {
                    write!(f, " {} ago", Rough(*since))?;
                }
                f.write_str("; the server needs a new one, unless the clock of this computer is wrong")
            }
            TlsErrorKind::NotYetValid { until } => {
                f.write_str("the server's certificate is not valid yet")?;
                if let Some(until) = until {
                    write!(f, ", but in {}", Rough(*until))?;
                }
                f.write_str("; the clock of this computer or of the certificate's issuer is wrong")
            }
            TlsErrorKind::WrongName { host, names } => {
                write!(f, "the server's certificate is not for {}", Escaped::new(host))?;
                match names.split_at_checked(MAX_SHOWN_NAMES) {
                    _ if names.is_empty() => f.write_str(" and names no server at all"),
                    None => write!(f, ", only for {}", List(names)),
                    Some((shown, [])) => write!(f, ", only for {}", List(shown)),
                    Some((shown, more)) => write!(f, ", only for {} and {} more", List(shown), more.len()),
                }?;
                f.write_str("; connect by a name that it has")
            }
            TlsErrorKind::Certificate => f.write_str("the server's certificate is not acceptable"),
            TlsErrorKind::NoTls => f.write_str("the server does not speak TLS on this port; use ws:// or another port"),
            TlsErrorKind::Ended => f.write_str(
                "the server ended the connection within the TLS handshake; perhaps it speaks no TLS on this port",
            ),
            TlsErrorKind::ClientCertificateRequired => {
                f.write_str("the server demands a client certificate; give one to ClientBuilder::client_certificate")
            }
            TlsErrorKind::ClientCertificateRefused => f.write_str("the server refused the client certificate"),
            TlsErrorKind::Refused => f.write_str("the server refused TLS with this client"),
            TlsErrorKind::Protocol => f.write_str("the server broke the TLS protocol"),
            TlsErrorKind::Options(reason) => write!(f, "the options of TLS cannot be used: {reason}"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

/// A duration in its largest whole unit.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match seconds {
            0..60 => (seconds, "second"),
            60..3600 => (seconds / 60, "minute"),
            3600..86_400 => (seconds / 3600, "hour"),
            _ => (seconds / 86_400, "day"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// Names from a certificate, with commas between them.
struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { "" } else { ", " }, Escaped::new(name))?;
        }
        Ok(())
    }
}

/// How many names of a certificate an error shows. Certificates of hosters have up to a hundred.
const MAX_SHOWN_NAMES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_to_do_in_a_bounded_text() {
        let names = |count: usize| (0..count).map(|index| format!("{index}.test")).collect::<Vec<_>>();
        let wrong = |names| TlsErrorKind::WrongName { host: "h\n".into(), names };
        let expired = |seconds| TlsErrorKind::Expired { since: Some(Duration::from_secs(seconds)) };
        let until = |seconds| TlsErrorKind::NotYetValid { until: Some(Duration::from_secs(seconds)) };
        let rows: &[(TlsErrorKind, &str)] = &[
            (expired(0), "expired 0 seconds ago;"),
            (expired(1), "expired 1 second ago;"),
            (expired(3599), "expired 59 minutes ago;"),
            (expired(86_399), "expired 23 hours ago;"),
            (expired(86_400), "expired 1 day ago;"),
            (TlsErrorKind::Expired { since: None }, "certificate expired;"),
            (until(7200), "not valid yet, but in 2 hours;"),
            (TlsErrorKind::NotYetValid { until: None }, "not valid yet;"),
            (wrong(names(0)), "not for \"h\\n\" and names no server at all;"),
            (wrong(names(1)), "only for \"0.test\";"),
            (wrong(names(8)), "\"7.test\";"),
            (wrong(names(9)), "\"7.test\" and 1 more;"),
            (wrong(vec!["x".repeat(1 << 20); 100]), "and 92 more;"),
        ];
        for (kind, part) in rows {
            let shown = TlsError::without_cause(kind.clone()).to_string();
            assert!(shown.contains(part) && shown.len() < 4096, "{kind:?}: {shown}");
        }
    }
}
