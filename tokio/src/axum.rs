//! The extractor for axum.

use std::future::Future;

use ::http::{Request, Version, request::Parts};
use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use switchboard::{Delivery, Rejection, ServerHandshake};

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

    /// Chooses the first of the client's subprotocols that is one of these; see [`ServerHandshake::choose`].
    pub fn subprotocols(mut self, supported: &[&str]) -> Self {
        self.subprotocol = self.handshake.choose(supported).map(str::to_owned);
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
        // The subprotocol is one that the client offers, so this cannot fail.
        let response = handshake.to_http(subprotocol.as_deref()).unwrap_or_default();
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
        let version = parts.version;
        let request = Request::from_parts(parts.clone(), ());
        let handshake = ServerHandshake::from_http(&request, None)
            .map_err(|error| UpgradeRejection { response: error.into(), version })?;
        let upgrade = parts.extensions.remove::<OnUpgrade>().ok_or_else(|| {
            let response = Rejection::text(500, "the HTTP server does not support upgrades\n");
            UpgradeRejection { response, version }
        })?;
        Ok(Self { handshake, upgrade, config: Config::new(), subprotocol: None })
    }
}

/// The answer to a request that opens no WebSocket.
#[derive(Clone, Debug)]
pub struct UpgradeRejection {
    response: Rejection,
    version: Version,
}

impl IntoResponse for UpgradeRejection {
    fn into_response(self) -> Response {
        // The status and the header fields are the engine's, so this cannot fail.
        self.response.to_http(self.version).unwrap_or_default()
    }
}
