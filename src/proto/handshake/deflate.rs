//! The negotiation of permessage-deflate (RFC 7692 [§5], [§7.1]).
//!
//! A server takes the first offer that it can: one that is well formed but has a parameter that it does not know or
//! cannot keep to is declined, and the connection goes on with the next offer or without. A client fails the connection
//! where the answer is not one to its offer.
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

/// What a server agrees to of what a client offers.
#[cfg(feature = "deflate")]
pub(super) fn accept_offer(offers: &[ExtensionOffer], deflate: &Deflate) -> Option<DeflateAgreement> {
    let offers = offers.iter().filter(|offer| offer.name == NAME);
    let mut readable = offers.filter_map(|offer| read(offer, Sent::ByClient).ok());
    // zlib cannot compress with a window of 8 bits.
    let params = readable.find(|params| params.server_max_window_bits.is_none_or(|bits| bits.get() > 8))?;
    // How small a window the client could do with is a hint that we do not need.
    Some(DeflateAgreement::accept_offer(deflate, DeflateParams { client_max_window_bits: None, ..params }))
}

/// What a client's request says: what it asks for, and that it understands a limit for its own window.
pub(super) fn offer_value(offer: &DeflateOffer) -> String {
    offer.params().to_string() + "; " + CLIENT_MAX_WINDOW_BITS
}

/// What was agreed on, by the fields of the server's answer.
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

/// Reads the parameters of an offer or an answer (§7.1).
fn read(extension: &ExtensionOffer, sent: Sent) -> Result<DeflateParams, DeflateResponseError> {
    let mut params = DeflateParams::default();
    for (at, (name, value)) in extension.params.iter().enumerate() {
        // Short: what stands before are known names, each once.
        if extension.params[..at].iter().any(|(before, _)| before == name) {
            return Err(DeflateResponseError::Repeated);
        }
        let bits = || value.as_deref().and_then(WindowBits::parse).ok_or(DeflateResponseError::InvalidValue);
        match &**name {
            SERVER_NO_CONTEXT_TAKEOVER if value.is_none() => params.server_no_context_takeover = true,
            CLIENT_NO_CONTEXT_TAKEOVER if value.is_none() => params.client_no_context_takeover = true,
            SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER => return Err(DeflateResponseError::InvalidValue),
            SERVER_MAX_WINDOW_BITS => params.server_max_window_bits = Some(bits()?),
            // §7.1.2.2: only in an offer may it stand without a value.
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
