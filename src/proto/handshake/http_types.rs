//! Handshakes and rejections in the types of the crate `http`, which hyper, axum, tower and others share.

use alloc::{borrow::Cow, string::String};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::{HandshakeError, HttpVersion, InvalidHeader, Rejection, ServerHandshake};

impl ServerHandshake {
    /// Checks a request in the types of the crate `http`, with [`from_parts`](Self::from_parts) or
    /// [`from_extended_connect`](Self::from_extended_connect).
    ///
    /// `protocol` is the pseudo-header field `:protocol` of an extended CONNECT, which each library keeps in a type of
    /// its own: with hyper `request.extensions().get::<Protocol>().map(Protocol::as_str)`. `None` if there is none.
    ///
    /// ```rust
    /// use http::{Request, Response};
    /// use switchboard::{InvalidHeader, Rejection, ServerHandshake};
    ///
    /// fn respond<B>(request: &Request<B>) -> Result<Response<String>, InvalidHeader> {
    ///     match ServerHandshake::from_http(request, None) {
    ///         Ok(handshake) => handshake.to_http(handshake.choose(&["chat"])),
    ///         Err(error) => Rejection::from(error).to_http(request.version()),
    ///     }
    /// }
    ///
    /// let upgrade = Request::get("/chat")
    ///     .header("Host", "example.com")
    ///     .header("Upgrade", "websocket")
    ///     .header("Connection", "Upgrade")
    ///     .header("Sec-WebSocket-Version", "13")
    ///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    /// let response = respond(&upgrade.body(())?)?;
    /// assert_eq!(response.status(), 101);
    /// assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    /// assert_eq!(respond(&Request::put("/chat").body(())?)?.status(), 405);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn from_http<B>(request: &Request<B>, protocol: Option<&str>) -> Result<Self, HandshakeError> {
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        match request.version() {
            Version::HTTP_2 | Version::HTTP_3 => {
                let protocol = protocol.filter(|_| request.method() == Method::CONNECT);
                let authority = request.uri().authority().map_or("", |authority| authority.as_str());
                Self::from_extended_connect(protocol.unwrap_or_default(), authority, headers)
            }
            Version::HTTP_11 => Self::from_parts(request.method().as_str(), HttpVersion::Http11, headers),
            _ => Self::from_parts(request.method().as_str(), HttpVersion::Http10, headers),
        }
    }

    /// Returns the response that opens the connection: [`status`](Self::status) and
    /// [`response_headers`](Self::response_headers), without a body.
    ///
    /// # Errors
    /// [`InvalidHeader::Subprotocol`] if the client did not offer the subprotocol.
    pub fn to_http<B: Default>(&self, subprotocol: Option<&str>) -> Result<Response<B>, InvalidHeader> {
        response(self.status(), self.response_headers(subprotocol)?, B::default())
    }
}

impl Rejection {
    /// Returns the response to a request of this version.
    ///
    /// # Errors
    /// [`InvalidHeader`] if the status or a header field must not be written.
    pub fn to_http<B: From<String>>(&self, version: Version) -> Result<Response<B>, InvalidHeader> {
        self.check()?;
        let body = String::from(self.body_text()).into();
        match version {
            Version::HTTP_2 | Version::HTTP_3 => response(self.status(), self.http2_headers(), body),
            _ => response(self.status(), self.headers(), body),
        }
    }
}

fn response<'a, B>(
    status: u16,
    headers: impl Iterator<Item = (&'a str, Cow<'a, str>)>,
    body: B,
) -> Result<Response<B>, InvalidHeader> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| InvalidHeader::Status(status))?;
    for (name, value) in headers {
        let invalid = || InvalidHeader::Name(name.into());
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_str(&value).map_err(|_| InvalidHeader::Value { name: name.into() })?;
        response.headers_mut().try_append(field, value).map_err(|_| invalid())?;
    }
    Ok(response)
}
