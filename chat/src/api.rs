//! Requests for who one is: below `/api/`, in JSON.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    ChatConfig, ChatCore, Name, credentials,
    interface::{Callback, Credential, SignInError, SignedIn, You},
    password::Password,
    proxy::address_of,
    rate::{Buckets, address_key},
    site::{Site, Speaker},
    wire::{self, EventError},
};
use switchboard::{Request, Responder, Response};

/// The requests, as each worker answers them.
#[derive(Clone)]
pub(super) struct Api {
    core: Arc<dyn ChatCore>,
    config: Arc<ChatConfig>,
    /// Attempts to sign in, by address; shared by all workers.
    attempts: Arc<Mutex<Buckets<IpAddr>>>,
}

/// What somebody sends to sign in.
#[derive(Deserialize)]
struct Login {
    name: String,
    #[serde(default)]
    password: String,
    /// They want a token, not a cookie.
    #[serde(default)]
    token: bool,
}

#[derive(Serialize)]
struct SignedInTold {
    you: You,
    expires: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize)]
struct SessionTold {
    you: Option<You>,
    expires: Option<u64>,
    guests: bool,
    registration: bool,
}

#[derive(Serialize)]
struct ErrorTold<'a> {
    error: &'a EventError,
}

/// How somebody wants to sign in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Register,
    LogIn,
    Guest,
}

/// An answer that is no good news.
struct Refusal {
    status: u16,
    error: EventError,
    /// A field of the answer that says what to do.
    field: Option<(&'static str, String)>,
}

impl Api {
    pub(super) fn new(core: Arc<dyn ChatCore>, config: Arc<ChatConfig>) -> Self {
        Self { core, config, attempts: Arc::new(Mutex::new(Buckets::new())) }
    }

    /// Answers a request, now or later.
    pub(super) fn request(&self, request: &Request<'_>, host: &str, site: &Site, responder: Responder) {
        let mut origins = request.head.values("origin").map(|origin| std::str::from_utf8(origin).unwrap_or("null"));
        // Two are none that a browser sends.
        let origin = match (origins.next(), origins.next()) {
            (Some(_), Some(_)) => Some("null"),
            (origin, _) => origin,
        };
        let speaker = site.speaker(origin, host);
        let from = address_of(request.head, request.peer.ip(), &self.config.trusted_proxies);
        let handled = match (request.head.method(), request.head.path()) {
            ("POST", _) if matches!(speaker, Speaker::Guest | Speaker::Foreign) => {
                Err((responder, refusal(403, "foreign_origin", "Only the chat's own page may ask for this.")))
            }
            ("POST", "/api/register") => self.sign_in(Way::Register, request, from, site, responder),
            ("POST", "/api/login") => self.sign_in(Way::LogIn, request, from, site, responder),
            ("POST", "/api/guest") => self.sign_in(Way::Guest, request, from, site, responder),
            ("POST", "/api/logout") => return self.log_out(request, site, speaker, responder),
            ("GET" | "HEAD", "/api/session") => return self.session(request, speaker, site, responder),
            (_, "/api/register" | "/api/login" | "/api/guest" | "/api/logout") => {
                Err((responder, Refusal::method("POST")))
            }
            (_, "/api/session") => Err((responder, Refusal::method("GET, HEAD"))),
            _ => Err((responder, refusal(404, "not_found", "There is no such request."))),
        };
        if let Err((responder, refusal)) = handled {
            log::info!("{from}: {} is refused: {}", request.head.path(), refusal.error.code);
            responder.send(refusal.response());
        }
    }

    fn sign_in(
        &self,
        way: Way,
        request: &Request<'_>,
        from: IpAddr,
        site: &Site,
        responder: Responder,
    ) -> Result<(), (Responder, Refusal)> {
        let (Login { token, .. }, name, password) = match self.check(way, request, from) {
            Ok(checked) => checked,
            Err(refusal) => return Err((responder, refusal)),
        };
        let path = request.head.path().to_owned();
        let site = site.clone();
        let created = if way == Way::LogIn { 200 } else { 201 };
        let lifetime = self.config.session_lifetime.as_secs();
        let callback: Callback<Result<SignedIn, SignInError>> = Box::new(move |signed_in| match signed_in {
            Ok(signed_in) => responder.send(signed_in_response(created, signed_in, token, &site, lifetime)),
            Err(error) => {
                let refusal = Refusal::from(error);
                log::info!("{from}: {path} is refused: {}", refusal.error.code);
                responder.send(refusal.response());
            }
        });
        match (way, password) {
            (Way::Register, Some(password)) => self.core.register(name, password, callback),
            (Way::LogIn, Some(password)) => self.core.log_in(name, password, callback),
            // A password that cannot be one is nobody's.
            (Way::Register | Way::LogIn, None) => callback(Err(SignInError::BadCredentials)),
            (Way::Guest, _) => self.core.enter_as_guest(name, callback),
        }
        Ok(())
    }

