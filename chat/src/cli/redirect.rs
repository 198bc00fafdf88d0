//! The server for plain HTTP beside the chat's: it redirects to https, and answers the challenges of a certificate
//! authority (ACME, RFC 8555 §8.3). It serves nothing else.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use switchboard::{
    App, Config, Context, Handshake, IpNet, Message, Rejection, Request, RequestHead, Responder, Response, Verdict,
};
use switchboard_chat::{ChatService, Origin};
use url::Url;

use super::small_file::{self, Links};

/// Redirects to https, and answers challenges if there is a folder of them.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    /// Addresses to listen on.
    pub(crate) listen: Vec<SocketAddr>,
    /// The origin to which it redirects. It never depends on the Host, which the client chooses.
    pub(crate) target: Origin,
    /// The folder in which an ACME client puts its challenges, below `.well-known/acme-challenge`.
    pub(crate) webroot: Option<PathBuf>,
    /// Networks of proxies, from which many clients connect.
    pub(crate) proxies: Vec<IpNet>,
}

impl Redirect {
    /// The file descriptors that the server takes at most.
    pub(crate) const DESCRIPTORS: usize = MAX_CONNECTIONS + 128;

    /// Returns the configuration of the server, which needs little.
    pub(crate) fn server_config(&self) -> Config {
        let mut config = Config::default();
        config.workers = 1;
        config.deflate = None;
        config.head.max_bytes = 8 << 10;
        // A redirected request may have a body that was meant for the chat.
        config.max_body_bytes = ChatService::MAX_BODY_BYTES;
        config.keep_alive_timeout = Duration::from_secs(5);
        config.max_worker_bytes = 8 << 20;
        config.max_connections = Some(MAX_CONNECTIONS);
        config.max_connections_per_address = Some(64);
        config.uncounted_networks = self.proxies.clone();
        config
    }

    /// Returns the address of a request's target at the origin of https.
    fn location(&self, head: &RequestHead) -> String {
        let path = Some(head.path()).filter(|path| path.starts_with('/')).unwrap_or("/");
        let query = head.target().find('?').map_or("", |at| &head.target()[at..]);
        let target = &self.target;
        // Also writes other letters than those of ASCII as a header field needs them.
        Url::parse(&format!("{target}{path}{query}")).map_or_else(|_| format!("{target}/"), String::from)
    }

    /// Returns the response to a request for a challenge.
    fn challenge(&self, webroot: &Path, token: &str, method: &str) -> Response {
        if !matches!(method, "GET" | "HEAD") {
            return Response::text(405, "only GET and HEAD are allowed here\n").header("Allow", "GET, HEAD");
        }
        if !is_token(token) {
            return Response::text(404, NO_CHALLENGE);
        }
        let file = webroot.join(CHALLENGES.trim_start_matches('/')).join(token);
        // The folders on the way may be links, since only the operator makes them; the file may not.
        match small_file::read(&file, MAX_CHALLENGE_BYTES, Links::Refuse) {
            Ok(content) => Response::new(200)
                .header("Content-Type", "application/octet-stream")
                .header("X-Content-Type-Options", "nosniff")
                .header("Cache-Control", "no-store")
                .body(content),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::warn!("the challenge {} cannot be read: {error}", file.display());
                }
                Response::text(404, NO_CHALLENGE)
            }
        }
    }
}

impl App for Redirect {
    /// No connection is accepted.
    type Peer = Infallible;
    type Told = Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Infallible>) {
        verdict.reject(
            Rejection::new(REDIRECTED)
                .header("Location", self.location(handshake.request))
                .body(format!("WebSockets are at {}\n", self.target)),
        );
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let head = request.head;
        let response = match (&self.webroot, head.path().strip_prefix(CHALLENGES)) {
            (Some(webroot), Some(token)) => self.challenge(webroot, token, head.method()),
            (None, _) | (_, None) => {
                let text = format!("the chat is at {}\n", self.target);
                Response::text(REDIRECTED, text).header("Location", self.location(head))
            }
        };
        responder.send(response);
    }

    fn message(&mut self, peer: &mut Infallible, _: Message<'_>, _: &mut Context<'_>) {
        match *peer {}
    }
}

/// Returns whether a text may be the token of a challenge: base64url alone, so that it is no path (RFC 8555 §8.3).
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Where a certificate authority asks for a challenge (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";
const NO_CHALLENGE: &str = "there is no such challenge\n";
/// Permanent, and the request's method remains: 301 would let a browser turn a POST into a GET.
const REDIRECTED: u16 = 308;
/// Maximum length of a token. Those of certificate authorities have 43 characters.
const MAX_TOKEN_BYTES: usize = 128;
/// Maximum length of a challenge. It consists of the token and 44 more characters.
const MAX_CHALLENGE_BYTES: u64 = 1024;
/// Maximum connections at the same time.
const MAX_CONNECTIONS: usize = 512;

#[cfg(test)]
mod tests {
    use switchboard::{HeadLimits, RequestReader};

    use super::*;

    #[test]
    fn a_location_has_the_path_and_the_query_and_never_the_host() {
        let redirect = |target: &str| Redirect {
            listen: Vec::new(),
            target: target.parse().unwrap(),
            webroot: None,
            proxies: Vec::new(),
        };
        let rows = [
            ("/", "https://chat.example/"),
            ("/client.js?x=1&y=%20", "https://chat.example/client.js?x=1&y=%20"),
            ("//evil.example/", "https://chat.example//evil.example/"),
            ("/\\evil.example", "https://chat.example//evil.example"),
            ("/@evil.example", "https://chat.example/@evil.example"),
            ("http://evil.example/a?b", "https://chat.example/a?b"),
            ("http://evil.example?b", "https://chat.example/?b"),
            ("http://evil.example", "https://chat.example/"),
            ("/a?b?c", "https://chat.example/a?b?c"),
        ];
        for (target, expected) in rows {
            let request = format!("GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            let head = RequestReader::new(HeadLimits::default()).receive(request.as_bytes()).unwrap().unwrap().0;
            assert_eq!(redirect("https://chat.example").location(&head), expected, "{target}");
            let with_port = expected.replace("chat.example", "chat.example:8443");
            assert_eq!(redirect("https://chat.example:8443").location(&head), with_port, "{target}");
        }
    }

    #[test]
    fn a_token_is_base64url() {
        let longest = "a".repeat(MAX_TOKEN_BYTES);
        for good in ["a", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", "-", "_", &longest] {
            assert!(is_token(good), "{good}");
        }
        for bad in
            ["", ".", "..", "a/b", "../a", "a.b", "%2e%2e", "a%2Fb", "a\\b", "a b", "é", "a\0", "a=", &(longest + "a")]
        {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
