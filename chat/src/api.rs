//! The HTTP requests for accounts and sessions below `/api/`, in JSON.

mod response;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use switchboard::{Escaped, Request, Responder, Response};

use self::response::{ErrorResponse, error_response, json, signed_in_response, with_device_cookie};
use super::{
    ChatConfig, ChatCore, ChatLimits, Name,
    attempts::{Attempts, LogIn},
    credentials,
    device::{Device, DeviceClaim, DeviceKey},
    interface::{
        Admit, Callback, Credential, FoundAccount, FoundSession, LimitsView, LogOut, NewClient, SignInError, SignedIn,
        You,
    },
    password::Password,
    proxy::address_of,
    rate::address_key,
    site::{OriginKind, Site},
    store::RoomId,
    user_agent::UserAgent,
};

/// Handles the requests. Each worker has a clone.
#[derive(Clone)]
pub(super) struct Api {
    core: Arc<dyn ChatCore>,
    config: Arc<ChatConfig>,
    attempts: Attempts,
    device_key: DeviceKey,
    /// Whether the chat has had any account since the program began: then it is not looked for again.
    has_accounts: Arc<AtomicBool>,
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

/// The body of a request to log out.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Logout {
    /// Rooms that may be removed because a guest is their last member.
    remove: Vec<RoomId>,
}

#[derive(Serialize)]
struct SessionView {
    you: Option<You>,
    expires: Option<u64>,
    guests: bool,
    registration: bool,
    accounts: bool,
    limits: LimitsView,
}

/// How a request signs in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AuthMethod {
    Register,
    LogIn,
    Guest,
}

/// A request for a new account or guest that was checked as far as this is possible without the core.
struct NewUser {
    name: Name,
    /// `None` for a guest.
    password: Option<Password>,
}

impl Api {
    pub(super) fn new(core: Arc<dyn ChatCore>, config: Arc<ChatConfig>, device_key: DeviceKey) -> Self {
        let attempts = Attempts::new(&config.limits);
        Self { core, config, attempts, device_key, has_accounts: Arc::default() }
    }

    /// Uses another configuration from now on.
    pub(super) fn set_config(&mut self, config: Arc<ChatConfig>) {
        self.config = config;
    }

    /// Uses other limits for attempts to sign in, in all clones.
    pub(super) fn set_limits(&self, limits: &ChatLimits) {
        self.attempts.set_limits(limits);
    }

