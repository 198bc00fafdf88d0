//! The HTTP requests for accounts and sessions below `/api/`, in JSON.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchboard::{Escaped, Request, Responder, Response};

use super::{
    ChatConfig, ChatCore, Name, Rate, credentials,
    device::{DEVICE_SECONDS, Device, DeviceKey},
    interface::{Callback, Credential, SignInError, SignedIn, You},
    password::Password,
    proxy::address_of,
    rate::{Buckets, NetworkBuckets, address_key},
    site::{OriginKind, Site},
    wire::{self, EventError},
};

/// Handles the requests. Each worker has a clone.
#[derive(Clone)]
pub(super) struct Api {
    core: Arc<dyn ChatCore>,
    config: Arc<ChatConfig>,
    /// All workers share them.
    attempts: Arc<Mutex<Attempts>>,
    device_key: DeviceKey,
}

/// The rate limits for signing in. They are apart, so that guesses do not keep new users out.
#[derive(Debug)]
struct Attempts {
    /// Failed log-ins from each network.
    failures: NetworkBuckets,
    /// Failed log-ins to each account by strangers from all networks, by the key of the name.
    failures_of_account: Buckets<String>,
    /// Failed log-ins of each known device.
    failures_of_device: Buckets<Device>,
    /// Sign-ins of all kinds from each network, except wrong guesses that are refused: each costs a hash or a session.
    sign_ins: NetworkBuckets,
    /// Log-ins of each known device.
    sign_ins_of_device: Buckets<Device>,
}

/// The one whose password is checked, and whose tokens are given back if it is right.
#[derive(Clone, Debug)]
enum Guesser {
    Stranger { from: IpAddr, account: String },
    Device(Device),
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

/// A request to sign in that was checked as far as this is possible without the core.
struct Checked {
    name: Name,
    password: Option<Password>,
    guesser: Option<Guesser>,
}

/// An error response.
struct ErrorResponse {
    status: u16,
    error: EventError,
    /// An HTTP field that tells the client how to go on.
    field: Option<(&'static str, String)>,
}

impl Api {
    pub(super) fn new(core: Arc<dyn ChatCore>, config: Arc<ChatConfig>, device_key: DeviceKey) -> Self {
        let attempts = Attempts {
            failures: NetworkBuckets::new(),
            failures_of_account: Buckets::new(),
            failures_of_device: Buckets::new(),
            sign_ins: NetworkBuckets::new(),
            sign_ins_of_device: Buckets::new(),
        };
        Self { core, config, attempts: Arc::new(Mutex::new(attempts)), device_key }
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
            ("POST", "/api/register") => {
                self.sign_in(AuthMethod::Register, request, from, origin_kind, site, responder)
            }
            ("POST", "/api/login") => self.sign_in(AuthMethod::LogIn, request, from, origin_kind, site, responder),
            ("POST", "/api/guest") => self.sign_in(AuthMethod::Guest, request, from, origin_kind, site, responder),
            ("POST", "/api/logout") => return self.log_out(request, from, site, origin_kind, responder),
            ("GET" | "HEAD", "/api/session") => return self.session(request, from, origin_kind, site, responder),
            (_, "/api/register" | "/api/login" | "/api/guest" | "/api/logout") => {
                Err((responder, ErrorResponse::method("POST")))
            }
            (_, "/api/session") => Err((responder, ErrorResponse::method("GET, HEAD"))),
            _ => Err((responder, error_response(404, "not_found", "There is no such request; see docs/protocol.md."))),
        };
        if let Err((responder, refused)) = handled {
            log::info!("{from}: {} is refused: {}", Escaped::new(request.head.path()), refused.error.code);
            responder.send(refused.response());
        }
    }

    fn sign_in(
        &self,
        method: AuthMethod,
        request: &Request<'_>,
        from: IpAddr,
        origin_kind: OriginKind,
        site: &Site,
        responder: Responder,
    ) -> Result<(), (Responder, ErrorResponse)> {
        let login: Login = match parse(request) {
            Ok(login) => login,
            Err(refused) => return Err((responder, refused)),
        };
        let device_cookie = credentials::device_cookie_of(request.head, site, origin_kind);
        let checked = match method {
            AuthMethod::LogIn => self.check_login(&login, device_cookie, from),
            AuthMethod::Register | AuthMethod::Guest => self.check_new_user(method, &login, from),
        };
        let Checked { name, password, guesser } = match checked {
            Ok(checked) => checked,
            Err(refused) => return Err((responder, refused)),
        };
        let is_known = matches!(guesser, Some(Guesser::Device(_)));
        let respond = self.respond(method, &login, name.key(), guesser, request, from, site, responder);
        let from = address_key(from);
        match (method, password) {
            (AuthMethod::Register, Some(password)) => self.core.register(from, name, password, respond),
            (AuthMethod::LogIn, Some(password)) => self.core.log_in(from, is_known, name, password, respond),
            // No account has a password that breaks the rules.
            (AuthMethod::Register | AuthMethod::LogIn, None) => respond(Err(SignInError::BadCredentials)),
            (AuthMethod::Guest, _) => self.core.enter_as_guest(from, name, respond),
        }
        Ok(())
    }

