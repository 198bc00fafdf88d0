//! The HTTP requests for accounts and sessions below `/api/`, in JSON.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchboard::{Request, Responder, Response};

use super::{
    ChatConfig, ChatCore, Name, credentials,
    interface::{Callback, Credential, SignInError, SignedIn, You},
    password::Password,
    proxy::address_of,
    rate::{Buckets, address_key},
    site::{OriginKind, Site},
    wire::{self, EventError},
};

/// Handles the requests. Each worker has a clone.
#[derive(Clone)]
pub(super) struct Api {
    core: Arc<dyn ChatCore>,
    config: Arc<ChatConfig>,
    /// Sign-in attempts of each address. All workers share them.
    attempts: Arc<Mutex<Buckets<IpAddr>>>,
}

/// The body of a request to sign in.
#[derive(Deserialize)]
struct Login {
    name: String,
    #[serde(default)]
    password: String,
    /// Whether to return the token in the response instead of a cookie.
    #[serde(default)]
    token: bool,
}

#[derive(Serialize)]
struct SignedInView {
    you: You,
    expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize)]
struct SessionView {
    you: Option<You>,
    expires: Option<u64>,
    guests: bool,
    registration: bool,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    error: &'a EventError,
}

/// How a request signs in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AuthMethod {
    Register,
    LogIn,
    Guest,
}

/// An error response.
struct ErrorResponse {
    status: u16,
    error: EventError,
    /// An HTTP field that tells the client how to go on.
    field: Option<(&'static str, String)>,
}

impl Api {
    pub(super) fn new(core: Arc<dyn ChatCore>, config: Arc<ChatConfig>) -> Self {
        Self { core, config, attempts: Arc::new(Mutex::new(Buckets::new())) }
    }

    /// Handles a request. The response may come later, from another thread.
    pub(super) fn request(&self, request: &Request<'_>, host: &str, site: &Site, responder: Responder) {
        let mut origins = request.head.values("origin").map(|origin| std::str::from_utf8(origin).unwrap_or("null"));
        // No browser sends two Origin fields.
        let origin = match (origins.next(), origins.next()) {
            (Some(_), Some(_)) => Some("null"),
            (origin, _) => origin,
        };
        let origin_kind = site.origin_kind(origin, host);
        let from = address_of(request.head, request.peer.ip(), &self.config.trusted_proxies);
        let handled = match (request.head.method(), request.head.path()) {
            ("POST", _) if matches!(origin_kind, OriginKind::Allowed | OriginKind::Foreign) => Err((
                responder,
                error_response(403, "foreign_origin", "Only the chat's own page may send this request."),
            )),
            ("POST", "/api/register") => self.sign_in(AuthMethod::Register, request, from, site, responder),
            ("POST", "/api/login") => self.sign_in(AuthMethod::LogIn, request, from, site, responder),
            ("POST", "/api/guest") => self.sign_in(AuthMethod::Guest, request, from, site, responder),
            ("POST", "/api/logout") => return self.log_out(request, site, origin_kind, responder),
            ("GET" | "HEAD", "/api/session") => return self.session(request, origin_kind, site, responder),
            (_, "/api/register" | "/api/login" | "/api/guest" | "/api/logout") => {
                Err((responder, ErrorResponse::method("POST")))
            }
            (_, "/api/session") => Err((responder, ErrorResponse::method("GET, HEAD"))),
            _ => Err((responder, error_response(404, "not_found", "There is no such request; see docs/protocol.md."))),
        };
        if let Err((responder, refused)) = handled {
            log::info!("{from}: {} is refused: {}", request.head.path(), refused.error.code);
            responder.send(refused.response());
        }
    }

    fn sign_in(
        &self,
        method: AuthMethod,
        request: &Request<'_>,
        from: IpAddr,
        site: &Site,
        responder: Responder,
    ) -> Result<(), (Responder, ErrorResponse)> {
        let (Login { token, .. }, name, password) = match self.check(method, request, from) {
            Ok(checked) => checked,
            Err(refused) => return Err((responder, refused)),
        };
        let path = request.head.path().to_owned();
        let site = site.clone();
        let created = if method == AuthMethod::LogIn { 200 } else { 201 };
        let lifetime = self.config.session_lifetime.as_secs();
        let callback: Callback<Result<SignedIn, SignInError>> = Box::new(move |signed_in| match signed_in {
            Ok(signed_in) => responder.send(signed_in_response(created, signed_in, token, &site, lifetime)),
            Err(error) => {
                let refused = ErrorResponse::from(error);
                log::info!("{from}: {path} is refused: {}", refused.error.code);
                responder.send(refused.response());
            }
        });
        match (method, password) {
            (AuthMethod::Register, Some(password)) => self.core.register(name, password, callback),
            (AuthMethod::LogIn, Some(password)) => self.core.log_in(name, password, callback),
            // No account has a password that breaks the rules.
            (AuthMethod::Register | AuthMethod::LogIn, None) => callback(Err(SignInError::BadCredentials)),
            (AuthMethod::Guest, _) => self.core.enter_as_guest(name, callback),
        }
        Ok(())
    }

