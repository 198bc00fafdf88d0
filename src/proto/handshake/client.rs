//! The client's side of the opening handshake ([§4.1]): writes the request and checks the response.
//!
//! [§4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.1

use alloc::{borrow::ToOwned, boxed::Box, string::String, vec::Vec};

use super::{
    ClientHandshakeError, HeadError, HeadLimits, HttpVersion, InvalidHeader, ResponseHead, deflate,
    head::ResponseReader,
    key,
    response::{check_added, header_line},
    values::{has_token, is_host, is_token},
};
use crate::proto::{
    Connection, Delivery, KeySource, Limits, Masked,
    deflate::{DeflateAgreement, DeflateOffer},
};
#[cfg(feature = "deflate")]
use crate::proto::{Deflate, DeflateParams};

/// The request of a client's opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRequest<'a> {
    /// The host, with its port if that is not the scheme's default: `example.com:8080`.
    pub host: &'a str,
    /// The path and query: `/chat?room=1`.
    pub target: &'a str,
    /// The Origin; only browsers must send one (§4.1).
    pub origin: Option<&'a str>,
    /// The subprotocols to offer, in order of preference.
    pub subprotocols: &'a [&'a str],
    /// Further header fields, such as `Authorization` or `Cookie`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> ClientRequest<'a> {
    /// Returns a request for `target` at `host`, without Origin, subprotocols or further header fields.
    #[must_use]
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self { host, target, origin: None, subprotocols: &[], headers: &[] }
    }
}

/// A client's opening handshake ([§4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)) that waits for the
/// server's response.
///
/// [`new`](Self::new) writes the request; give the server's bytes to [`receive`](Self::receive). The response is
/// checked in full. A redirect or any other status is an error that contains the head of the response. The caller
/// decides whether to follow a redirect, and reads the body if it wants it.
#[derive(Debug)]
pub struct ClientHandshake {
    reader: ResponseReader,
    accept_key: String,
    subprotocols: Vec<String>,
    deflate: Option<DeflateOffer>,
    interim: u8,
}

/// An opening handshake that the server has accepted.
#[derive(Debug)]
pub struct Established {
    subprotocol: Option<String>,
    deflate: Option<DeflateAgreement>,
    response: ResponseHead,
}

impl ClientHandshake {
    /// Appends the request to `out`.
    ///
    /// `nonce` must be 16 fresh random bytes ([§4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)). `limits`
    /// apply to the head of the response.
    ///
    /// # Errors
    /// [`InvalidHeader`] if a part of the request must not be written. Nothing is appended.
    pub fn new(
        request: &ClientRequest<'_>,
        nonce: [u8; 16],
        limits: HeadLimits,
        out: &mut Vec<u8>,
    ) -> Result<Self, InvalidHeader> {
        Self::write(request, None, nonce, limits, out)
    }

    /// Appends the request to `out`, as [`new`](Self::new), with an offer of permessage-deflate.
    ///
    /// If the server accepts it, both ends may compress. If the budget of `deflate` is spent, the offer asks for no
    /// context takeover.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    #[cfg(feature = "deflate")]
    pub fn with_deflate(
        request: &ClientRequest<'_>,
        deflate: &Deflate,
        nonce: [u8; 16],
        limits: HeadLimits,
        out: &mut Vec<u8>,
    ) -> Result<Self, InvalidHeader> {
        Self::write(request, Some(DeflateOffer::new(deflate)), nonce, limits, out)
    }

    fn write(
        request: &ClientRequest<'_>,
        deflate: Option<DeflateOffer>,
        nonce: [u8; 16],
        limits: HeadLimits,
        out: &mut Vec<u8>,
    ) -> Result<Self, InvalidHeader> {
        let ClientRequest { host, target, origin, subprotocols, headers } = *request;
        // §3: a fragment has no meaning here and must not be sent.
        if !target.starts_with('/') || !target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
            return Err(InvalidHeader::Target(target.to_owned()));
        }
        if !is_host(host) {
            return Err(InvalidHeader::Value { name: "Host".to_owned() });
        }
        if let Some(origin) = origin {
            InvalidHeader::check("Origin", origin)?;
        }
        for (i, name) in subprotocols.iter().enumerate() {
            if !is_token(name.as_bytes()) || subprotocols[..i].contains(name) {
                return Err(InvalidHeader::Subprotocol((*name).to_owned()));
            }
        }
        check_added(headers)?;

