//! The core for connections that speak JSON: decodes events, and makes and verifies passwords, tokens, and the cookies
//! of devices.

use std::{io, net::IpAddr, sync::Arc, thread::JoinHandle};

use switchboard::{ConnectionId, Remote};

use super::{
    ChatCore, Name,
    backlog::{Backlog, Flow},
    config::SharedConfig,
    core::{
        ChangePassword, Command, CoreHandle, Decoded, DeleteAccount, Event, Proof, RemoveAccount, Row, SetPassword,
        Source, Unfinished, decode,
    },
    device::{DEVICE_SECONDS, Device, DeviceAccount, DeviceClaim, DeviceCookie, DeviceKey},
    hash_queue::Asker,
    interface::{
        Account, Admit, BeginProof, Callback, Callbacks, ClientId, Credential, CurrentSession, FindAccount,
        FindSession, FoundAccount, FoundSession, JsonDelivery, LogIn, LogOut, NewClient, NewSession, OwnAccount,
        Prover, RemoteTransport, RunId, SignInError, SignUp, SignedIn,
    },
    password::{Hasher, Password},
    rate::Network,
    store::{Store, UserId},
    token::{Token, TokenHash, random_bytes},
    wire::{EventError, EventId, Incoming},
};

/// The [`ChatCore`] of a chat.
#[derive(Clone)]
pub(super) struct Front {
    /// The run to which the clients are connected.
    run: RunId,
    core: CoreHandle,
    hasher: Hasher,
    /// Signs the cookies of devices.
    device_key: DeviceKey,
}

impl Front {
    /// Starts the threads. They reach clients through `remote`.
    pub(super) fn start(
        store: Store,
        config: SharedConfig,
        device_key: DeviceKey,
        remote: &Remote,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let hasher = Hasher::start()?;
        let run = RunId::new(u64::from_be_bytes(random_bytes()));
        let callbacks = Arc::new(Callbacks::default());
        let delivery = JsonDelivery(RemoteTransport::new(run, remote, Arc::clone(&callbacks)));
        let (core, thread) = CoreHandle::start(store, config, callbacks, delivery)?;
        Ok((Self { run, core, hasher, device_key }, thread))
    }

    #[cfg(test)]
    pub(super) fn device_key(&self) -> &DeviceKey {
        &self.device_key
    }

    /// Stops the core's thread after all earlier commands.
    pub(super) fn stop(&self) {
        self.core.send(Command::Stop);
    }

    /// For tests: returns a front over a core that the test drives.
    #[cfg(test)]
    pub(super) fn over(run: RunId, core: CoreHandle, hasher: Hasher, device_key: DeviceKey) -> Self {
        Self { run, core, hasher, device_key }
    }

    /// Returns what a client gets whose session has begun. The device of an account gets a new cookie.
    fn signed_in(&self, token: Token, session: NewSession, device: Option<Device>, hash: Option<&str>) -> SignedIn {
        let device_cookie = hash.map(|hash| self.device_cookie(&session, hash, device));
        SignedIn { you: session.you, token, expires: session.expires, device_cookie }
    }

    pub(super) fn device_cookie(&self, session: &NewSession, hash: &str, device: Option<Device>) -> DeviceCookie {
        let device = device.unwrap_or_else(Device::random);
        self.device_key.issue(&session.name_key, device_account(session.user, hash), device, end_of_cookie(session.now))
    }

    /// Returns a new cookie for a device on which a user has logged in and is still signed in, if its cookie is void:
    /// the password has changed since.
    pub(super) fn renewed_cookie(&self, session: &CurrentSession, cookies: &[String]) -> Option<DeviceCookie> {
        let OwnAccount { user, name_key, password_hash } = session.account.as_ref()?;
        let account = device_account(*user, password_hash);
        let claim = cookies.iter().find_map(|cookie| self.device_key.verify(cookie, name_key))?;
        if self.device_key.confirm(&claim, account, session.now).is_some() {
            return None;
        }
        Some(self.device_key.issue(name_key, account, claim.device(), end_of_cookie(session.now)))
    }

    /// Returns the device whose cookie makes this claim, if it is valid for the account.
    pub(super) fn known_device(&self, account: &Account, claim: &DeviceClaim) -> Option<Device> {
        let (user, hash) = account.credentials.as_ref()?;
        self.device_key.confirm(claim, device_account(*user, hash), account.now)
    }

    /// Creates an account, or a guest without the hash of a password.
    fn sign_up(
        &self,
        source: Source,
        name: Name,
        hash: Option<String>,
        client: NewClient,
        callback: Callback<Result<SignedIn, SignInError>>,
    ) {
        let token = Token::random();
        let request = SignUp { name, password_hash: hash.clone(), token: token.hash(), agent: client.agent };
        let front = self.clone();
        self.core.ask(source, request, move |session| {
            callback(session.map(|session| front.signed_in(token, session, None, hash.as_deref())));
        });
    }