    /// Returns the callback that sends the response.
    #[expect(clippy::too_many_arguments, reason = "all that a response depends on")]
    fn respond(
        &self,
        method: AuthMethod,
        login: &Login,
        name_key: &str,
        guesser: Option<Guesser>,
        request: &Request<'_>,
        from: IpAddr,
        site: &Site,
        responder: Responder,
    ) -> Callback<Result<SignedIn, SignInError>> {
        let (path, site, as_token) = (request.head.path().to_owned(), site.clone(), login.token);
        let lifetime = self.config.session_lifetime.as_secs();
        let (attempts, rate) = (Arc::clone(&self.attempts), self.config.limits.sign_ins);
        // A guest cannot come back under the same name.
        let device =
            (method != AuthMethod::Guest).then(|| self.device_key.issue(name_key, seconds_now() + DEVICE_SECONDS));
        let status = if method == AuthMethod::LogIn { 200 } else { 201 };
        Box::new(move |signed_in| {
            // Only a wrong password counts as a guess.
            if let Some(guesser) = &guesser
                && !matches!(signed_in, Err(SignInError::BadCredentials))
            {
                attempts.lock().unwrap_or_else(PoisonError::into_inner).give_back(guesser, rate);
            }
            match signed_in {
                Ok(signed_in) => {
                    let response = signed_in_response(status, signed_in, as_token, &site, lifetime);
                    responder.send(match device {
                        Some(device) if !as_token => {
                            response.header("Set-Cookie", credentials::device_cookie(&site, &device))
                        }
                        _ => response,
                    });
                }
                Err(error) => {
                    let refused = ErrorResponse::from(error);
                    log::info!("{from}: {} is refused: {}", Escaped::new(&path), refused.error.code);
                    responder.send(refused.response());
                }
            }
        })
    }

    /// Checks a log-in as far as this is possible without the core, and charges it as a guess.
    fn check_login(&self, login: &Login, device_cookie: Option<&str>, from: IpAddr) -> Result<Checked, ErrorResponse> {
        // An account may have been registered under a higher limit than the current one.
        let name = Name::at_most(Name::HIGHEST_LIMIT, &login.name).ok();
        let key = name.as_ref().map_or("", Name::key);
        let device = device_cookie.and_then(|cookie| self.device_key.verify(cookie, key, seconds_now()));
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let (limits, now) = (&self.config.limits, Instant::now());
        let guesser = attempts.take_guess(key, device, from, limits.sign_ins, now)?;
        // A right password is no guess, but it costs a hash, too. The others in its network must not keep a known device
        // out, so that has a rate of its own.
        let allowed = match guesser {
            Guesser::Device(device) => attempts.sign_ins_of_device.take(device, limits.sign_ups, now),
            Guesser::Stranger { .. } => attempts.sign_ins.take(from, limits.sign_ups, now),
        };
        if let Err(wait) = allowed {
            attempts.give_back(&guesser, limits.sign_ins);
            return Err(ErrorResponse::too_many_sign_ups(wait));
        }
        drop(attempts);
        let Some(name) = name else { return Err(SignInError::BadCredentials.into()) };
        Ok(Checked { name, password: Password::new(&login.password).ok(), guesser: Some(guesser) })
    }

    /// Checks a request for a new account or guest as far as this is possible without the core, and charges it.
    fn check_new_user(&self, method: AuthMethod, login: &Login, from: IpAddr) -> Result<Checked, ErrorResponse> {
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
        let allowed = attempts.sign_ins.take(from, self.config.limits.sign_ups, Instant::now());
        drop(attempts);
        allowed.map_err(ErrorResponse::too_many_sign_ups)?;
        let name = Name::at_most(self.config.limits.name_chars, &login.name)
            .map_err(|error| error_response(400, "bad_name", error.to_string()))?;
        let password = match (Password::new(&login.password), method) {
            (Ok(password), _) => Some(password),
            (Err(error), AuthMethod::Register) => return Err(error_response(400, "bad_password", error.to_string())),
            (Err(_), AuthMethod::LogIn | AuthMethod::Guest) => None,
        };
        Ok(Checked { name, password, guesser: None })
    }

