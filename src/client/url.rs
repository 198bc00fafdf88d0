//! The URLs that this client can connect to: those of `wss` only with TLS.

use crate::{UrlError, WebSocketUrl};

/// Parses a URL.
///
/// # Errors
/// [`UrlError::Tls`], or that of [`WebSocketUrl::parse`].
pub(super) fn parse(text: &str) -> Result<WebSocketUrl, UrlError> {
    let url = WebSocketUrl::parse(text)?;
    if url.is_secure && cfg!(not(feature = "client-tls")) { Err(UrlError::Tls) } else { Ok(url) }
}

#[cfg(all(test, not(feature = "client-tls")))]
mod tests {
    use super::*;

    #[test]
    fn without_tls_wss_is_refused_with_the_feature_that_adds_it() {
        let error = parse("wss://example.com/").unwrap_err();
        assert_eq!(error, UrlError::Tls);
        assert!(error.to_string().contains("client-tls"), "{error}");
    }
}
