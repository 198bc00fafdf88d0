//! The server's side of the opening handshake ([§4.2]).
//!
//! Checks a request that has been read, by [`RequestReader`](super::RequestReader) or by anyone else's HTTP, and
//! writes the answer. Which Origin may connect, and which subprotocol to speak, is the caller's to say.
//!
//! [§4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

#[cfg(feature = "deflate")]
use alloc::string::ToString as _;
use alloc::{borrow::ToOwned, string::String, vec::Vec};

use super::{
    ExtensionOffer, HandshakeError, HttpVersion, InvalidHeader, RequestHead, key,
    response::{check_added, header_line, status_line},
    values::{self, has_token, is_host},
};
use crate::proto::{Connection, Delivery, Limits, deflate::DeflateAgreement};
#[cfg(feature = "deflate")]
use crate::proto::{Deflate, DeflateParams};

/// A valid opening handshake of a client ([§4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1)), to be
/// answered: [`accept`](Self::accept) gives the open connection; to turn it down write a
/// [`Rejection`](super::Rejection).
#[derive(Debug)]
pub struct ServerHandshake {
    accept_key: String,
    host: String,
    origin: Option<String>,
    subprotocols: Vec<String>,
    extensions: Vec<ExtensionOffer>,
    deflate: Option<DeflateAgreement>,
}

impl ServerHandshake {
    /// Checks a request that this engine has read.
    ///
    /// # Errors
    /// The first rule of §4.2.1 that it breaks.
    pub fn from_request(head: &RequestHead) -> Result<Self, HandshakeError> {
        Self::from_parts(head.method(), head.version(), head.headers())
    }

    /// Checks a request that another HTTP server has read.
    ///
    /// # Errors
    /// The first rule of §4.2.1 that it breaks.
    pub fn from_parts<'a>(
        method: &str,
        version: HttpVersion,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HandshakeError> {
        let mut hosts = SingleField::default();
        let mut keys = SingleField::default();
        let mut versions = SingleField::default();
        let mut origins = SingleField::default();
        let (mut upgrade, mut connection, mut body) = (false, false, false);
        let (mut subprotocols, mut extensions) = (Ok(Vec::new()), Ok(Vec::new()));
        for (name, value) in headers {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("host") {
                hosts.add(value);
            } else if is("upgrade") {
                upgrade |= has_token(value, "websocket");
            } else if is("connection") {
                connection |= has_token(value, "upgrade");
            } else if is("sec-websocket-key") {
                keys.add(value);
            } else if is("sec-websocket-version") {
                versions.add(value);
            } else if is("origin") {
                origins.add(value);
            } else if is("sec-websocket-protocol") {
                subprotocols = subprotocols.and_then(|mut seen| values::parse_tokens(value, &mut seen).map(|()| seen));
            } else if is("sec-websocket-extensions") {
                extensions = extensions.and_then(|mut seen| values::parse_extensions(value, &mut seen).map(|()| seen));
            } else if is("transfer-encoding") {
                body = true;
            } else if is("content-length") {
                body |= value != b"0";
            }
        }

        if method != "GET" {
            return Err(HandshakeError::Method);
        }
        if version != HttpVersion::Http11 {
            return Err(HandshakeError::HttpVersion);
        }
        let host = match hosts.single().map(core::str::from_utf8) {
            Some(Ok(host)) if is_host(host) => host.to_owned(),
            _ => return Err(HandshakeError::Host),
        };
        if body {
            return Err(HandshakeError::Body);
        }
        if !upgrade {
            return Err(HandshakeError::NotAnUpgrade);
        }
        if !connection {
            return Err(HandshakeError::Connection);
        }
        if versions.single() != Some(b"13") {
            return Err(HandshakeError::WebSocketVersion);
        }
        let Some(key) = keys.single().filter(|key| key::is_valid(key)) else {
            return Err(HandshakeError::Key);
        };
        let origin = match (origins.seen, origins.single().map(core::str::from_utf8)) {
            (0, _) => None,
            (_, Some(Ok(origin))) if origin.is_ascii() => Some(origin.to_owned()),
            _ => return Err(HandshakeError::Origin),
        };
        let subprotocols = match subprotocols {
            Ok(list) if are_unique(&list) => list,
            _ => return Err(HandshakeError::Subprotocols),
        };
        let extensions = extensions.map_err(|_| HandshakeError::Extensions)?;
        Ok(Self { accept_key: key::accept(key), host, origin, subprotocols, extensions, deflate: None })
    }