    /// Handles a request. The response may come later, from another thread.
    pub(super) fn request(&self, request: &Request<'_>, host: &str, site: &Site, responder: Responder) {
        let mut origins = request.head.values("origin").map(|origin| std::str::from_utf8(origin).unwrap_or_default());
        // No browser sends two Origin fields, nor one that is not text: the empty one is no page's.
        let origin = match (origins.next(), origins.next()) {
            (Some(_), Some(_)) => Some(""),
            (origin, _) => origin,
        };
        let origin_kind = site.origin_kind(origin, host);
        let from = address_of(request.head, request.peer.ip(), &self.config.trusted_proxies);
        let handled = match (request.head.method(), request.head.path()) {
            ("POST", _) if matches!(origin_kind, OriginKind::Allowed | OriginKind::Foreign) => Err((
                responder,
                error_response(403, "foreign_origin", Site::foreign_origin(origin.unwrap_or_default())),
            )),
            ("POST", "/api/register") => {
                self.sign_in(AuthMethod::Register, request, from, origin_kind, site, responder)
            }
            ("POST", "/api/login") => self.sign_in(AuthMethod::LogIn, request, from, origin_kind, site, responder),
            ("POST", "/api/guest") => self.sign_in(AuthMethod::Guest, request, from, origin_kind, site, responder),
            ("POST", "/api/logout") => self.log_out(request, from, site, origin_kind, responder),
            ("GET" | "HEAD", "/api/session") => return self.session(request, from, origin_kind, site, responder),
            (method, "/api/register" | "/api/login" | "/api/guest" | "/api/logout") => {
                other_method(method, "OPTIONS, POST", responder)
            }
            (method, "/api/session") => other_method(method, "GET, HEAD, OPTIONS", responder),
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
        let device_cookies: Vec<_> = credentials::device_cookies(request.head, site, origin_kind).collect();
        let agent = if login.token {
            UserAgent::APP
        } else {
            request.head.values("user-agent").next().map(UserAgent::parse).unwrap_or_default()
        };
        let client = NewClient { from: address_key(from), agent };
        let respond = |responder| self.respond(method, &login, request, from, site, responder);
        match method {
            AuthMethod::LogIn => self.log_in(&login, &device_cookies, from, client, responder, respond),
            AuthMethod::Register | AuthMethod::Guest => match self.check_new_user(method, &login, from) {
                Ok(NewUser { name, password: Some(password) }) => {
                    self.core.register(client, name, password, respond(responder));
                    Ok(())
                }
                Ok(NewUser { name, password: None }) => {
                    self.core.enter_as_guest(client, name, respond(responder));
                    Ok(())
                }
                Err(refused) => Err((responder, refused)),
            },
        }
    }

    /// Returns the callback that sends the response.
    fn respond(
        &self,
        method: AuthMethod,
        login: &Login,
        request: &Request<'_>,
        from: IpAddr,
        site: &Site,
        responder: Responder,
    ) -> Callback<Result<SignedIn, SignInError>> {
        let (path, site, as_token) = (request.head.path().to_owned(), site.clone(), login.token);
        let lifetime = self.config.session_lifetime.as_secs();
        let status = if method == AuthMethod::LogIn { 200 } else { 201 };
        Box::new(move |signed_in| match signed_in {
            Ok(signed_in) => responder.send(signed_in_response(status, signed_in, as_token, &site, lifetime)),
            Err(error) => {
                let refused = ErrorResponse::from(error);
                log::info!("{from}: {} is refused: {}", Escaped::new(&path), refused.error.code);
                responder.send(refused.response());
            }
        })
    }

    /// Logs in: finds the account, and then verifies the password.
    fn log_in(
        &self,
        login: &Login,
        device_cookies: &[&str],
        from: IpAddr,
        client: NewClient,
        responder: Responder,
        respond: impl FnOnce(Responder) -> Callback<Result<SignedIn, SignInError>>,
    ) -> Result<(), (Responder, ErrorResponse)> {
        // An account may have been registered under a higher limit than the current one.
        let name = Name::at_most(Name::HIGHEST_LIMIT, &login.name).ok();
        let key = name.as_ref().map_or("", Name::key);
        let claim = device_cookies.iter().find_map(|cookie| self.device_key.verify(cookie, key));
        let claimed = claim.as_ref().map(DeviceClaim::device);
        let attempt = match self.attempts.log_in(from, key, claimed, Instant::now()) {
            Ok(attempt) => attempt,
            Err(limited) => return Err((responder, limited.into())),
        };
        let callback = respond(responder);
        let Some(name) = name else {
            callback(Err(wrong_guess(attempt, None)));
            return Ok(());
        };
        let core = Arc::clone(&self.core);
        let password = Password::new(&login.password).ok();
        let found: Callback<Result<FoundAccount, SignInError>> = Box::new(move |found| {
            let account = match found {
                Ok(account) => account,
                Err(error) => return callback(Err(error)),
            };
            let device = account.device.filter(|device| attempt.has_guesses(*device, Instant::now()));
            // No account has a password that breaks the rules.
            let Some(password) = password else { return callback(Err(wrong_guess(attempt, device))) };
            let admit: Admit = Box::new(move || {
                let guess = attempt.guess(device, Instant::now())?;
                Ok(Box::new(|| guess.give_back()))
            });
            core.log_in(client, account, device.is_some(), password, admit, callback);
        });
        self.core.find_account(client.from, name, claim, found);
        Ok(())
    }

    /// Checks a request for a new account or guest as far as this is possible without the core, and charges it.
    fn check_new_user(&self, method: AuthMethod, login: &Login, from: IpAddr) -> Result<NewUser, ErrorResponse> {
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
        self.attempts.new_user(from, Instant::now())?;
        let name = Name::at_most(self.config.limits.name_chars, &login.name)
            .and_then(Name::for_a_new_user)
            .map_err(|error| error_response(400, "bad_name", error.to_string()))?;
        if method == AuthMethod::Guest {
            return Ok(NewUser { name, password: None });
        }
        let password =
            Password::new(&login.password).map_err(|error| error_response(400, "bad_password", error.to_string()))?;
        Ok(NewUser { name, password: Some(password) })
    }

    /// Ends sessions. A request without a body confirms no removal of rooms.
    fn log_out(
        &self,
        request: &Request<'_>,
        from: IpAddr,
        site: &Site,
        origin_kind: OriginKind,
        responder: Responder,
    ) -> Result<(), (Responder, ErrorResponse)> {
        let Logout { remove } = match parse_optional(request) {
            Ok(logout) => logout,
            Err(refused) => return Err((responder, refused)),
        };
        let done = Response::new(204).header("Set-Cookie", credentials::expired_cookie(site));
        // Without an Origin no page has made the browser send the cookie, so it counts.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        match credentials::presented(request.head, site, origin_kind) {
            Credential::Tokens(tokens) => self.core.log_out(
                address_key(from),
                LogOut { tokens, remove },
                Box::new(move |result| match result {
                    Ok(Ok(())) => responder.send(done),
                    Ok(Err(error)) => responder.send(ErrorResponse { status: 409, error, field: None }.response()),
                    Err(error) => responder.send(ErrorResponse::from(error).response()),
                }),
            ),
            Credential::None | Credential::Malformed => responder.send(done),
        }
        Ok(())
    }