    /// Returns the command for an event of a client, unless it is malformed, or too much waits.
    pub(super) fn command(
        &self,
        client: ClientId,
        Incoming { event: name, data, id }: Incoming,
        bytes: usize,
        backlog: &Arc<Backlog>,
    ) -> Result<(Command, Flow), (EventError, Option<EventId>)> {
        let mut data = serde_json::Deserializer::from_str(data.get());
        let decoded = match decode(&name, &mut data) {
            Some(Ok(decoded)) => decoded,
            Some(Err(error)) => {
                // Some errors quote the data, which may be long.
                let shown: String = error.to_string().chars().take(100).collect();
                return Err((EventError::new("bad_data", format!("Invalid data: {shown}.")), id));
            }
            None => {
                let shown: String = name.chars().take(32).collect();
                return Err((EventError::new("unknown_event", format!("{shown:?} is not an event.")), id));
            }
        };
        let Ok(flow) = backlog.begin(bytes) else { return Err((EventError::overloaded(), id)) };
        let unfinished = Unfinished { backlog: Arc::clone(backlog), bytes: Some(bytes) };
        let command = match decoded {
            Decoded::Event(event) => Command::Event(client, event.with_id(id), unfinished),
            Decoded::Proof(proof) => self.proof(client, proof, id, unfinished),
        };
        Ok((command, flow))
    }

    /// Returns the command that begins a proof. Later the passwords are verified, and the core gets the event without
    /// them.
    fn proof(&self, client: ClientId, proof: Proof, id: Option<EventId>, unfinished: Unfinished) -> Command {
        let (front, row) = (self.clone(), proof.row());
        let reply = Reply { core: self.core.clone(), client, id, row, backlog: Arc::clone(&unfinished.backlog) };
        let begin = BeginProof { client, event: row.name };
        self.core.request_of_event((client, unfinished), begin, move |prover| match prover {
            Ok(Ok(prover)) => front.go_on(prover, proof, reply),
            Ok(Err(error)) => reply.refuse(error),
            Err(error) => reply.refuse(error.event_error()),
        })
    }

    /// Verifies the passwords of an event.
    fn go_on(&self, Prover { user, password_hash }: Prover, proof: Proof, reply: Reply) {
        match (proof, password_hash) {
            (Proof::SetPassword(_), None) => reply.refuse(EventError::new("guest", "A guest has no password.")),
            (Proof::SetPassword(ChangePassword { old, new }), Some(hash)) => {
                let new = match new.0 {
                    Ok(new) => new,
                    Err(error) => return reply.refuse(EventError::new("bad_password", error.to_string())),
                };
                let hasher = self.hasher.clone();
                self.verify(user, old.0.ok(), hash, reply, move |reply, proved| {
                    hasher.hash(asker(user), new, move |new| match new {
                        Ok(new) => reply.send(SetPassword { proved, new }),
                        Err(error) => reply.refuse(SignInError::from(error).event_error()),
                    });
                });
            }
            (Proof::RemoveAccount(data), hash) => {
                let DeleteAccount { password, remove } = data.unwrap_or_default();
                let Some(hash) = hash else { return reply.send(RemoveAccount { proved: None, remove }) };
                let password = password.and_then(|password| password.0.ok());
                self.verify(user, password, hash, reply, move |reply, proved| {
                    reply.send(RemoveAccount { proved: Some(proved), remove });
                });
            }
        }
    }

    /// Verifies a user's own password against this hash, and passes the hash on to `then` if it is right.
    fn verify(
        &self,
        user: UserId,
        password: Option<Password>,
        hash: String,
        reply: Reply,
        then: impl FnOnce(Reply, String) + Send + 'static,
    ) {
        let Some(password) = password else { return reply.refuse(EventError::wrong_password()) };
        self.hasher.verify(asker(user), password, Some(hash.clone()), move |verified| match verified {
            Ok(true) => then(reply, hash),
            Ok(false) => reply.refuse(EventError::wrong_password()),
            Err(error) => reply.refuse(SignInError::from(error).event_error()),
        });
    }
}

/// The way back from a proof to the connection that waits for a reply.
struct Reply {
    core: CoreHandle,
    client: ClientId,
    id: Option<EventId>,
    /// The row of the event.
    row: &'static Row,
    backlog: Arc<Backlog>,
}

impl Reply {
    /// Sends the event to the core, without its passwords.
    fn send(self, data: impl Into<Event>) {
        self.pass(data.into());
    }

    fn refuse(self, error: EventError) {
        let event = Event::refused(self.row, error);
        self.pass(event);
    }

