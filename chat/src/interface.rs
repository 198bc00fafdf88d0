//! The interface between connections and the core: [`ChatCore`] for calls to the core, [`Delivery`] for calls from the
//! core to connections.
//!
//! The code of connections sees only the connections of its own process. It must not assume that every user is
//! connected to it.

use std::{cell::RefCell, net::IpAddr, sync::Arc, time::Duration};

use serde::Serialize;
use switchboard::{Batch, CloseCode, ConnectionId, Message, Prepared, Remote};

use super::{
    ChatLimits, Name,
    backlog::{Backlog, Flow},
    device::{Device, DeviceClaim, DeviceCookie},
    password::{self, HashError, Password},
    store::UserId,
    token::{Token, TokenHash},
    user_agent::UserAgent,
    wire::{EventError, EventId, Incoming},
};

/// The limits of the texts and numbers that a client sends, for clients: maxima, in characters unless they say
/// otherwise.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct LimitsView {
    text: usize,
    topic: usize,
    name: usize,
    room_name: usize,
    password: usize,
    /// The least length of a password.
    password_min: usize,
    /// The number of rooms of a user.
    rooms: usize,
}

impl From<&ChatLimits> for LimitsView {
    fn from(limits: &ChatLimits) -> Self {
        Self {
            text: limits.text_chars,
            topic: limits.topic_chars,
            name: limits.name_chars,
            room_name: limits.room_name_chars,
            password: password::MAX_CHARS,
            password_min: password::MIN_CHARS,
            rooms: limits.rooms,
        }
    }
}

/// The core, which all connections share: accounts, logs, presence, and publishing. Calls return at once. Another
/// thread carries them out, and reaches connections through a [`Delivery`].
///
/// `from` is the client's address: strangers share the core's time by it.
///
/// The calls of one thread are carried out in order. Each connection sees a room's messages in the order of the room's
/// log, and the reply to an event before the event's effects.
pub(super) trait ChatCore: Send + Sync {
    /// Reports that a connection was opened with this credential from this address, or for IPv6 from its /64. Returns
    /// the backlog to pass to all other calls for this connection.
    fn opened(&self, connection: ConnectionId, credential: Credential, address: IpAddr) -> Arc<Backlog>;

    /// Decodes the data of an event of `bytes` bytes from a client, and reports the event. The client gets a reply if
    /// the event has an id, and an error if it fails. Returns whether the connection must wait until
    /// [`Delivery::resume`].
    ///
    /// # Errors
    /// The error reply for an event that is malformed, or for any if the core has too much to do, and its id.
    fn event(
        &self,
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
        backlog: &Arc<Backlog>,
    ) -> Result<Flow, (EventError, Option<EventId>)>;

    /// Wakes the core's thread for the events reported so far. Called once after several events: the thread may not see
    /// them before.
    fn wake(&self);

    /// Reports that a connection was closed.
    fn closed(&self, connection: ConnectionId, backlog: &Arc<Backlog>);

    /// Creates an account, and begins a session.
    fn register(
        &self,
        client: NewClient,
        name: Name,
        password: Password,
        callback: Callback<Result<SignedIn, SignInError>>,
    );

    /// Finds the account with this name, to log in to it. A client whose device cookie has a valid signature shows the
    /// cookie's `claim`, and goes before strangers.
    fn find_account(
        &self,
        from: IpAddr,
        name: Name,
        claim: Option<DeviceClaim>,
        callback: Callback<Result<FoundAccount, SignInError>>,
    );

    /// Verifies the password of an account, and begins a session. A device that `is_known` goes before strangers.
    /// `admit` is called immediately before the password is verified, on a thread of the core.
    fn log_in(
        &self,
        client: NewClient,
        account: FoundAccount,
        is_known: bool,
        password: Password,
        admit: Admit,
        callback: Callback<Result<SignedIn, SignInError>>,
    );

    /// Creates a guest, whose name must be free, and begins a session.
    fn enter_as_guest(&self, client: NewClient, name: Name, callback: Callback<Result<SignedIn, SignInError>>);

    /// Ends a session on all its connections.
    fn log_out(&self, from: IpAddr, tokens: Vec<TokenHash>, callback: Callback<Result<(), SignInError>>);

    /// Finds the session of the first of some tokens that is valid, and what a client may know that has none.
    fn session(&self, from: IpAddr, tokens: Vec<TokenHash>, callback: Callback<Result<FoundSession, SignInError>>);
}

/// Receives a result. Called once, on a thread of the core, which it must not block.
pub(super) type Callback<T> = Box<dyn FnOnce(T) + Send>;

/// Admits an attempt to log in, or refuses it. Returns a function to call if the password is right.
pub(super) type Admit = Box<dyn FnOnce() -> Result<Box<dyn FnOnce() + Send>, SignInError> + Send>;

/// A client that signs in.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewClient {
    /// Its address.
    pub(super) from: IpAddr,
    pub(super) agent: UserAgent,
}

/// The result of looking for a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundSession {
    /// The user, and the latest time at which the session ends, in milliseconds since 1970.
    pub(super) you: Option<(You, u64)>,
    /// Whether the chat has any account.
    pub(super) has_accounts: bool,
}

/// The result of looking for an account.
#[derive(Debug)]
pub(super) struct FoundAccount {
    pub(super) name: Name,
    /// The account's user and the hash of the password. `None`: there is no account with this name.
    pub(super) credentials: Option<(UserId, String)>,
    /// The device of the client, if its cookie is valid for the account.
    pub(super) device: Option<Device>,
}

/// The credential that a client shows when it opens a connection.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    /// No credential yet.
    None,
    /// A text that is not a token.
    Malformed,
    /// The hashes of tokens, at least one. The first that is valid counts.
    Tokens(Vec<TokenHash>),
}

