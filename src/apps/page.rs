//! The page at `/`: one file without dependencies.

use crate::{Request, Responder, Response};

/// Answers a plain request: with the page at `/`, with 404 elsewhere, with 405 to POST. OPTIONS gets the methods of the
/// page.
/// `about` is the sentence on the page that says what the service does.
pub(super) fn respond(request: &Request<'_>, responder: Responder, about: &'static str) {
    responder.send(match (request.head.method(), request.head.path()) {
        ("GET" | "HEAD", "/") => Response::new(200)
            .header("Content-Type", "text/html; charset=utf-8")
            .header("Content-Security-Policy", POLICY)
            .header("X-Content-Type-Options", "nosniff")
            .body(include_str!("page.html").replace("{about}", about).into_bytes()),
        ("OPTIONS", "/") => Response::new(204).header("Allow", METHODS),
        ("GET" | "HEAD" | "OPTIONS", _) => {
            Response::text(404, "not found: the page is at /, WebSocket is spoken on any path\n")
        }
        _ => Response::text(405, "method not allowed\n").header("Allow", METHODS),
    });
}

const METHODS: &str = "GET, HEAD, OPTIONS";

/// The page holds its script and its style, loads nothing, and may connect to any WebSocket server that its user names.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src ws: wss:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
