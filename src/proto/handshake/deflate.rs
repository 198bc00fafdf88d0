//! The negotiation of permessage-deflate (RFC 7692 [§5], [§7.1]).
//!
//! A server accepts the first offer that it can. It declines an offer with a parameter that it does not know or does
//! not support, and tries the next one, or opens the connection without compression. A client fails the handshake if
//! the response does not fit its offer.
//!
//! [§5]: https://www.rfc-editor.org/rfc/rfc7692#section-5
//! [§7.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{ClientHandshakeError, DeflateResponseError, ExtensionOffer, values};
#[cfg(feature = "deflate")]
use crate::proto::deflate::Deflate;
use crate::proto::deflate::{DeflateAgreement, DeflateOffer, DeflateParams, WindowBits};

/// Accepts the first usable offer of a client, if any.
#[cfg(feature = "deflate")]
pub(super) fn accept_offer(offers: &[ExtensionOffer], deflate: &Deflate) -> Option<DeflateAgreement> {
    let offers = offers.iter().filter(|offer| offer.name == NAME);
    let mut readable = offers.filter_map(|offer| read(offer, Sent::ByClient).ok());
    // zlib cannot compress with a window of 8 bits.
    let params = readable.find(|params| params.server_max_window_bits.is_none_or(|bits| bits.get() > 8))?;
    // The client's own limit for its window is a hint that we do not need.
    Some(DeflateAgreement::accept_offer(deflate, DeflateParams { client_max_window_bits: None, ..params }))
}

/// Returns the value of a client's `Sec-WebSocket-Extensions`: its parameters, and that it supports a limit for its
/// window.
pub(super) fn offer_value(offer: &DeflateOffer) -> String {
    offer.params().to_string() + "; " + CLIENT_MAX_WINDOW_BITS
}

/// Checks the extensions in a server's response against the client's offer, and returns what was negotiated.
pub(super) fn check_response<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
    offer: Option<DeflateOffer>,
) -> Result<Option<DeflateAgreement>, ClientHandshakeError> {
    let mut responses = Vec::new();
    for field in fields {
        values::parse_extensions(field, &mut responses).map_err(|_| ClientHandshakeError::Extensions)?;
    }
    let (response, offer) = match (&*responses, offer) {
        ([], _) => return Ok(None),
        ([response], Some(offer)) if response.name == NAME => (response, offer),
        _ => return Err(ClientHandshakeError::Extension),
    };
    let params = read(response, Sent::ByServer).map_err(ClientHandshakeError::Deflate)?;
    if offer.params().server_no_context_takeover && !params.server_no_context_takeover {
        return Err(ClientHandshakeError::Deflate(DeflateResponseError::ContextTakeover));
    }
    Ok(Some(offer.agree(params)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    ByClient,
    ByServer,
}

/// Reads the parameters of an offer or a response (§7.1).
fn read(extension: &ExtensionOffer, sent: Sent) -> Result<DeflateParams, DeflateResponseError> {
    let mut params = DeflateParams::default();
    for (at, (name, value)) in extension.params.iter().enumerate() {
        // This list is short: the names before this one are known, each once.
        if extension.params[..at].iter().any(|(before, _)| before == name) {
            return Err(DeflateResponseError::Repeated);
        }
        let bits = || value.as_deref().and_then(WindowBits::parse).ok_or(DeflateResponseError::InvalidValue);
        match &**name {
            SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => params.server_no_context_takeover = true,
            CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => params.client_no_context_takeover = true,
            SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER => return Err(DeflateResponseError::InvalidValue),
            SERVER_MAX_WINDOW_BITS => params.server_max_window_bits = Some(bits()?),
            // §7.1.2.2: only in an offer may this parameter have no value.
            CLIENT_MAX_WINDOW_BITS if value.is_none() && sent == Sent::ByClient => {}
            CLIENT_MAX_WINDOW_BITS => params.client_max_window_bits = Some(bits()?),
            _ => return Err(DeflateResponseError::Unknown),
        }
    }
    Ok(params)
}

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";
