//! The client's side of the opening handshake ([§4.1]).
//!
//! Writes the request and checks the answer in full. Redirects and other statuses are typed errors with the answer
//! in them; the body of such an answer is for the caller to read.
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

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// Host, and port where it is not the scheme's own: `example.com:8080`.
    pub host: &'a str,
    /// Path and query: `/chat?room=1`.
    pub target: &'a str,
    /// The Origin to name; only browsers must (§4.1).
    pub origin: Option<&'a str>,
    /// The subprotocols to offer, the best liked first.
    pub subprotocols: &'a [&'a str],
    /// Further header fields, such as `Authorization` or `Cookie`.
    pub headers: &'a [(&'a str, &'a str)],
}

impl<'a> ClientRequest<'a> {
    /// A request for `target` at `host`, without anything else.
    #[must_use]
    pub const fn new(host: &'a str, target: &'a str) -> Self {
        Self { host, target, origin: None, subprotocols: &[], headers: &[] }
    }
}

/// A handshake whose request is written and whose answer is awaited.
#[derive(Debug)]
pub struct ClientHandshake {
    reader: ResponseReader,
    accept_key: String,
    subprotocols: Vec<String>,
    deflate: Option<DeflateOffer>,
    interim: u8,
}

/// A handshake that the server accepted.
#[derive(Debug)]
pub struct Established {
    subprotocol: Option<String>,
    deflate: Option<DeflateAgreement>,
    response: ResponseHead,
}

impl ClientHandshake {
    /// Appends the request to `out`. `nonce` must be 16 fresh random bytes
    /// ([§4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    ///
    /// # Errors
    /// [`InvalidHeader`] where something cannot be written; nothing is appended.
    pub fn new(
        request: &ClientRequest<'_>,
        nonce: [u8; 16],
        limits: HeadLimits,
        out: &mut Vec<u8>,
    ) -> Result<Self, InvalidHeader> {
        Self::write(request, None, nonce, limits, out)
    }

    /// The same, with an offer of permessage-deflate: the server may then compress, and so do we. Where `deflate` has
    /// no memory for it, it asks for no context takeover.
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

    /// Takes the next bytes of the answer; gives the handshake's outcome once the answer's head is whole, with the
    /// number of these bytes that belong to it. What follows are the first frames.
    ///
    /// # Errors
    /// [`ClientHandshakeError`]: the connection is not open and must be ended.
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
                // RFC 9110 §15.2: a client takes any number of interim answers; we do while they are a few.
                100..=199 if self.interim < MAX_INTERIM => self.interim += 1,
                100..=199 => return Err(ClientHandshakeError::TooManyInterim),
                _ => return Err(not_upgraded(response, used)),
            }
        }
    }

    /// §4.1's steps 2 to 6 for the answer 101.
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
    /// The subprotocol that the server chose.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// What was agreed on of permessage-deflate, if anything was.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref().map(DeflateAgreement::params)
    }

    /// The server's answer.
    #[must_use]
    pub fn response(&self) -> &ResponseHead {
        &self.response
    }

    /// The open connection. `keys` makes a fresh, unpredictable key for each frame
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

/// Interim answers (1xx) that are passed over.
const MAX_INTERIM: u8 = 8;
