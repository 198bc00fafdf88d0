//! The interface between connections and the core: [`ChatCore`] for calls to the core, [`Delivery`] for calls from the
//! core to connections, and the values that pass between them.
//!
//! The code of connections sees only the connections of its own process. It must not assume that every user is
//! connected to it.

mod answers;
mod client;
pub(super) mod delivery;
mod effects;
mod json;
mod pushes;
mod requests;
mod sign_in;
mod views;

use std::{net::IpAddr, sync::Arc};

use switchboard::ConnectionId;

use super::{
    Name,
    backlog::{Backlog, Flow},
    device::DeviceClaim,
    password::Password,
    token::TokenHash,
    wire::{EventError, EventId, Incoming},
};

pub(super) use answers::Answer;
pub(super) use client::{ClientId, RunId};
pub(super) use delivery::{Delivery, RemoteTransport};
pub(super) use effects::{Audience, Closing, Content, Effect, Topic};
pub(super) use json::JsonDelivery;
pub(super) use pushes::{EndReason, LeaveReason, LimitsView, Online, Push, SessionEnd, Welcome};
pub(super) use requests::{
    Account, Ask, BeginProof, Callbacks, CurrentSession, FindAccount, FindSession, LogIn, LogOut, NewSession, Outcome,
    OwnAccount, Prover, Request, RequestId, SignUp,
};
pub(super) use sign_in::{Credential, FoundAccount, FoundSession, Limited, NewClient, SignInError, SignedIn, You};
pub(super) use views::{DeviceView, MemberView, MessageView, NoticeView, RoomView, SessionView, UserView};

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

    /// Ends sessions on all their connections, unless a guest is to confirm that rooms are removed.
    fn log_out(&self, from: IpAddr, request: LogOut, callback: Callback<Result<Result<(), EventError>, SignInError>>);

    /// Finds the session of the first of some tokens that is valid, and what a client may know that has none. Renews
    /// the cookie of the client's device, which is one of `device_cookies`, if the password has changed since.
    fn session(
        &self,
        from: IpAddr,
        tokens: Vec<TokenHash>,
        device_cookies: Vec<String>,
        callback: Callback<Result<FoundSession, SignInError>>,
    );
}

/// Receives a result. Called once, on a thread of the core, which it must not block.
pub(super) type Callback<T> = Box<dyn FnOnce(T) + Send>;

/// Admits an attempt to log in, or refuses it. Returns a function to call if the password is right.
pub(super) type Admit = Box<dyn FnOnce() -> Result<Box<dyn FnOnce() + Send>, SignInError> + Send>;