/// A new session.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) you: You,
    pub(super) token: Token,
    /// The latest time at which the session ends, in milliseconds since 1970.
    pub(super) expires: u64,
    /// The new cookie of the device. `None` for a guest, who cannot come back under the same name.
    pub(super) device_cookie: Option<DeviceCookie>,
}

/// A user's own data, for their client.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct You {
    pub(super) name: String,
    pub(super) guest: bool,
    pub(super) operator: bool,
}

/// Why a user is not signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignInError {
    /// The name, or one that looks the same, is taken.
    NameTaken,
    /// There is no account of this name, or the password is wrong.
    BadCredentials,
    /// A limit is reached.
    Limited(Limited),
    /// The core has too much to do. The client may try again later.
    Overloaded,
    /// The store cannot be read or written. Nothing has changed.
    Storage,
    /// The store cannot be written, and it is not known whether the change is there after a crash.
    Unknown,
}

/// A limit of attempts to sign in that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limited {
    code: &'static str,
    what: &'static str,
    wait: Duration,
}

impl Limited {
    /// Too many failed log-ins to an account.
    pub(super) fn account(wait: Duration) -> Self {
        Self { code: "too_fast", what: "Too many failed attempts to log in to this account", wait }
    }

    /// Too many failed log-ins from a network.
    pub(super) fn network(wait: Duration) -> Self {
        Self { code: "too_many_attempts", what: "Too many failed attempts to log in from your network", wait }
    }

    /// Too many sign-ins from a network.
    pub(super) fn sign_ins(wait: Duration) -> Self {
        Self { code: "too_many_sign_ups", what: "Too many users have just signed in from your network", wait }
    }

    /// Returns the seconds after which a retry succeeds.
    pub(super) fn seconds(self) -> u64 {
        // Rounded up.
        self.wait.as_secs() + 1
    }

    fn event_error(self) -> EventError {
        EventError::new(self.code, format!("{}; please try again in {} s.", self.what, self.seconds()))
    }
}

impl From<Limited> for SignInError {
    fn from(limited: Limited) -> Self {
        Self::Limited(limited)
    }
}

impl From<HashError> for SignInError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::QueueFull => Self::Overloaded,
            HashError::System(_) => Self::Storage,
        }
    }
}

impl SignInError {
    /// Returns the error for clients.
    pub(super) fn event_error(self) -> EventError {
        match self {
            Self::NameTaken => {
                EventError::new("name_taken", "This name, or one that looks like it, is taken; please choose another.")
            }
            Self::BadCredentials => EventError::new("bad_credentials", "The name or the password is wrong."),
            Self::Limited(limited) => limited.event_error(),
            Self::Overloaded => EventError::overloaded(),
            Self::Storage => EventError::storage(),
            Self::Unknown => EventError::unknown(),
        }
    }
}

/// The core's access to connections. The calls take effect in order, with the next call of [`post`](Self::post).
pub(super) trait Delivery: Send {
    /// Subscribes a connection to a topic.
    fn subscribe(&self, connection: ConnectionId, topic: &str);

    /// Ends a connection's subscription to a topic.
    fn unsubscribe(&self, connection: ConnectionId, topic: &str);

    /// Sends a text to one connection, without compression: some texts contain private data beside texts of other
    /// users, and the compressed length would reveal how much the two have in common.
    fn send(&self, connection: ConnectionId, text: &str);

    /// Sends a text to all subscribers of a topic, except one connection if given.
    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>);

    /// Reads a connection again that waits: see [`Flow::Pause`].
    fn resume(&self, connection: ConnectionId);

    /// Closes a connection that goes on sending whatever it is told, and reads nothing more from it.
    fn shut(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// Closes a connection.
    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str);

    /// Lets all calls since the last one take effect, together.
    fn post(&self);

    /// Returns whether the workers have so much to send that the core should wait.
    fn is_overloaded(&self) -> bool;
}

/// The [`Delivery`] of a server.
pub(super) struct RemoteDelivery {
    remote: Remote,
    batch: RefCell<Batch>,
}

impl RemoteDelivery {
    pub(super) fn new(remote: &Remote) -> Self {
        Self { remote: remote.clone(), batch: RefCell::new(remote.batch()) }
    }
}

impl Delivery for RemoteDelivery {
    fn subscribe(&self, connection: ConnectionId, topic: &str) {
        self.batch.borrow_mut().subscribe(connection, topic);
    }

    fn unsubscribe(&self, connection: ConnectionId, topic: &str) {
        self.batch.borrow_mut().unsubscribe(connection, topic);
    }

    fn send(&self, connection: ConnectionId, text: &str) {
        self.batch.borrow_mut().answer(connection, Prepared::text(text).uncompressed());
    }

    fn publish(&self, topic: &str, text: &str, except: Option<ConnectionId>) {
        match except {
            None => self.batch.borrow_mut().publish(topic, Message::Text(text)),
            Some(connection) => self.batch.borrow_mut().publish_to_others(connection, topic, Message::Text(text)),
        }
    }

    fn resume(&self, connection: ConnectionId) {
        self.batch.borrow_mut().resume(connection);
    }

    fn shut(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.batch.borrow_mut().shut(connection, code, reason);
    }

    fn close(&self, connection: ConnectionId, code: CloseCode, reason: &str) {
        self.batch.borrow_mut().close(connection, code, reason);
    }

    fn post(&self) {
        self.batch.borrow_mut().post();
    }

    fn is_overloaded(&self) -> bool {
        self.remote.waiting_bytes() >= MAX_WAITING_BYTES
    }
}

/// Bytes that wait for a worker, from which on the core waits, too: so no text waits behind more than these, such as
/// the replies of a client that asks for as many as it can.
const MAX_WAITING_BYTES: usize = 512 << 10;