    /// Passes on an event that has left the backlog. Not many can: each waited for the thread of the hasher.
    fn pass(self, event: Event) {
        let unfinished = Unfinished { backlog: self.backlog, bytes: None };
        self.core.send(Command::Event(self.client, event.with_id(self.id), unfinished));
    }
}

impl ChatCore for Front {
    fn opened(&self, connection: ConnectionId, credential: Credential, address: IpAddr) -> Arc<Backlog> {
        let backlog = self.core.backlog(address);
        self.core.send(Command::Opened(self.run.client(connection), credential, Arc::clone(&backlog)));
        backlog
    }

    fn event(
        &self,
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
        backlog: &Arc<Backlog>,
    ) -> Result<Flow, (EventError, Option<EventId>)> {
        let (command, flow) = self.command(self.run.client(connection), event, bytes, backlog)?;
        self.core.send_quietly(command);
        Ok(flow)
    }

    fn wake(&self) {
        self.core.wake();
    }

    fn closed(&self, connection: ConnectionId, backlog: &Arc<Backlog>) {
        self.core.send(Command::Closed(self.run.client(connection), Arc::clone(backlog)));
    }

    fn register(
        &self,
        client: NewClient,
        name: Name,
        password: Password,
        callback: Callback<Result<SignedIn, SignInError>>,
    ) {
        let front = self.clone();
        let asker = Asker::Stranger(Network::widest_of(client.from));
        self.hasher.hash(asker, password, move |hash| match hash {
            Ok(hash) => front.sign_up(Source::Core, name, Some(hash), client, callback),
            Err(error) => callback(Err(error.into())),
        });
    }

    fn find_account(
        &self,
        from: IpAddr,
        name: Name,
        claim: Option<DeviceClaim>,
        callback: Callback<Result<FoundAccount, SignInError>>,
    ) {
        // A known device waits behind no stranger.
        let source = if claim.is_some() { Source::Core } else { Source::Stranger(from) };
        let front = self.clone();
        self.core.ask(source, FindAccount(name.clone()), move |account| {
            callback(account.map(|account| {
                let device = claim.and_then(|claim| front.known_device(&account, &claim));
                FoundAccount { name, credentials: account.credentials, device }
            }));
        });
    }

    fn log_in(
        &self,
        NewClient { from, agent }: NewClient,
        account: FoundAccount,
        is_known: bool,
        password: Password,
        admit: Admit,
        callback: Callback<Result<SignedIn, SignInError>>,
    ) {
        let FoundAccount { name, credentials, device } = account;
        let asker =
            if is_known { Asker::Device(name.key().to_owned()) } else { Asker::Stranger(Network::widest_of(from)) };
        let (front, hash) = (self.clone(), credentials.as_ref().map(|(_, hash)| hash.clone()));
        self.hasher.verify_if_admitted(asker, password, hash, admit, move |verified| match (verified, credentials) {
            (Ok(true), Some((user, hash))) => {
                let token = Token::random();
                let request = LogIn { user, password_hash: hash.clone(), token: token.hash(), agent };
                front.core.clone().ask(Source::Core, request, move |session| {
                    callback(session.map(|session| front.signed_in(token, session, device, Some(&hash))));
                });
            }
            (Ok(_), _) => callback(Err(SignInError::BadCredentials)),
            (Err(error), _) => callback(Err(error)),
        });
    }

    fn enter_as_guest(&self, client: NewClient, name: Name, callback: Callback<Result<SignedIn, SignInError>>) {
        self.sign_up(Source::Stranger(client.from), name, None, client, callback);
    }

    fn log_out(&self, from: IpAddr, request: LogOut, callback: Callback<Result<Result<(), EventError>, SignInError>>) {
        self.core.ask(Source::Stranger(from), request, callback);
    }

    fn session(
        &self,
        from: IpAddr,
        tokens: Vec<TokenHash>,
        device_cookies: Vec<String>,
        callback: Callback<Result<FoundSession, SignInError>>,
    ) {
        let front = self.clone();
        self.core.ask(Source::Stranger(from), FindSession(tokens), move |session| {
            callback(session.map(|session| {
                let device_cookie = front.renewed_cookie(&session, &device_cookies);
                FoundSession { you: session.you, has_accounts: session.has_accounts, device_cookie }
            }));
        });
    }
}

/// Returns the row of a user's jobs in the queue of the hasher.
fn asker(user: UserId) -> Asker {
    Asker::User(user.to_string())
}

/// Returns the end of a cookie that is issued `now`, in milliseconds since 1970.
fn end_of_cookie(now: u64) -> u64 {
    now.saturating_add(DEVICE_SECONDS * 1000)
}

fn device_account(user: UserId, password_hash: &str) -> DeviceAccount<'_> {
    DeviceAccount { user: user.number(), password_hash }
}
