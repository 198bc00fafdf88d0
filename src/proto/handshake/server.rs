//! The server's side of the opening handshake ([§4.2]): checks a request and writes the response.
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

/// A client's valid opening handshake ([§4.2.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1)), before the
/// server's response.
///
/// It is made from a request that was read by a [`RequestReader`](super::RequestReader) or by another HTTP library.
/// [`accept`](Self::accept) opens the connection; to reject it, write a [`Rejection`](super::Rejection). The caller
/// decides which [`origin`](Self::origin) may connect, and which subprotocol to choose.
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
    /// Checks a request that was read by a [`RequestReader`](super::RequestReader).
    ///
    /// If its target is a whole address, [`host`](Self::host) is the host of that (RFC 9112 §3.2.2).
    ///
    /// # Errors
    /// The first rule of §4.2.1 that the request breaks.
    pub fn from_request(head: &RequestHead) -> Result<Self, HandshakeError> {
        let mut handshake = Self::from_parts(head.method(), head.version(), head.headers())?;
        if let Some(authority) = head.authority() {
            authority.clone_into(&mut handshake.host);
        }
        Ok(handshake)
    }

    /// Checks a request that was read by another HTTP library.
    ///
    /// # Errors
    /// The first rule of §4.2.1 that the request breaks.
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

    /// Returns the Host of the request, with its port if it has one.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the Origin: the page that opens the connection, as browsers send it
    /// ([§10.2](https://www.rfc-editor.org/rfc/rfc6455#section-10.2)).
    ///
    /// Clients other than browsers often send none. A server that identifies users by cookies must check it, because
    /// browsers send cookies for any page.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Returns the subprotocols that the client offers, in its order of preference.
    #[must_use]
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// Returns the extensions that the client offers, in its order of preference.
    #[must_use]
    pub fn extensions(&self) -> &[ExtensionOffer] {
        &self.extensions
    }

    /// Accepts the client's first usable offer of permessage-deflate, if there is one
    /// ([RFC 7692 §7.1](https://www.rfc-editor.org/rfc/rfc7692#section-7.1)).
    ///
    /// Without one, the connection opens without compression.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, deflate: &Deflate) -> Self {
        self.deflate = super::deflate::accept_offer(&self.extensions, deflate);
        self
    }

    /// Returns the parameters of permessage-deflate, if it was negotiated.
    ///
    /// Their `Display` form is the value of `Sec-WebSocket-Extensions`, for callers that do not use
    /// [`accept`](Self::accept).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref().map(DeflateAgreement::params)
    }

    /// Returns the open connection, for callers that write the response 101 without [`accept`](Self::accept).
    #[must_use]
    pub fn into_connection(self, limits: Limits, delivery: Delivery) -> Connection {
        Connection::server(limits, delivery).with(self.deflate)
    }

    /// Returns the value of `Sec-WebSocket-Accept`, for callers that write the response 101 without
    /// [`accept`](Self::accept), and then call [`into_connection`](Self::into_connection).
    #[must_use]
    pub fn accept_key(&self) -> &str {
        &self.accept_key
    }

    /// Returns the heap memory of the handshake, in bytes: up to 50 times the length of the head that it was made from,
    /// if that consists of extensions.
    ///
    /// A caller that limits the memory of many connections adds these up.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let Self { accept_key, host, origin, subprotocols, extensions, deflate: _ } = self;
        let text = |text: &String| text.capacity();
        let subprotocols = size_of_val(&**subprotocols) + subprotocols.iter().map(text).sum::<usize>();
        let extensions =
            size_of_val(&**extensions) + extensions.iter().map(ExtensionOffer::allocated_bytes).sum::<usize>();
        text(accept_key) + text(host) + origin.as_ref().map_or(0, text) + subprotocols + extensions
    }

    /// Appends the response 101 to `out`, and returns the open connection
    /// ([§4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
    ///
    /// Bytes that were read after the request are the first input of the connection.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the client did not offer the subprotocol, or if a header field must not be written or
    /// belongs to the handshake. Nothing is appended.
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

/// A header field that may occur only once.
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

/// Returns whether no subprotocol occurs twice (§4.1). The limits of the head keep the list short.
fn are_unique(list: &[String]) -> bool {
    let mut sorted: Vec<&str> = list.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}