    /// Checks a request to sign in, as far as this is possible without the core.
    fn check(
        &self,
        method: AuthMethod,
        request: &Request<'_>,
        from: IpAddr,
    ) -> Result<(Login, Name, Option<Password>), ErrorResponse> {
        let login: Login = parse(request)?;
        if method == AuthMethod::Guest && !self.config.guests {
            return Err(error_response(403, "guests_off", "Guests are not allowed here; please log in."));
        }
        if method == AuthMethod::Register && !self.config.registration {
            return Err(error_response(
                403,
                "registration_off",
                "Registration is off; please ask the operator for an account.",
            ));
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = attempts.take(address_key(from), self.config.limits.sign_ins, Instant::now());
        drop(attempts);
        if let Err(wait) = allowed {
            return Err(ErrorResponse::too_fast(wait));
        }
        // An account may have been registered under a higher limit.
        let limit = if method == AuthMethod::LogIn { Name::HIGHEST_LIMIT } else { self.config.limits.name_chars };
        let name = match (Name::at_most(limit, &login.name), method) {
            (Ok(name), _) => name,
            (Err(_), AuthMethod::LogIn) => return Err(SignInError::BadCredentials.into()),
            (Err(error), _) => return Err(error_response(400, "bad_name", error.to_string())),
        };
        let password = match (Password::new(&login.password), method) {
            (Ok(password), _) => Some(password),
            (Err(error), AuthMethod::Register) => return Err(error_response(400, "bad_password", error.to_string())),
            (Err(_), AuthMethod::LogIn | AuthMethod::Guest) => None,
        };
        Ok((login, name, password))
    }

    fn log_out(&self, request: &Request<'_>, site: &Site, origin_kind: OriginKind, responder: Responder) {
        let done = Response::new(204).header("Set-Cookie", credentials::expired_cookie(site));
        // Without an Origin no page has made the browser send the cookie, so it counts.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        match credentials::presented(request.head, site, origin_kind) {
            Credential::Token(token) => self.core.log_out(
                token,
                Box::new(move |result| match result {
                    Ok(()) => responder.send(done),
                    Err(error) => responder.send(ErrorResponse::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(done),
        }
    }

    fn session(&self, request: &Request<'_>, origin_kind: OriginKind, site: &Site, responder: Responder) {
        let ChatConfig { guests, registration, .. } = *self.config;
        let view = move |session: Option<(You, u64)>| {
            let (you, expires) = session.unzip();
            json(200, &SessionView { you, expires, guests, registration })
        };
        // Browsers send no Origin with a GET to the page's own host, and let no other page read the response.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        match credentials::presented(request.head, site, origin_kind) {
            Credential::Token(token) => self.core.signed_in(
                token,
                Box::new(move |session| match session {
                    Ok(session) => responder.send(view(session)),
                    Err(error) => responder.send(ErrorResponse::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(view(None)),
        }
    }
}

/// Parses a request's body as JSON.
fn parse<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, ErrorResponse> {
    let kind = request.head.values("content-type").next().unwrap_or_default();
    let essence = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(error_response(415, "bad_type", "The Content-Type must be application/json."));
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(error_response(413, "too_long", "The body is too long; send at most 4 KiB."));
    }
    // In two steps, so that invalid JSON is always reported as such.
    let value: serde_json::Value = serde_json::from_slice(request.body)
        .map_err(|error| error_response(400, "bad_json", format!("Invalid JSON: {error}.")))?;
    T::deserialize(value).map_err(|error| {
        // Some errors quote the data, which may be long.
        let shown: String = error.to_string().chars().take(100).collect();
        error_response(400, "bad_data", format!("Invalid body: {shown}."))
    })
}

fn signed_in_response(status: u16, signed_in: SignedIn, as_token: bool, site: &Site, lifetime: u64) -> Response {
    let SignedIn { you, token, expires } = signed_in;
    let view = SignedInView { you, expires, token: as_token.then(|| token.to_string()) };
    let response = json(status, &view);
    if as_token { response } else { response.header("Set-Cookie", credentials::session_cookie(site, &token, lifetime)) }
}

fn json(status: u16, value: &impl Serialize) -> Response {
    Response::new(status)
        .header("Content-Type", "application/json")
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
        .body(wire::json(value).into_bytes())
}

fn error_response(
    status: u16,
    code: &'static str,
    message: impl Into<std::borrow::Cow<'static, str>>,
) -> ErrorResponse {
    ErrorResponse { status, error: EventError::new(code, message), field: None }
}

impl ErrorResponse {
    fn too_fast(wait: Duration) -> Self {
        // Rounded up, so that a retry after this time succeeds.
        let seconds = wait.as_secs() + 1;
        let message = format!("Too many attempts; please try again in {seconds} s.");
        Self { field: Some(("Retry-After", seconds.to_string())), ..error_response(429, "too_fast", message) }
    }

    fn method(allowed: &'static str) -> Self {
        let message = format!("Use the method {allowed}.");
        Self { field: Some(("Allow", allowed.to_owned())), ..error_response(405, "bad_method", message) }
    }

    fn response(self) -> Response {
        let response = json(self.status, &ErrorView { error: &self.error });
        match self.field {
            Some((name, value)) => response.header(name, value),
            None => response,
        }
    }
}

impl From<SignInError> for ErrorResponse {
    fn from(error: SignInError) -> Self {
        let (status, field) = match error {
            SignInError::NameTaken => (409, None),
            SignInError::BadCredentials => (401, None),
            SignInError::Overloaded | SignInError::Storage => (503, Some(("Retry-After", RETRY_AFTER.to_owned()))),
        };
        Self { status, error: error.event_error(), field }
    }
}

/// Maximum length of a body: enough for a name and a password.
const MAX_BODY_BYTES: usize = 4 << 10;
/// Seconds after which a client may retry when the server is overloaded or cannot write.
const RETRY_AFTER: &str = "2";