    /// What can be said against an attempt to sign in before anybody is asked.
    fn check(&self, way: Way, request: &Request<'_>, from: IpAddr) -> Result<(Login, Name, Option<Password>), Refusal> {
        let login: Login = parse(request)?;
        if way == Way::Guest && !self.config.guests {
            return Err(refusal(403, "guests_off", "Guests are not let in here; please log in."));
        }
        if way == Way::Register && !self.config.registration {
            return Err(refusal(403, "registration_off", "Accounts are made by the operator here."));
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = attempts.take(address_key(from), self.config.limits.sign_ins, Instant::now());
        drop(attempts);
        if let Err(wait) = allowed {
            return Err(Refusal::too_fast(wait));
        }
        // A name that was taken under another limit is still somebody's.
        let limit = if way == Way::LogIn { Name::LONGEST } else { self.config.limits.name_chars };
        let name = match (Name::at_most(limit, &login.name), way) {
            (Ok(name), _) => name,
            (Err(_), Way::LogIn) => return Err(SignInError::BadCredentials.into()),
            (Err(error), _) => return Err(refusal(400, "bad_name", error.to_string())),
        };
        let password = match (Password::new(&login.password), way) {
            (Ok(password), _) => Some(password),
            (Err(error), Way::Register) => return Err(refusal(400, "bad_password", error.to_string())),
            (Err(_), Way::LogIn | Way::Guest) => None,
        };
        Ok((login, name, password))
    }

    fn log_out(&self, request: &Request<'_>, site: &Site, speaker: Speaker, responder: Responder) {
        let done = Response::new(204).header("Set-Cookie", credentials::no_cookie(site));
        // Who is no page has not been made by one to send its cookie.
        let speaker = if speaker == Speaker::NoPage { Speaker::Own } else { speaker };
        match credentials::shown(request.head, site, speaker) {
            Credential::Token(token) => self.core.log_out(
                token,
                Box::new(move |result| match result {
                    Ok(()) => responder.send(done),
                    Err(error) => responder.send(Refusal::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(done),
        }
    }

    fn session(&self, request: &Request<'_>, speaker: Speaker, site: &Site, responder: Responder) {
        let ChatConfig { guests, registration, .. } = *self.config;
        let told = move |session: Option<(You, u64)>| {
            let (you, expires) = session.unzip();
            json(200, &SessionTold { you, expires, guests, registration })
        };
        // Browsers send no Origin with a GET to the page's own, and let no other page read the answer.
        let speaker = if speaker == Speaker::NoPage { Speaker::Own } else { speaker };
        match credentials::shown(request.head, site, speaker) {
            Credential::Token(token) => self.core.signed_in(
                token,
                Box::new(move |session| match session {
                    Ok(session) => responder.send(told(session)),
                    Err(error) => responder.send(Refusal::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(told(None)),
        }
    }
}

/// Reads a request's body.
fn parse<T: DeserializeOwned>(request: &Request<'_>) -> Result<T, Refusal> {
    let kind = request.head.values("content-type").next().unwrap_or_default();
    let essence = kind.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    if !essence.eq_ignore_ascii_case(b"application/json") {
        return Err(refusal(415, "bad_type", "The body must be sent as application/json."));
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(refusal(413, "too_long", "The body is too long."));
    }
    // What is no JSON is told so, whatever it begins with.
    let value: serde_json::Value = serde_json::from_slice(request.body)
        .map_err(|error| refusal(400, "bad_json", format!("This is not JSON: {error}.")))?;
    T::deserialize(value).map_err(|error| {
        // Some errors quote the data, which may be long.
        let shown: String = error.to_string().chars().take(100).collect();
        refusal(400, "bad_data", format!("The body: {shown}."))
    })
}

fn signed_in_response(status: u16, signed_in: SignedIn, as_token: bool, site: &Site, lifetime: u64) -> Response {
    let SignedIn { you, token, expires } = signed_in;
    let told = SignedInTold { you, expires, token: as_token.then(|| token.to_string()) };
    let response = json(status, &told);
    if as_token { response } else { response.header("Set-Cookie", credentials::cookie(site, &token, lifetime)) }
}

fn json(status: u16, value: &impl Serialize) -> Response {
    Response::new(status)
        .header("Content-Type", "application/json")
        .header("Cache-Control", "no-store")
        .header("X-Content-Type-Options", "nosniff")
        .body(wire::json(value).into_bytes())
}

fn refusal(status: u16, code: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal { status, error: EventError::new(code, message), field: None }
}

impl Refusal {
    fn too_fast(wait: Duration) -> Self {
        // The next whole second, so that who comes then is let in.
        let seconds = wait.as_secs() + 1;
        let message = format!("That was often; please try again in {seconds} s.");
        Self { field: Some(("Retry-After", seconds.to_string())), ..refusal(429, "too_fast", message) }
    }

    fn method(allowed: &'static str) -> Self {
        let message = format!("This is asked for by {allowed}.");
        Self { field: Some(("Allow", allowed.to_owned())), ..refusal(405, "bad_method", message) }
    }

    fn response(self) -> Response {
        let response = json(self.status, &ErrorTold { error: &self.error });
        match self.field {
            Some((name, value)) => response.header(name, value),
            None => response,
        }
    }
}

impl From<SignInError> for Refusal {
    fn from(error: SignInError) -> Self {
        let (status, field) = match error {
            SignInError::NameTaken => (409, None),
            SignInError::BadCredentials => (401, None),
            SignInError::Overloaded | SignInError::Storage => (503, Some(("Retry-After", RETRY_AFTER.to_owned()))),
        };
        Self { status, error: error.event_error(), field }
    }
}

/// Enough for a name and a password.
const MAX_BODY_BYTES: usize = 4 << 10;
/// Seconds after which who was turned away may try again.
const RETRY_AFTER: &str = "2";
