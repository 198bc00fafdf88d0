//! The table of events, and the dispatch of each event to its handler.

use serde_json::value::RawValue;
use switchboard::ConnectionId;

use super::{
    super::{
        store::StoreError,
        wire::{self, Incoming},
    },
    call::{Call, Failure, HandlerResult, Reply, done, refuse, too_fast},
    effects::Effect,
    messages, moderation, rooms, sign_in,
    state::{Action, State},
    users,
};

/// An event that clients may send.
struct Event {
    name: &'static str,
    handler: Handler,
    kind: Kind,
    /// How many events this one counts as. More than one for a long list: while the thread builds it, all other
    /// commands wait.
    weight: u32,
}

/// The kind of an event. It decides which rate limits the event is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Only reads, and does not keep a session from ending as idle.
    Reads,
    /// Makes a change that other users do not see.
    Changes,
    /// Writes to a log, or is published to many. Counts as a message.
    Broadcasts,
    /// Sends a message. The handler charges it, since a repeat is free.
    Sends,
}

enum Handler {
    /// For any connection, signed in or not.
    Anyone(fn(&mut State, ConnectionId, &RawValue) -> HandlerResult),
    /// For connections that are signed in.
    SignedIn(fn(&mut Call<'_>, &RawValue) -> HandlerResult),
}

/// Every event that a client may send.
const EVENTS: &[Event] = &[
    Event::anyone("auth", sign_in::auth),
    Event::anyone("beat", beat),
    // Rooms.
    Event::reads("rooms", rooms::list).counts_as(10),
    Event::broadcasts("create", rooms::create),
    Event::reads("join", rooms::join),
    Event::broadcasts("leave", rooms::leave),
    Event::reads("members", rooms::members).counts_as(5),
    Event::broadcasts("topic", moderation::topic),
    Event::broadcasts("invite", moderation::invite),
    Event::broadcasts("kick", moderation::kick),
    Event::broadcasts("ban", moderation::ban),
    Event::broadcasts("unban", moderation::unban),
    Event::reads("bans", moderation::bans).counts_as(5),
    Event::broadcasts("role", moderation::role),
    Event::broadcasts("delete", moderation::delete),
    Event::broadcasts("remove", moderation::remove),
    // Messages.
    Event::sends("say", messages::say),
    Event::sends("tell", messages::tell),
    Event::broadcasts("direct", messages::direct),
    Event::reads("conversations", messages::conversations).counts_as(10),
    Event::reads("history", messages::history),
    Event::reads("read", messages::read),
    Event::broadcasts("typing", messages::typing),
    // Users.
    Event::reads("people", users::list).counts_as(5),
    Event::changes("block", users::block),
    Event::changes("unblock", users::unblock),
    Event::reads("blocks", users::blocks).counts_as(5),
    Event::reads("sessions", users::sessions),
    Event::changes("revoke", users::revoke),
    Event::changes("password", users::password),
    Event::changes("delete_account", users::delete_account),
    Event::broadcasts("notice", users::notice),
];

impl Event {
    const fn anyone(name: &'static str, handler: fn(&mut State, ConnectionId, &RawValue) -> HandlerResult) -> Self {
        Self { name, handler: Handler::Anyone(handler), kind: Kind::Reads, weight: 1 }
    }

    const fn reads(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> HandlerResult) -> Self {
        Self { name, handler: Handler::SignedIn(handler), kind: Kind::Reads, weight: 1 }
    }

    const fn changes(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> HandlerResult) -> Self {
        Self { name, handler: Handler::SignedIn(handler), kind: Kind::Changes, weight: 1 }
    }

    const fn broadcasts(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> HandlerResult) -> Self {
        Self { name, handler: Handler::SignedIn(handler), kind: Kind::Broadcasts, weight: 1 }
    }

    const fn sends(name: &'static str, handler: fn(&mut Call<'_>, &RawValue) -> HandlerResult) -> Self {
        Self { name, handler: Handler::SignedIn(handler), kind: Kind::Sends, weight: 1 }
    }

    const fn counts_as(self, weight: u32) -> Self {
        Self { weight, ..self }
    }
}

impl State {
    /// Handles an event. The reply comes ahead of all effects of the event.
    pub(super) fn event(&mut self, connection: ConnectionId, event: &Incoming) -> Result<(), StoreError> {
        let before = self.effects.len();
        let reply = match self.route(connection, event) {
            Ok(Reply::Now(result)) => event.id.as_ref().map(|id| wire::ack(&result, id)),
            Ok(Reply::Later) => None,
            Err(Failure::Refused(error)) => {
                log::debug!("{connection}: {} is refused: {}", event.event.escape_debug(), error.code);
                Some(wire::error(&error, event.id.as_ref()))
            }
            Err(Failure::Store(error)) => return Err(error),
        };
        if let Some(reply) = reply {
            self.effects.insert(before, Effect::Send(connection, reply));
        }
        Ok(())
    }

    fn route(&mut self, connection: ConnectionId, incoming: &Incoming) -> HandlerResult {
        let Some(event) = EVENTS.iter().find(|event| event.name == incoming.event) else {
            let shown: String = incoming.event.chars().take(32).collect();
            return refuse("unknown_event", format!("{shown:?} is not an event."));
        };
        match event.handler {
            Handler::Anyone(handler) => handler(self, connection, &incoming.data),
            Handler::SignedIn(handler) => {
                let Some((user, session)) = self.presence.identity_of(connection) else {
                    return refuse("no_session", "You are not signed in.");
                };
                self.rate_limit(Action::Event(event.weight), user).or_else(too_fast)?;
                if event.kind != Kind::Reads {
                    self.presence.mark_used(session, self.now.wall);
                }
                if event.kind == Kind::Broadcasts {
                    self.rate_limit(Action::Message, user).or_else(too_fast)?;
                }
                handler(&mut Call { state: self, connection, user, session, id: incoming.id.as_ref() }, &incoming.data)
            }
        }
    }
}

fn beat(state: &mut State, connection: ConnectionId, _: &RawValue) -> HandlerResult {
    state.send(connection, r#"["beat"]"#.to_owned());
    done()
}
