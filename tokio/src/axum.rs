//! The extractor for axum.

use std::future::Future;

use ::http::{
    HeaderValue, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    request::Parts,
};
use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use switchboard::{Delivery, HttpVersion, Rejection, ServerHandshake};

use crate::{Config, WebSocket};

/// A connection that axum has upgraded.
pub type AxumSocket = WebSocket<TokioIo<Upgraded>>;

/// Extracts the opening handshake of a request in axum 0.8.
///
/// A request that opens no WebSocket is answered by the extractor, with the status that fits. Only HTTP/1.1 is
/// supported. The limits of the request's head and its deadline are those of the HTTP server.
///
/// ```
/// use axum::{Router, response::Response, routing::get};
/// use switchboard_tokio::axum::WebSocketUpgrade;
///
/// async fn echo(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(async |mut socket| {
///         while let Some(Ok(message)) = socket.next().await {
///             if message.is_data() && socket.feed(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// let app: Router = Router::new().route("/echo", get(echo));
/// # let _ = app;
/// ```
#[derive(Debug)]
#[must_use]
pub struct WebSocketUpgrade {
    handshake: ServerHandshake,
    upgrade: OnUpgrade,
    config: Config,
    subprotocol: Option<String>,
}

impl WebSocketUpgrade {
    /// Uses this configuration. Default [`Config::new`].
    pub fn config(mut self, config: &Config) -> Self {
        self.config = config.clone();
        self
    }

    /// Returns the client's handshake: its Origin, which a server that identifies users by cookies must check, and the
    /// subprotocols that it offers.
    #[must_use]
    pub fn handshake(&self) -> &ServerHandshake {
        &self.handshake
    }

    /// Chooses a subprotocol. One that the client does not offer is ignored.
    pub fn subprotocol(mut self, name: &str) -> Self {
        self.subprotocol = self.handshake.subprotocols().iter().find(|offered| *offered == name).cloned();
        self
    }

    /// Returns the response that opens the connection, and spawns a task which calls `serve` with it once the response
    /// is written. If that fails, `serve` is not called.
    pub fn on_upgrade<F, R>(self, serve: F) -> Response
    where
        F: FnOnce(AxumSocket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let Self { mut handshake, upgrade, config, subprotocol } = self;
        if let Some(deflate) = &config.deflate {
            handshake = handshake.with_deflate(deflate);
        }
        let response = response(&handshake, subprotocol.as_deref());
        let connection = handshake.into_connection(config.limits, Delivery::Messages);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                let socket = WebSocket::from_upgraded(TokioIo::new(upgraded), [], connection, &config);
                serve(socket.with_subprotocol(subprotocol)).await;
            }
        });
        response
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = UpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, UpgradeRejection> {
        let version = if parts.version == Version::HTTP_11 { HttpVersion::Http11 } else { HttpVersion::Http10 };
        let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let handshake = ServerHandshake::from_parts(parts.method.as_str(), version, headers)
            .map_err(|error| UpgradeRejection(Rejection::from(&error)))?;
        let upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or_else(|| UpgradeRejection(Rejection::new(500).body("the HTTP server does not support upgrades\n")))?;
        Ok(Self { handshake, upgrade, config: Config::new(), subprotocol: None })
    }
}

/// The answer to a request that opens no WebSocket.
#[derive(Clone, Debug)]
pub struct UpgradeRejection(Rejection);

impl IntoResponse for UpgradeRejection {
    fn into_response(self) -> Response {
        let Self(rejection) = self;
        let response = Response::builder().status(rejection.status());
        let response = rejection.headers().fold(response, |response, (name, value)| response.header(name, &*value));
        response.body(Body::from(rejection.text().to_owned())).unwrap_or_default()
    }
}

/// Returns the response 101 (§4.2.2).
fn response(handshake: &ServerHandshake, subprotocol: Option<&str>) -> Response {
    let mut response = Response::builder()
        .status(101)
        .header(UPGRADE, HeaderValue::from_static("websocket"))
        .header(CONNECTION, HeaderValue::from_static("Upgrade"))
        .header(SEC_WEBSOCKET_ACCEPT, handshake.accept_key());
    if let Some(params) = handshake.deflate() {
        response = response.header(SEC_WEBSOCKET_EXTENSIONS, params.to_string());
    }
    if let Some(name) = subprotocol {
        response = response.header(SEC_WEBSOCKET_PROTOCOL, name);
    }
    // Each value is a token, or made here, so this cannot fail.
    response.body(Body::empty()).unwrap_or_default()
}
