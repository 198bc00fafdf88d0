//! The chat as an [`App`]: admits connections, serves HTTP, and passes messages on to the core.

use std::{convert::Infallible, fmt, sync::Arc, time::Instant};

use switchboard::{
    Acceptance, App, CloseCode, ConnectionId, Context, End, Escaped, Handshake, HttpVersion, Message, Rejection,
    Remote, Request, RequestHead, Responder, Response, Verdict,
};

use super::{
    ChatConfig, ChatCore,
    api::Api,
    backlog::Flow,
    config::SharedConfig,
    credentials, files,
    peer::{Outcome, Peer},
    proxy::address_of,
    rate::address_key,
    site::{OriginKind, Site},
    wire::TOO_MANY_REFUSALS,
};

/// The chat for one worker: serves the page at `/`, the requests for accounts below `/api/`, and the WebSocket at
/// `/ws`.
///
/// Each worker has a value of its own, made by [`ChatService::app`](super::ChatService::app).
pub struct Chat {
    core: Arc<dyn ChatCore>,
    /// As of the last handshake, request or turn of the event loop.
    config: Arc<ChatConfig>,
    /// In force now.
    next_config: SharedConfig,
    /// The site over connections without TLS, and with it.
    sites: [Site; 2],
    api: Api,
    /// Events were passed to the core in this turn of the event loop.
    has_passed: bool,
}

impl Chat {
    pub(super) fn new(core: Arc<dyn ChatCore>, config: SharedConfig, api: Api) -> Self {
        let (next_config, config) = (config.clone(), config.get());
        Self { core, sites: sites(&config), config, next_config, api, has_passed: false }
    }

    /// Uses the configuration that is in force now.
    fn update_config(&mut self) {
        let config = self.next_config.get();
        if !Arc::ptr_eq(&config, &self.config) {
            self.sites = sites(&config);
            self.api.set_config(Arc::clone(&config));
            self.config = config;
        }
    }

    fn site(&self, is_tls: bool) -> &Site {
        &self.sites[usize::from(is_tls)]
    }

    /// Allows pages of the configured origins to import the chat's modules.
    fn with_cors(site: &Site, response: Response, head: &RequestHead, host: &str) -> Response {
        let origin = head.values("origin").next().and_then(|origin| std::str::from_utf8(origin).ok());
        match (origin, site.origin_kind(origin, host)) {
            (Some(origin), OriginKind::Allowed) => response.header("Access-Control-Allow-Origin", origin.to_owned()),
            _ => response,
        }
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("sites", &self.sites).finish_non_exhaustive()
    }
}

impl App for Chat {
    type Peer = Peer;
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Peer>) {
        self.update_config();
        let site = self.site(handshake.is_tls);
        let host = handshake.websocket.host();
        if !site.is_ours(host) {
            return verdict.reject(Rejection::new(421).body(site.misdirected(host)));
        }
        if handshake.request.path() != WEBSOCKET_PATH {
            return verdict.reject(Rejection::new(404).body("the chat's WebSocket is at /ws\n"));
        }
        let origin_kind = site.origin_kind(handshake.websocket.origin(), host);
        if origin_kind == OriginKind::Foreign {
            log::info!(
                "{}: refused a connection from a page of origin {}",
                handshake.peer,
                Escaped::new(handshake.websocket.origin().unwrap_or_default())
            );
            let origin = handshake.websocket.origin().unwrap_or_default();
            return verdict.reject(Rejection::new(403).body(Site::foreign_origin(origin) + "\n"));
        }
        if origin_kind == OriginKind::Absent && credentials::has_cookie(handshake.request, site) {
            log::info!(
                "{}: a connection shows a cookie, which does not count without an Origin; a proxy may have removed it",
                handshake.peer
            );
        }
        let credential = credentials::presented(handshake.request, site, origin_kind);
        let plain = Acceptance::default();
        let acceptance = match handshake.websocket.choose(&[SUBPROTOCOL]) {
            Some(name) => plain.subprotocol(name),
            None => plain,
        };
        let address = address_of(handshake.request, handshake.peer.ip(), &self.config.trusted_proxies);
        verdict.accept_with(acceptance.counted_as(address), Peer::new(credential, address_key(address)));
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        self.update_config();
        let site = self.site(request.is_tls);
        let head = request.head;
        // The health checks of proxies name no host. No page can make a browser send such a request, so it did not come
        // here by a foreign name. It gets the files, which are the same for everybody.
        let names_no_host =
            head.version() == HttpVersion::Http10 && head.host().is_none() && head.values("host").next().is_none();
        let host = head.host().unwrap_or_default();
        let path = head.path();
        if site.is_ours(host) && path.starts_with("/api/") {
            return self.api.request(request, host, site, responder);
        }
        let response = if !site.is_ours(host) && (!names_no_host || path.starts_with("/api/")) {
            Response::text(421, site.misdirected(host))
        } else {
            match (path, files::find(path), head.method()) {
                (WEBSOCKET_PATH, _, "OPTIONS") => Response::new(204).header("Allow", "GET, OPTIONS"),
                (WEBSOCKET_PATH, _, _) => {
                    Response::text(426, "this path only accepts WebSocket connections\n").header("Upgrade", "websocket")
                }
                (_, Some(file), "GET" | "HEAD") => {
                    Self::with_cors(site, file.response(head, &site.websocket_sources(host)), head, host)
                }
                (_, Some(_), "OPTIONS") => Response::new(204).header("Allow", FILE_METHODS),
                (_, Some(_), _) => {
                    Response::text(405, "only GET and HEAD are allowed here\n").header("Allow", FILE_METHODS)
                }
                (_, None, _) => Response::text(404, "not found; the chat is at /\n"),
            }
        };
        responder.send(response);
    }

    fn opened(&mut self, peer: &mut Peer, context: &mut Context<'_>) {
        peer.opened(context.id(), &*self.core);
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text(text) => {
                let (rate, now) = (self.config.limits.events, Instant::now());
                match peer.event(text, context.id(), &*self.core, rate, now) {
                    Outcome::Passed(flow) => {
                        self.has_passed = true;
                        if flow == Flow::Pause {
                            context.pause();
                        }
                    }
                    Outcome::Refused(reply) => context.send(Message::Text(&reply)),
                    Outcome::Closed(reply) => {
                        context.send(Message::Text(&reply));
                        // Cannot fail: the code and the reason fit into a Close frame.
                        let _ = context.shut(CloseCode::POLICY_VIOLATION, TOO_MANY_REFUSALS);
                    }
                }
            }
            Message::Binary(_) => {
                // Cannot fail: the code and the reason fit into a Close frame.
                let _ = context.close(CloseCode::UNSUPPORTED_DATA, "only text messages are accepted");
            }
        }
    }

    fn end_of_turn(&mut self) {
        if std::mem::take(&mut self.has_passed) {
            self.core.wake();
        }
        self.update_config();
    }

    fn closed(&mut self, peer: Peer, id: ConnectionId, _: &End, _: &Remote) {
        peer.closed(id, &*self.core);
    }
}

/// Returns the site over connections without TLS, and with it.
fn sites(config: &ChatConfig) -> [Site; 2] {
    [false, true].map(|is_tls| Site::new(config, is_tls))
}

const WEBSOCKET_PATH: &str = "/ws";
const FILE_METHODS: &str = "GET, HEAD, OPTIONS";
const SUBPROTOCOL: &str = "switchboard.v1";