        let key = key::encode_nonce(nonce);
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        header_line("Host", host, out);
        header_line("Upgrade", "websocket", out);
        header_line("Connection", "Upgrade", out);
        header_line("Sec-WebSocket-Key", &key, out);
        header_line("Sec-WebSocket-Version", "13", out);
        if let Some(origin) = origin {
            header_line("Origin", origin, out);
        }
        if !subprotocols.is_empty() {
            header_line("Sec-WebSocket-Protocol", &subprotocols.join(", "), out);
        }
        if let Some(offer) = &deflate {
            header_line("Sec-WebSocket-Extensions", &deflate::offer_value(offer), out);
        }
        for (name, value) in headers {
            header_line(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(Self {
            reader: ResponseReader::new(limits),
            accept_key: key::accept(key.as_bytes()),
            subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(),
            deflate,
            interim: 0,
        })
    }

    /// Reads the next bytes of the response.
    ///
    /// Returns `None` until the head of the response is whole; then the accepted handshake, with the number of these
    /// bytes that belong to the head. The bytes after them are the first frames.
    ///
    /// # Errors
    /// [`ClientHandshakeError`]: the connection is not open, and the caller must end it.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<(Established, usize)>, ClientHandshakeError> {
        let mut used = 0;
        loop {
            let Some((response, more)) = self.reader.receive(&bytes[used..]).map_err(ClientHandshakeError::Head)?
            else {
                return Ok(None);
            };
            used += more;
            match response.status() {
                101 => return self.check(response).map(|established| Some((established, used))),
                // RFC 9110 §15.2: a client accepts any number of interim responses; we accept a few.
                100..=199 if self.interim < MAX_INTERIM => self.interim += 1,
                100..=199 => return Err(ClientHandshakeError::TooManyInterim),
                _ => return Err(not_upgraded(response, used)),
            }
        }
    }

    /// Checks a response with status 101: steps 2 to 6 of §4.1.
    fn check(&mut self, response: ResponseHead) -> Result<Established, ClientHandshakeError> {
        if response.version() != HttpVersion::Http11 {
            return Err(ClientHandshakeError::Head(HeadError::UnsupportedVersion));
        }
        let mut upgrades = response.values("upgrade");
        let is_upgrade = upgrades.next().is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        if !is_upgrade || upgrades.next().is_some() {
            return Err(ClientHandshakeError::Upgrade);
        }
        if !response.values("connection").any(|value| has_token(value, "upgrade")) {
            return Err(ClientHandshakeError::Connection);
        }
        let mut accepts = response.values("sec-websocket-accept");
        if accepts.next() != Some(self.accept_key.as_bytes()) || accepts.next().is_some() {
            return Err(ClientHandshakeError::Accept);
        }
        let deflate = deflate::check_response(response.values("sec-websocket-extensions"), self.deflate.take())?;
        let mut chosen = response.values("sec-websocket-protocol");
        let subprotocol = match (chosen.next(), chosen.next()) {
            (None, _) => None,
            (Some(name), None) => match self.subprotocols.iter().find(|offered| offered.as_bytes() == name) {
                Some(offered) => Some(offered.clone()),
                None => return Err(ClientHandshakeError::Subprotocol),
            },
            (Some(_), Some(_)) => return Err(ClientHandshakeError::Subprotocol),
        };
        drop((upgrades, accepts, chosen));
        Ok(Established { subprotocol, deflate, response })
    }
}

impl Established {
    /// Returns the subprotocol that the server chose, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the parameters of permessage-deflate, if it was negotiated.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref().map(DeflateAgreement::params)
    }

    /// Returns the head of the server's response.
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// Returns the open connection.
    ///
    /// `keys` must return a fresh, unpredictable key for each frame
    /// ([§5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)).
    #[must_use]
    pub fn into_connection<K: KeySource>(self, keys: K, limits: Limits, delivery: Delivery) -> Connection<Masked<K>> {
        Connection::client(keys, limits, delivery).with(self.deflate)
    }
}

fn not_upgraded(response: ResponseHead, used: usize) -> ClientHandshakeError {
    let location = response.values("location").next().and_then(|value| core::str::from_utf8(value).ok());
    match (response.status(), location.map(ToOwned::to_owned)) {
        (301 | 302 | 303 | 307 | 308, Some(location)) => {
            ClientHandshakeError::Redirect { location, response: Box::new(response), used }
        }
        _ => ClientHandshakeError::Status { response: Box::new(response), used },
    }
}

/// How many interim responses (1xx) are skipped.
const MAX_INTERIM: u8 = 8;
