//! The header fields of a client's opening handshake ([§4.2.1]), sorted, before any of them is judged.
//!
//! [§4.2.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use super::{
    ExtensionOffer, HandshakeError,
    values::{self, Malformed, has_token},
};

/// The fields that a handshake consists of.
pub(super) struct Fields<'a> {
    pub(super) host: SingleField<'a>,
    pub(super) key: SingleField<'a>,
    pub(super) version: SingleField<'a>,
    origin: SingleField<'a>,
    /// Upgrade names `websocket`.
    pub(super) upgrade: bool,
    /// Connection names `Upgrade`.
    pub(super) connection: bool,
    /// The request announces a body.
    pub(super) body: bool,
    subprotocols: Result<Vec<String>, Malformed>,
    extensions: Result<Vec<ExtensionOffer>, Malformed>,
}

/// What the client offers: the Origin, the subprotocols and the extensions.
pub(super) type Offer = (Option<String>, Vec<String>, Vec<ExtensionOffer>);

impl<'a> Fields<'a> {
    pub(super) fn read(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut fields = Self {
            host: SingleField::default(),
            key: SingleField::default(),
            version: SingleField::default(),
            origin: SingleField::default(),
            upgrade: false,
            connection: false,
            body: false,
            subprotocols: Ok(Vec::new()),
            extensions: Ok(Vec::new()),
        };
        for (name, value) in headers {
            fields.add(name, value);
        }
        fields
    }

    fn add(&mut self, name: &str, value: &'a [u8]) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("host") {
            self.host.add(value);
        } else if is("upgrade") {
            self.upgrade |= has_token(value, "websocket");
        } else if is("connection") {
            self.connection |= has_token(value, "upgrade");
        } else if is("sec-websocket-key") {
            self.key.add(value);
        } else if is("sec-websocket-version") {
            self.version.add(value);
        } else if is("origin") {
            self.origin.add(value);
        } else if is("sec-websocket-protocol") {
            if let Ok(list) = &mut self.subprotocols
                && let Err(malformed) = values::parse_tokens(value, list)
            {
                self.subprotocols = Err(malformed);
            }
        } else if is("sec-websocket-extensions") {
            if let Ok(list) = &mut self.extensions
                && let Err(malformed) = values::parse_extensions(value, list)
            {
                self.extensions = Err(malformed);
            }
        } else if is("transfer-encoding") {
            self.body = true;
        } else if is("content-length") {
            self.body |= value != b"0";
        }
    }

    /// Returns what the client offers.
    ///
    /// # Errors
    /// [`HandshakeError::Origin`], [`HandshakeError::Subprotocols`] or [`HandshakeError::Extensions`].
    pub(super) fn into_offer(self) -> Result<Offer, HandshakeError> {
        let origin = match (self.origin.seen, self.origin.single().map(core::str::from_utf8)) {
            (0, _) => None,
            (_, Some(Ok(origin))) if origin.is_ascii() => Some(origin.to_owned()),
            _ => return Err(HandshakeError::Origin),
        };
        let mut subprotocols = match self.subprotocols {
            Ok(list) if are_unique(&list) => list,
            _ => return Err(HandshakeError::Subprotocols),
        };
        let mut extensions = self.extensions.map_err(|_| HandshakeError::Extensions)?;
        subprotocols.shrink_to_fit();
        extensions.shrink_to_fit();
        Ok((origin, subprotocols, extensions))
    }
}

impl ExtensionOffer {
    /// Parses the value of a `Sec-WebSocket-Extensions` field: the offers of a client, or the extensions that a server
    /// accepts ([§9.1](https://www.rfc-editor.org/rfc/rfc6455#section-9.1)).
    ///
    /// The list takes up to 50 times the memory of the value.
    ///
    /// # Errors
    /// [`HandshakeError::Extensions`] if the value breaks the grammar.
    ///
    /// ```rust
    /// use switchboard::{ExtensionOffer, HandshakeError};
    ///
    /// let offers = ExtensionOffer::parse_list(b"permessage-deflate; server_max_window_bits=10, x")?;
    /// assert_eq!((&*offers[0].name, &*offers[1].name), ("permessage-deflate", "x"));
    /// assert_eq!(offers[0].params, [("server_max_window_bits".to_owned(), Some("10".to_owned()))]);
    /// assert_eq!(ExtensionOffer::parse_list(b"x;"), Err(HandshakeError::Extensions));
    /// # Ok::<(), HandshakeError>(())
    /// ```
    pub fn parse_list(value: &[u8]) -> Result<Vec<Self>, HandshakeError> {
        let mut list = Vec::new();
        values::parse_extensions(value, &mut list).map_err(|_| HandshakeError::Extensions)?;
        list.shrink_to_fit();
        Ok(list)
    }
}

/// A header field that may occur only once.
#[derive(Default)]
pub(super) struct SingleField<'a> {
    seen: usize,
    value: &'a [u8],
}

impl<'a> SingleField<'a> {
    fn add(&mut self, value: &'a [u8]) {
        self.seen += 1;
        self.value = value;
    }

    pub(super) fn single(&self) -> Option<&'a [u8]> {
        (self.seen == 1).then_some(self.value)
    }
}

/// Returns whether no subprotocol occurs twice (§4.1). The limits of the head keep the list short.
fn are_unique(list: &[String]) -> bool {
    let mut sorted: Vec<&str> = list.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}