    fn session(&self, request: &Request<'_>, from: IpAddr, origin_kind: OriginKind, site: &Site, responder: Responder) {
        let ChatConfig { guests, registration, ref limits, .. } = *self.config;
        let limits = LimitsView::from(limits);
        let site_of_cookie = site.clone();
        let view = move |FoundSession { you, has_accounts, device_cookie }| {
            let (you, expires) = you.unzip();
            let response =
                json(200, &SessionView { you, expires, guests, registration, accounts: has_accounts, limits });
            with_device_cookie(response, &site_of_cookie, device_cookie)
        };
        // Browsers send no Origin with a GET to the page's own host, and let no other page read the response.
        let origin_kind = if origin_kind == OriginKind::Absent { OriginKind::Own } else { origin_kind };
        let tokens = match credentials::presented(request.head, site, origin_kind) {
            Credential::Tokens(tokens) => tokens,
            Credential::None | Credential::Malformed => Vec::new(),
        };
        if tokens.is_empty() && self.has_accounts.load(Ordering::Relaxed) {
            return responder.send(view(FoundSession { you: None, has_accounts: true, device_cookie: None }));
        }
        let device_cookies = credentials::device_cookies(request.head, site, origin_kind).map(str::to_owned).collect();
        let has_accounts = Arc::clone(&self.has_accounts);
        let callback: Callback<Result<FoundSession, SignInError>> = Box::new(move |session| match session {
            Ok(session) => {
                has_accounts.fetch_or(session.has_accounts, Ordering::Relaxed);
                responder.send(view(session));
            }
            Err(error) => responder.send(ErrorResponse::from(error).response()),
        });
        self.core.session(address_key(from), tokens, device_cookies, callback);
    }
}

/// Responds to a method without a handler of its own: OPTIONS gets the `allowed` methods, any other 405.
fn other_method(method: &str, allowed: &'static str, responder: Responder) -> Result<(), (Responder, ErrorResponse)> {
    if method != "OPTIONS" {
        return Err((responder, ErrorResponse::method(allowed)));
    }
    responder.send(Response::new(204).header("Allow", allowed));
    Ok(())
}

/// Charges a guess that is wrong without verifying a password.
fn wrong_guess(attempt: LogIn, device: Option<Device>) -> SignInError {
    attempt.guess(device, Instant::now()).map_or_else(SignInError::from, |_| SignInError::BadCredentials)
}

/// Parses a request's body as JSON, if it has one.
fn parse_optional<T: DeserializeOwned + Default>(request: &Request<'_>) -> Result<T, ErrorResponse> {
    if request.body.is_empty() { Ok(T::default()) } else { parse(request) }
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

/// Maximum length of a body: enough for a name and a password.
pub(super) const MAX_BODY_BYTES: usize = 4 << 10;
