//! The backplane of one process: one thread that decides everything, in one order, over the [`Store`].
//!
//! Whatever waits is done in one transaction and committed once: the more there is to do, the less a durable write
//! costs. Only behind the commit does anybody hear of it, so an acknowledgement is never taken back. Where the
//! transaction fails, each piece of it is tried again by itself, and those that fail are told so.
//!
//! | file | what |
//! |---|---|
//! | `inbox.rs` | the way to the thread, and its bound |
//! | `keeper.rs` | [`Keeper`]: does what waits, and says what came of it |
//! | `effects.rs` | what came of it, until it is committed |
//! | `events.rs` | the table of events, and the way to their handlers |
//! | `presence.rs` | who is connected, and by which session |
//! | `signing_in.rs` | how sessions begin, for requests and for connections |
//! | `endings.rs` | how sessions end: by time, by will, from elsewhere |
//! | `people.rs` | handlers: accounts, sessions, who is there, blocking, notices |
//! | `lookup.rs` | rooms and people as they are remembered and told |
//! | `log.rs` | entries of a room's log: written, told, read again |
//! | `rooms.rs` | handlers: making, entering and leaving rooms |
//! | `owning.rs` | handlers: what owners do |
//! | `talk.rs` | handlers: what is said, and how it is read |

mod effects;
mod endings;
mod events;
mod inbox;
mod keeper;
mod log;
mod lookup;
mod owning;
mod people;
mod presence;
mod rooms;
mod signing_in;
mod talk;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    Backplane, ChatConfig, Name,
    backplane::{Credential, Exchange, Overloaded, SignInError, SignedIn, Then, You},
    password::{Hasher, Password},
    store::Store,
    token::TokenHash,
    wire::Incoming,
};
use inbox::{Errand, Errands, Inbox, Question};
use keeper::{Keeper, Now};
use switchboard::{ConnectionId, exit_on_panic};

/// A handle to the thread.
pub(super) struct House {
    inbox: Inbox,
    hasher: Hasher,
}

impl House {
    /// Starts the thread.
    pub(super) fn start(
        store: Store,
        config: Arc<ChatConfig>,
        exchange: impl Exchange + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let hasher = Hasher::start()?;
        let (inbox, errands) = Inbox::new();
        let keeper = Keeper::new(store, config, inbox.clone(), hasher.clone());
        let thread = Builder::new().name("switchboard-chat".to_owned()).spawn(move || {
            exit_on_panic("the chat's thread", move || keep(keeper, &errands, &exchange));
        })?;
        Ok((Self { inbox, hasher }, thread))
    }

    /// Ends the thread, once all that came before is done.
    pub(super) fn stop(&self) {
        self.inbox.put(Errand::Stop);
    }
}

impl Backplane for House {
    fn opened(&self, connection: ConnectionId, credential: Credential) {
        self.inbox.put(Errand::Opened(connection, credential));
    }

    fn event(&self, connection: ConnectionId, event: Incoming, bytes: usize) -> Result<(), (Overloaded, Incoming)> {
        self.inbox.offer(connection, event, bytes)
    }

    fn closed(&self, connection: ConnectionId) {
        self.inbox.put(Errand::Closed(connection));
    }

    fn register(&self, name: Name, password: Password, then: Then<Result<SignedIn, SignInError>>) {
        let inbox = self.inbox.clone();
        let hashed = self.hasher.hash(password, then, move |hash, then| match hash {
            Ok(hash) => inbox.ask(Question::new(move |keeper| keeper.sign_up(&name, Some(&hash)), then)),
            Err(_) => then(Err(SignInError::Storage)),
        });
        if let Err(then) = hashed {
            then(Err(SignInError::Overloaded));
        }
    }

    fn log_in(&self, name: Name, password: Password, then: Then<Result<SignedIn, SignInError>>) {
        let (inbox, hasher) = (self.inbox.clone(), self.hasher.clone());
        let found: Then<Result<Option<(_, String)>, SignInError>> = Box::new(move |found| {
            let (person, hash) = match found {
                Ok(found) => found.unzip(),
                Err(error) => return then(Err(error)),
            };
            let verified =
                hasher.verify(password, hash.clone(), then, move |right, then| match (right, person, hash) {
                    (true, Some(person), Some(hash)) => {
                        inbox.ask(Question::new(move |keeper| keeper.log_in(person, &hash), then));
                    }
                    _ => then(Err(SignInError::BadCredentials)),
                });
            if let Err(then) = verified {
                then(Err(SignInError::Overloaded));
            }
        });
        self.inbox.ask(Question::new(move |keeper| keeper.credentials(&name), found));
    }

    fn enter_as_guest(&self, name: Name, then: Then<Result<SignedIn, SignInError>>) {
        self.inbox.ask(Question::new(move |keeper| keeper.sign_up(&name, None), then));
    }

    fn log_out(&self, token: TokenHash, then: Then<Result<(), SignInError>>) {
        self.inbox.ask(Question::new(move |keeper| keeper.log_out(&token), then));
    }

    fn signed_in(&self, token: TokenHash, then: Then<Result<Option<(You, u64)>, SignInError>>) {
        self.inbox.ask(Question::new(move |keeper| keeper.signed_in(&token), then));
    }
}

/// The thread's work, until it is told to stop.
fn keep(mut keeper: Keeper, errands: &Errands, exchange: &impl Exchange) {
    let mut next_look = Instant::now();
    let mut stopping = false;
    while !stopping && let Some(batch) = errands.next_batch(next_look) {
        wait_while(|| exchange.is_overloaded());
        let now = Now::take();
        stopping = batch.iter().any(|errand| matches!(errand, Errand::Stop));
        if !batch.is_empty() {
            keeper.work(batch, now, exchange);
        }
        if Instant::now() >= next_look {
            keeper.look_around(now, exchange);
            next_look = Instant::now() + LOOK_AROUND;
        }
    }
    keeper.close(Now::take());
}

/// Waits for the workers to take what was made for them, so that answers do not pile up. They always do, unless they have
/// ended: so not for ever.
fn wait_while(overloaded: impl Fn() -> bool) {
    let deadline = Instant::now() + LONGEST_WAIT;
    while overloaded() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// How long the thread waits for workers that do not keep up.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often the thread looks at what has ended by time, and tells who came and went.
const LOOK_AROUND: Duration = Duration::from_millis(250);