    /// The Host that the client named, with its port where it named one.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The Origin, as a browser sends it ([§10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)): what page
    /// the connection is for. `None` comes from what is no browser. Whoever keeps cookies must check it.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The subprotocols that the client offers, the one it likes best first.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// The extensions that the client offers, the one it likes best first.
    #[must_use]
    pub fn extensions(&self) -> &[ExtensionOffer] {
        &self.extensions
    }

    /// Agrees on permessage-deflate, if the client offers it in a form that we can take (RFC 7692 §7.1).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, deflate: &Deflate) -> Self {
        self.deflate = super::deflate::accept_offer(&self.extensions, deflate);
        self
    }

    /// What was agreed on of permessage-deflate, if anything was. Its `Display` is the value of
    /// `Sec-WebSocket-Extensions`, for who writes the answer 101 by other means.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref().map(DeflateAgreement::params)
    }

    /// The open connection, for who writes the answer 101 by other means.
    #[must_use]
    pub fn into_connection(self, limits: Limits, delivery: Delivery) -> Connection {
        Connection::server(limits, delivery).with(self.deflate)
    }

    /// The value of `Sec-WebSocket-Accept`, for who writes the answer 101 by other means and then calls
    /// [`into_connection`](Self::into_connection).
    #[must_use]
    pub fn accept_key(&self) -> &str {
        &self.accept_key
    }

    /// Appends the answer 101 to `out` and gives the open connection
    /// ([§4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)). Bytes that were read behind the request are
    /// its first input.
    ///
    /// # Errors
    /// [`InvalidHeader`] where the subprotocol was not offered, or where a header field cannot be written or is one
    /// of the handshake's own; nothing is appended.
    pub fn accept(
        self,
        subprotocol: Option<&str>,
        headers: &[(&str, &str)],
        limits: Limits,
        delivery: Delivery,
        out: &mut Vec<u8>,
    ) -> Result<Connection, InvalidHeader> {
        if let Some(chosen) = subprotocol
            && !self.subprotocols.iter().any(|offered| offered == chosen)
        {
            return Err(InvalidHeader::Subprotocol(chosen.to_owned()));
        }
        check_added(headers)?;
        status_line(101, out);
        header_line("Upgrade", "websocket", out);
        header_line("Connection", "Upgrade", out);
        header_line("Sec-WebSocket-Accept", &self.accept_key, out);
        if let Some(chosen) = subprotocol {
            header_line("Sec-WebSocket-Protocol", chosen, out);
        }
        #[cfg(feature = "deflate")]
        if let Some(params) = self.deflate() {
            header_line("Sec-WebSocket-Extensions", &params.to_string(), out);
        }
        for (name, value) in headers {
            header_line(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(self.into_connection(limits, delivery))
    }
}

/// A header field that may stand once.
#[derive(Default)]
struct SingleField<'a> {
    seen: usize,
    value: &'a [u8],
}

impl<'a> SingleField<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.seen += 1;
        self.value = value;
    }

    fn single(&self) -> Option<&'a [u8]> {
        (self.seen == 1).then_some(self.value)
    }
}

/// §4.1: the subprotocols in a request are unique. A head's limits keep the list short.
fn are_unique(list: &[String]) -> bool {
    let mut sorted: Vec<&str> = list.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}
