//! The server's side of the opening handshake ([§4.2]): checks a request and writes the response.
//!
//! [§4.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2

#[cfg(feature = "deflate")]
use alloc::string::ToString as _;
use alloc::{
    borrow::{Cow, ToOwned},
    string::String,
    vec::Vec,
};

use super::{
    ExtensionOffer, HandshakeError, HttpVersion, InvalidHeader, RequestHead,
    fields::Fields,
    key,
    response::{check_added, header_line, status_line},
    values::is_host,
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
///
/// ```rust
/// use switchboard::{Delivery, HeadLimits, Limits, RequestError, RequestReader, ServerHandshake};
///
/// let request = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// let (head, used) = RequestReader::new(HeadLimits::default()).receive(request)?.expect("the head is whole");
/// let handshake = ServerHandshake::from_request(&head)?;
/// let mut out = Vec::new();
/// let connection = handshake.accept(None, &[], Limits::default(), Delivery::Messages, &mut out)?;
/// assert!(out.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
/// # assert_eq!(used, request.len());
/// # Ok::<(), RequestError>(())
/// ```
#[derive(Debug)]
pub struct ServerHandshake {
    /// `None` for an extended CONNECT, which has no key.
    accept_key: Option<String>,
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
        let fields = Fields::read(headers);
        if method != "GET" {
            return Err(HandshakeError::Method);
        }
        if version != HttpVersion::Http11 {
            return Err(HandshakeError::HttpVersion);
        }
        let host = match fields.host.single().map(core::str::from_utf8) {
            Some(Ok(host)) if is_host(host) => host.to_owned(),
            _ => return Err(HandshakeError::Host),
        };
        if fields.body {
            return Err(HandshakeError::Body);
        }
        if !fields.upgrade {
            return Err(HandshakeError::NotAnUpgrade);
        }
        if !fields.connection {
            return Err(HandshakeError::Connection);
        }
        if fields.version.single() != Some(b"13") {
            return Err(HandshakeError::WebSocketVersion);
        }
        let Some(key) = fields.key.single().filter(|key| key::is_valid(key)) else {
            return Err(HandshakeError::Key);
        };
        let (origin, subprotocols, extensions) = fields.into_offer()?;
        Ok(Self { accept_key: Some(key::accept(key)), host, origin, subprotocols, extensions, deflate: None })
    }

    /// Checks a request of HTTP/2 or HTTP/3 that was read by another HTTP library: an extended CONNECT
    /// ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441), [RFC 9220](https://www.rfc-editor.org/rfc/rfc9220)).
    ///
    /// `protocol` and `authority` are the values of the pseudo-header fields of these names. Such a handshake has no
    /// key, and neither Upgrade nor Connection: the stream itself becomes the connection. It must stay open for as
    /// long, and its end is the end of TCP.
    ///
    /// # Errors
    /// The first rule of RFC 8441 §5 and RFC 6455 §4.2.1 that the request breaks. Of the response to it, write
    /// [`Rejection::http2_headers`](super::Rejection::http2_headers).
    ///
    /// ```rust
    /// use switchboard::{Delivery, HandshakeError, Limits, ServerHandshake};
    ///
    /// let headers: [(&str, &[u8]); 2] = [("sec-websocket-version", b"13"), ("origin", b"https://example.com")];
    /// let handshake = ServerHandshake::from_extended_connect("websocket", "example.com", headers)?;
    /// assert_eq!(handshake.status(), 200);
    /// assert_eq!(handshake.response_headers(None).unwrap().count(), 0);
    /// let connection = handshake.into_connection(Limits::default(), Delivery::Messages);
    /// # Ok::<(), HandshakeError>(())
    /// ```
    pub fn from_extended_connect<'a>(
        protocol: &str,
        authority: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HandshakeError> {
        let fields = Fields::read(headers);
        if protocol != "websocket" {
            return Err(HandshakeError::Protocol);
        }
        if !is_host(authority) {
            return Err(HandshakeError::Host);
        }
        if fields.body {
            return Err(HandshakeError::Body);
        }
        if fields.version.single() != Some(b"13") {
            return Err(HandshakeError::ExtendedConnectVersion);
        }
        let (origin, subprotocols, extensions) = fields.into_offer()?;
        Ok(Self { accept_key: None, host: authority.to_owned(), origin, subprotocols, extensions, deflate: None })
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

    /// Chooses a subprotocol: the first of `supported` that the client offers; `None` if it offers none of them.
    ///
    /// The order is the server's, as in most servers, because [§4.2.2] leaves the choice to the server, which knows
    /// what it serves best and what it keeps for old clients only. For the client's order, search
    /// [`subprotocols`](Self::subprotocols). Names differ if their case does.
    ///
    /// [§4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    ///
    /// ```rust
    /// use switchboard::{HandshakeError, HttpVersion, ServerHandshake};
    ///
    /// let headers: [(&str, &[u8]); 6] = [
    ///     ("host", b"example.com"),
    ///     ("upgrade", b"websocket"),
    ///     ("connection", b"upgrade"),
    ///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ///     ("sec-websocket-version", b"13"),
    ///     ("sec-websocket-protocol", b"chat.v1, chat.v2"),
    /// ];
    /// let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, headers)?;
    /// assert_eq!(handshake.choose(&["chat.v3", "chat.v2", "chat.v1"]), Some("chat.v2"));
    /// assert_eq!(handshake.choose(&["mqtt"]), None);
    /// # Ok::<(), HandshakeError>(())
    /// ```
    #[must_use]
    pub fn choose<'a>(&self, supported: &[&'a str]) -> Option<&'a str> {
        supported.iter().copied().find(|name| self.offers(name))
    }

    /// Returns whether the client offers this subprotocol.
    fn offers(&self, subprotocol: &str) -> bool {
        self.subprotocols.iter().any(|offered| offered == subprotocol)
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
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<&DeflateParams> {
        self.deflate.as_ref().map(DeflateAgreement::params)
    }

    /// Returns the status of the response that opens the connection: 101, or 200 for an extended CONNECT.
    #[must_use]
    pub fn status(&self) -> u16 {
        if self.accept_key.is_some() { 101 } else { 200 }
    }

    /// Returns the header fields of the response, for callers that write it with another HTTP library
    /// ([§4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
    ///
    /// Together with [`into_connection`](Self::into_connection) it replaces [`accept`](Self::accept). Call
    /// `with_deflate` before it, because permessage-deflate has a field here.
    ///
    /// # Errors
    /// [`InvalidHeader::Subprotocol`] if the client did not offer the subprotocol. One that [`choose`](Self::choose)
    /// has returned cannot fail.
    ///
    /// ```rust
    /// # use switchboard::{HttpVersion, ServerHandshake};
    /// # let headers: [(&str, &[u8]); 6] = [
    /// #     ("host", b"example.com"),
    /// #     ("upgrade", b"websocket"),
    /// #     ("connection", b"upgrade"),
    /// #     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    /// #     ("sec-websocket-version", b"13"),
    /// #     ("sec-websocket-protocol", b"chat"),
    /// # ];
    /// # let handshake = ServerHandshake::from_parts("GET", HttpVersion::Http11, headers)?;
    /// let mut response = String::from("HTTP/1.1 101 Switching Protocols\r\n");
    /// for (name, value) in handshake.response_headers(handshake.choose(&["chat"]))? {
    ///     response += &format!("{name}: {value}\r\n");
    /// }
    /// assert_eq!(response, "HTTP/1.1 101 Switching Protocols\r\n\
    ///     Upgrade: websocket\r\n\
    ///     Connection: Upgrade\r\n\
    ///     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    ///     Sec-WebSocket-Protocol: chat\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn response_headers<'a>(
        &'a self,
        subprotocol: Option<&'a str>,
    ) -> Result<impl Iterator<Item = (&'a str, Cow<'a, str>)>, InvalidHeader> {
        if let Some(chosen) = subprotocol
            && !self.offers(chosen)
        {
            return Err(InvalidHeader::Subprotocol(chosen.to_owned()));
        }
        let upgrade = self.accept_key.as_deref().map(|accept_key| {
            [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key)]
        });
        let fields = upgrade.into_iter().flatten().chain(subprotocol.map(|chosen| ("Sec-WebSocket-Protocol", chosen)));
        let fields = fields.map(|(name, value)| (name, Cow::Borrowed(value)));
        #[cfg(feature = "deflate")]
        let fields =
            fields.chain(self.deflate().map(|params| ("Sec-WebSocket-Extensions", Cow::Owned(params.to_string()))));
        Ok(fields)
    }

    /// Returns the open connection, for callers that write the response without [`accept`](Self::accept), by
    /// [`response_headers`](Self::response_headers).
    #[must_use]
    pub fn into_connection(self, limits: Limits, delivery: Delivery) -> Connection {
        Connection::server(limits, delivery).with(self.deflate)
    }

    /// Returns the value of `Sec-WebSocket-Accept`, which [`response_headers`](Self::response_headers) contains; `None`
    /// for an extended CONNECT.
    #[must_use]
    pub fn accept_key(&self) -> Option<&str> {
        self.accept_key.as_deref()
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
        text(host) + [accept_key, origin].into_iter().flatten().map(text).sum::<usize>() + subprotocols + extensions
    }

    /// Appends the response 101 to `out`, and returns the open connection
    /// ([§4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
    ///
    /// Bytes that were read after the request are the first input of the connection.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the client did not offer the subprotocol, if a header field must not be written or belongs
    /// to the handshake, or if the handshake is an extended CONNECT. Nothing is appended.
    pub fn accept(
        self,
        subprotocol: Option<&str>,
        headers: &[(&str, &str)],
        limits: Limits,
        delivery: Delivery,
        out: &mut Vec<u8>,
    ) -> Result<Connection, InvalidHeader> {
        let fields = self.response_headers(subprotocol)?;
        check_added(headers)?;
        if self.accept_key.is_none() {
            return Err(InvalidHeader::ExtendedConnect);
        }
        status_line(101, out);
        for (name, value) in fields {
            header_line(name, &value, out);
        }
        for (name, value) in headers {
            header_line(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
        Ok(self.into_connection(limits, delivery))
    }
}
