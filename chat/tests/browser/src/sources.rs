//! The page's modules one by one, as they are in `chat/page`. The program serves them in groups, which tests of a
//! single module cannot import.

use std::{fs, path::Path};

use switchboard::{
    App, Config, Context, Handshake, HandshakeError, Message, Request, Responder, Response, Running, Server, Verdict,
};

use crate::{Browser, Display, Page};

/// A server of the sources, and a browser whose page imports from them.
pub struct Sources {
    // Dropped in this order: the browser first.
    pub page: Page,
    _browser: Browser,
    _server: Running,
}

impl Sources {
    /// Opens the page, on which nobody is signed in. Relative imports are those of `chat/page`.
    #[track_caller]
    pub fn open() -> Self {
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Config::default()).expect("a free port");
        let server = server.start(|_| Folder).expect("a server of the sources");
        let browser = Browser::start();
        let page = browser.page("Sources", Display::default());
        page.go(&format!("http://{}/", server.local_addr()));
        page.wait_for("'ready' in document.body.dataset");
        Self { page, _browser: browser, _server: server }
    }
}

/// Serves the files of the folder, and says that nobody is signed in.
struct Folder;

impl App for Folder {
    type Peer = ();
    type Told = std::convert::Infallible;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.reject(HandshakeError::ForeignOrigin.into());
    }

    // No connection is accepted.
    fn message(&mut self, (): &mut (), _: Message<'_>, _: &mut Context<'_>) {}

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let name = match request.head.path().trim_start_matches('/') {
            "api/session" => return responder.send(response("application/json", SESSION.into())),
            "" => "index.html",
            name => name,
        };
        let kind = match name.rsplit_once('.') {
            Some((_, "html")) => "text/html",
            Some((_, "js")) => "text/javascript",
            Some((_, "css")) => "text/css",
            _ => "image/svg+xml",
        };
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../page").join(name);
        responder.send(match fs::read(file) {
            Ok(content) => response(kind, content),
            Err(_) => Response::text(404, "not found\n"),
        });
    }
}

fn response(kind: &'static str, content: Vec<u8>) -> Response {
    Response::new(200).header("Content-Type", kind).body(content)
}

const SESSION: &str = r#"{"you": null, "expires": null, "guests": true, "registration": true, "accounts": true,
    "limits": {"text": 4000, "topic": 200, "name": 32, "room_name": 40, "password": 256, "password_min": 8, "rooms": 200}}"#;
