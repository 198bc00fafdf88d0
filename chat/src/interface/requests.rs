//! Requests to the core that are no events, and their outcomes. Passwords and tokens are made and verified outside of
//! the core: it gets hashes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{
    super::{
        Name,
        store::{Millis, RoomId, UserId},
        token::TokenHash,
        user_agent::UserAgent,
        wire::EventError,
    },
    client::ClientId,
    sign_in::{SignInError, You},
};

/// Creates an account, or a guest without a password, and begins a session.
#[derive(Clone, Debug)]
pub(crate) struct SignUp {
    pub(crate) name: Name,
    pub(crate) password_hash: Option<String>,
    pub(crate) token: TokenHash,
    pub(crate) agent: UserAgent,
}

/// Finds the account with this name, to log in to it.
#[derive(Clone, Debug)]
pub(crate) struct FindAccount(pub(crate) Name);

/// Begins a session for a user whose password was verified against this hash, unless the hash has changed meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct LogIn {
    pub(crate) user: UserId,
    pub(crate) password_hash: String,
    pub(crate) token: TokenHash,
    pub(crate) agent: UserAgent,
}

/// Ends the sessions of these tokens. A guest must confirm that rooms are removed of which they are the last member.
#[derive(Clone, Debug)]
pub(crate) struct LogOut {
    pub(crate) tokens: Vec<TokenHash>,
    /// Rooms that may be removed.
    pub(crate) remove: Vec<RoomId>,
}

/// Finds the session of the first of some tokens that is valid, and what a client may know that has none.
#[derive(Clone, Debug)]
pub(crate) struct FindSession(pub(crate) Vec<TokenHash>);

/// Begins an event of this name, for which the user of a connection must prove their password: charges the user for
/// it, and finds the hash of the password.
#[derive(Clone, Debug)]
pub(crate) struct BeginProof {
    pub(crate) client: ClientId,
    pub(crate) event: &'static str,
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSession {
    pub(crate) you: You,
    pub(crate) user: UserId,
    /// The key of the user's name.
    pub(crate) name_key: String,
    /// The latest time at which the session ends, in milliseconds since 1970.
    pub(crate) expires: u64,
    /// The present, by the clock for long deadlines.
    pub(crate) now: Millis,
}

/// The result of looking for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentSession {
    /// The user, and the latest time at which the session ends, in milliseconds since 1970.
    pub(crate) you: Option<(You, u64)>,
    /// The account of the user. `None` for a guest too.
    pub(crate) account: Option<OwnAccount>,
    /// Whether the chat has any account.
    pub(crate) has_accounts: bool,
    /// The present, by the clock for long deadlines.
    pub(crate) now: Millis,
}

/// The account of a user who has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnAccount {
    pub(crate) user: UserId,
    /// The key of the user's name.
    pub(crate) name_key: String,
    pub(crate) password_hash: String,
}

/// The result of looking for an account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The account's user and the hash of the password. `None`: there is no account with this name.
    pub(crate) credentials: Option<(UserId, String)>,
    /// The present, by the clock for long deadlines.
    pub(crate) now: Millis,
}

/// A user who is to prove their password.
#[derive(Clone, Debug)]
pub(crate) struct Prover {
    pub(crate) user: UserId,
    /// `None` for a guest.
    pub(crate) password_hash: Option<String>,
}

/// A request that has a result of one type.
pub(crate) trait Ask: Into<Request> {
    type Found: Send + 'static;

    /// Returns the result from the outcome of such a request.
    fn found(outcome: Outcome) -> Option<Result<Self::Found, SignInError>>;
}

/// Declares [`Request`] and [`Outcome`].
macro_rules! requests {
    ($($request:ident => $found:ty;)+) => {
        /// A request of any type.
        #[derive(Clone, Debug)]
        pub(crate) enum Request { $($request($request),)+ }

        /// The outcome of a [`Request`].
        #[derive(Debug)]
        pub(crate) enum Outcome { $($request(Result<$found, SignInError>),)+ }

        impl Request {
            /// Returns the outcome of a request that was not carried out.
            pub(crate) fn failed(&self, error: SignInError) -> Outcome {
                match self { $(Self::$request(_) => Outcome::$request(Err(error)),)+ }
            }
        }

        $(
            impl From<$request> for Request {
                fn from(request: $request) -> Self {
                    Self::$request(request)
                }
            }

            impl Ask for $request {
                type Found = $found;

                fn found(outcome: Outcome) -> Option<Result<Self::Found, SignInError>> {
                    match outcome {
                        Outcome::$request(found) => Some(found),
                        _ => None,
                    }
                }
            }
        )+
    };
}

requests! {
    SignUp => NewSession;
    FindAccount => Account;
    LogIn => NewSession;
    LogOut => Result<(), EventError>;
    FindSession => CurrentSession;
    BeginProof => Result<Prover, EventError>;
}

/// The number of a request, unique in its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId(u64);

/// The callbacks of requests that are under way.
#[derive(Default)]
pub(crate) struct Callbacks(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    last: u64,
    callbacks: HashMap<RequestId, Box<dyn FnOnce(Outcome) + Send>>,
}

impl Callbacks {
    /// Adds what is to be called with the outcome of a new request, on the core's thread, which it must not block.
    pub(crate) fn add<A: Ask>(
        &self,
        callback: impl FnOnce(Result<A::Found, SignInError>) + Send + 'static,
    ) -> RequestId {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.last += 1;
        let id = RequestId(waiting.last);
        let call = move |outcome| match A::found(outcome) {
            Some(found) => callback(found),
            None => log::error!("a request has the outcome of another one"),
        };
        waiting.callbacks.insert(id, Box::new(call));
        id
    }

    /// Calls back with the outcome of a request, whose changes are durable.
    pub(crate) fn complete(&self, id: RequestId, outcome: Outcome) {
        let callback = self.0.lock().unwrap_or_else(PoisonError::into_inner).callbacks.remove(&id);
        if let Some(callback) = callback {
            callback(outcome);
        }
    }
}