    fn log_out(&self, request: &Request<'_>, from: IpAddr, site: &Site, origin_kind: OriginKind, responder: Responder) {
        let done = Response::new(204).header("Set-Cookie", credentials::expired_cookie(site));
        // Without an Origin no page has made the browser send the cookie, so it counts.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        match credentials::presented(request.head, site, origin_kind) {
            Credential::Token(token) => self.core.log_out(
                address_key(from),
                token,
                Box::new(move |result| match result {
                    Ok(()) => responder.send(done),
                    Err(error) => responder.send(ErrorResponse::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(done),
        }
    }

    fn session(&self, request: &Request<'_>, from: IpAddr, origin_kind: OriginKind, site: &Site, responder: Responder) {
        let ChatConfig { guests, registration, .. } = *self.config;
        let view = move |session: Option<(You, u64)>| {
            let (you, expires) = session.unzip();
            json(200, &SessionView { you, expires, guests, registration })
        };
        // Browsers send no Origin with a GET to the page's own host, and let no other page read the response.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        match credentials::presented(request.head, site, origin_kind) {
            Credential::Token(token) => self.core.signed_in(
                address_key(from),
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

impl Attempts {
    /// Charges a log-in as a guess.
    ///
    /// # Errors
    /// The response if there were too many.
    fn take_guess(
        &mut self,
        account: &str,
        device: Option<Device>,
        from: IpAddr,
        rate: Rate,
        now: Instant,
    ) -> Result<Guesser, ErrorResponse> {
        // A device that has used up its own attempts counts as a stranger.
        if let Some(device) = device
            && self.failures_of_device.take(device, rate, now).is_ok()
        {
            return Ok(Guesser::Device(device));
        }
        self.failures.take(from, rate, now).map_err(ErrorResponse::too_many_attempts)?;
        let guesser = Guesser::Stranger { from, account: account.to_owned() };
        let all = Rate { at_once: rate.at_once.saturating_mul(ACCOUNT_FACTOR), ..rate };
        if let Err(wait) = self.failures_of_account.take(account.to_owned(), all, now) {
            self.failures.give_back(from, rate);
            return Err(ErrorResponse::too_fast(wait));
        }
        Ok(guesser)
    }

    /// Returns what was charged for a log-in that was no wrong guess.
    fn give_back(&mut self, guesser: &Guesser, rate: Rate) {
        match guesser {
            Guesser::Stranger { from, account } => {
                self.failures.give_back(*from, rate);
                self.failures_of_account.give_back(account, rate);
            }
            Guesser::Device(device) => self.failures_of_device.give_back(device, rate),
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
    /// Too many failed log-ins to an account.
    fn too_fast(wait: Duration) -> Self {
        Self::wait(wait, "too_fast", "Too many failed attempts to log in to this account")
    }

    /// Too many failed log-ins from a network.
    fn too_many_attempts(wait: Duration) -> Self {
        Self::wait(wait, "too_many_attempts", "Too many failed attempts to log in from your network")
    }

    /// Too many sign-ins from a network.
    fn too_many_sign_ups(wait: Duration) -> Self {
        Self::wait(wait, "too_many_sign_ups", "Too many people have just signed in from your network")
    }

    fn wait(wait: Duration, code: &'static str, what: &str) -> Self {
        // Rounded up, so that a retry after this time succeeds.
        let seconds = wait.as_secs() + 1;
        let message = format!("{what}; please try again in {seconds} s.");
        Self { field: Some(("Retry-After", seconds.to_string())), ..error_response(429, code, message) }
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
            SignInError::Overloaded | SignInError::Storage | SignInError::Unknown => {
                (503, Some(("Retry-After", RETRY_AFTER.to_owned())))
            }
        };
        Self { status, error: error.event_error(), field }
    }
}

/// Returns the seconds since 1970.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// How many guesses at an account all strangers have at once, as a multiple of those of one address. Later ones come at
/// the rate of one address.
const ACCOUNT_FACTOR: u32 = 10;
/// Maximum length of a body: enough for a name and a password.
pub(super) const MAX_BODY_BYTES: usize = 4 << 10;
/// Seconds after which a client may retry when the server is overloaded or cannot write.
const RETRY_AFTER: &str = "2";
