//! The table of events, and how each event is decoded and dispatched to its handler.

use switchboard::ConnectionId;

use super::{
    super::{
        interface::{Audience, Closing, Content, Effect, Push},
        store::StoreError,
        wire::{EventError, EventId, Incoming},
    },
    call::{Call, Failure, HandlerResult, Reply, done, too_fast},
    data::{FromData, NoData},
    direct_rooms, messages, moderation, notices,
    queue::AnyEvent,
    rooms, sign_in,
    state::{Action, State},
    user_lists, users,
};

/// A row of the table of events.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    kind: Kind,
    /// How many events this one counts as: one for each 50 µs of the core's thread that it may take. Each
    /// [`ANSWER_BYTES`](super::state::ANSWER_BYTES) of the answer count as one more.
    pub(super) weight: u32,
    /// What the cost grows with.
    #[cfg_attr(not(test), expect(dead_code, reason = "a declaration that tests hold the handlers to"))]
    pub(super) grows: &'static [Growth],
    decode: fn(&serde_json::value::RawValue) -> Result<Event, EventError>,
}

/// The kind of an event. It decides which rate limits the event is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// For any connection, signed in or not. Not charged to a user.
    Anyone,
    /// Only reads, and does not keep a session from ending as idle.
    Reads,
    /// Makes a change that other users do not see.
    Changes,
    /// Writes to a log, or is published to many. Counts as a message.
    Broadcasts,
    /// Sends a message. The handler charges it, since a repeat is free.
    Sends,
}

/// What there may be much of in a chat. The cost of an event must not grow with it, unless its row says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "not everything grows with something"))]
pub(super) enum Growth {
    /// Users online.
    Online,
    /// Public rooms.
    Rooms,
    /// Members of the room that the event is about.
    Members,
    /// Messages in that room.
    Messages,
    /// The user's sessions.
    Sessions,
    /// Users whom the user blocks, or who block the user.
    Blocks,
    /// The user's direct rooms.
    Conversations,
}

/// Declares [`Event`], [`EVENTS`], and the dispatch to handlers, from one table.
macro_rules! events {
    (
        anyone { $($any_name:literal: $any:ident($any_data:ty) => $any_handler:path, weight $any_weight:literal;)+ }
        signed_in {
            $(
                $name:literal: $event:ident($data:ty) => $handler:path, $kind:ident, weight $weight:literal
                    $(, grows with $($growth:ident),+)?;
            )+
        }
    ) => {
        /// The decoded data of an event.
        enum Event { $($any($any_data),)+ $($event($data),)+ }

        /// Every event that a client may send.
        pub(super) static EVENTS: &[Row] = &[
            $(Row {
                name: $any_name,
                kind: Kind::Anyone,
                weight: $any_weight,
                grows: &[],
                decode: |data| <$any_data>::from_data(data).map(Event::$any),
            },)+
            $(Row {
                name: $name,
                kind: Kind::$kind,
                weight: $weight,
                grows: &[$($(Growth::$growth),+)?],
                decode: |data| <$data>::from_data(data).map(Event::$event),
            },)+
        ];

        impl Decoded {
            fn handle(&self, state: &mut State, connection: ConnectionId) -> HandlerResult {
                match &self.event {
                    $(Event::$any(data) => $any_handler(state, connection, data),)+
                    $(Event::$event(data) => $handler(&mut self.call(state, connection)?, data),)+
                }
            }
        }
    };
}

events! {
    anyone {
        "auth": Auth(sign_in::Auth) => sign_in::auth, weight 1;
        "beat": Beat(NoData) => beat, weight 1;
    }
    signed_in {
        // Rooms.
        "rooms": Rooms(Option<rooms::List>) => rooms::list, Reads, weight 10;
        "create": Create(rooms::Create) => rooms::create, Broadcasts, weight 6;
        "join": Join(rooms::Join) => rooms::join, Reads, weight 3;
        "look": Look(rooms::RoomRef) => rooms::look, Reads, weight 2;
        "leave": Leave(rooms::Leave) => rooms::leave, Broadcasts, weight 2;
        "members": Members(rooms::ListMembers) => rooms::members, Reads, weight 5;
        "topic": Topic(moderation::SetTopic) => moderation::topic, Broadcasts, weight 1;
        "invite": Invite(moderation::RoomAndName) => moderation::invite, Broadcasts, weight 2;
        "kick": Kick(moderation::RoomAndName) => moderation::kick, Broadcasts, weight 1;
        "ban": Ban(moderation::RoomAndName) => moderation::ban, Broadcasts, weight 2;
        "unban": Unban(moderation::RoomAndName) => moderation::unban, Broadcasts, weight 1;
        "bans": Bans(rooms::ListMembers) => moderation::bans, Reads, weight 5;
        "role": Role(moderation::SetRole) => moderation::role, Broadcasts, weight 1;
        "delete": Delete(moderation::Delete) => moderation::delete, Broadcasts, weight 2;
        "remove": Remove(rooms::RoomRef) => moderation::remove, Broadcasts, weight 8;
        // Messages.
        "say": Say(messages::Say) => messages::say, Sends, weight 1;
        "tell": Tell(messages::Tell) => messages::tell, Sends, weight 1;
        "direct": Direct(direct_rooms::Direct) => direct_rooms::direct, Broadcasts, weight 4;
        "conversations": Conversations(Option<direct_rooms::List>) => direct_rooms::conversations, Reads, weight 10;
        "history": History(messages::ReadHistory) => messages::history, Reads, weight 1;
        "read": Read(messages::Read) => messages::read, Reads, weight 1;
        "typing": Typing(rooms::RoomRef) => messages::typing, Broadcasts, weight 1;
        // Users.
        "people": People(Option<user_lists::List>) => user_lists::list, Reads, weight 5;
        "person": Person(user_lists::OneUser) => user_lists::one, Reads, weight 1;
        "block": Block(users::Named) => users::block, Changes, weight 1;
        "unblock": Unblock(users::Named) => users::unblock, Changes, weight 1;
        "blocks": Blocks(Option<users::ListBlocked>) => users::blocks, Reads, weight 5;
        "sessions": Sessions(NoData) => users::sessions, Reads, weight 1, grows with Sessions;
        "revoke": Revoke(Option<users::Revoke>) => users::revoke, Changes, weight 8, grows with Sessions;
        "password": Password(users::ChangePassword) => users::password, Changes, weight 1;
        "delete_account": DeleteAccount(Option<users::DeleteAccount>) => users::delete_account, Changes, weight 8;
        // Notices.
        "notice": Notice(notices::Notice) => notices::notice, Broadcasts, weight 1;
        "dismiss": Dismiss(notices::Dismiss) => notices::dismiss, Reads, weight 1;
    }
}

/// A decoded event with its row.
pub(super) struct Decoded {
    row: &'static Row,
    event: Event,
    id: Option<EventId>,
}

/// Decodes an event with its data.
///
/// # Errors
/// The error reply, with the event's id.
pub(super) fn decode(incoming: Incoming) -> Result<Decoded, (EventError, Option<EventId>)> {
    let Incoming { event: name, data, id } = incoming;
    let Some(row) = EVENTS.iter().find(|row| row.name == name) else {
        let shown: String = name.chars().take(32).collect();
        return Err((EventError::new("unknown_event", format!("{shown:?} is not an event.")), id));
    };
    match (row.decode)(&data) {
        Ok(event) => Ok(Decoded { row, event, id }),
        Err(error) => Err((error, id)),
    }
}

impl AnyEvent<State> for Decoded {
    fn name(&self) -> &'static str {
        self.row.name
    }

    fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// Handles the event. The reply comes ahead of all effects of the event.
    fn run(&self, state: &mut State, connection: ConnectionId) -> Result<(), StoreError> {
        let before = state.effects.len();
        let reply = match self.handle(state, connection) {
            Ok(Reply::Now(answer)) => Ok(answer),
            Ok(Reply::Later) => return Ok(()),
            Err(Failure::Refused(error)) => {
                log::debug!("{connection}: {} is refused: {}", self.row.name, error.code);
                Err(error)
            }
            Err(Failure::Store(error)) => return Err(error),
        };
        let reply = Content::Reply(self.id.clone(), reply);
        state.effects.insert(before, Effect::Tell(Audience::One(connection), reply));
        Ok(())
    }
}

impl Decoded {
    /// Returns the call with which a handler for users that are signed in is called, after it was charged to the user's
    /// rate limits.
    fn call<'a>(&'a self, state: &'a mut State, connection: ConnectionId) -> Result<Call<'a>, Failure> {
        let Some((user, session)) = state.presence.identity_of(connection) else {
            return Err(Failure::Refused(EventError::no_session()));
        };
        let Row { kind, weight, .. } = *self.row;
        if let Err(wait) = state.rate_limit(Action::Event(weight), user) {
            if state.rate_limit(Action::Refusal, user).is_err() {
                state.effects.push(Effect::Close(connection, Closing::TooManyRefusals));
            }
            return too_fast(wait);
        }
        if kind != Kind::Reads {
            state.presence.mark_used(session, state.clock.now());
        }
        if kind == Kind::Broadcasts {
            state.rate_limit(Action::Message, user).or_else(too_fast)?;
        }
        Ok(Call { state, connection, user, session, id: self.id.as_ref() })
    }
}

fn beat(state: &mut State, connection: ConnectionId, _: &NoData) -> HandlerResult {
    state.send(connection, Push::Beat);
    done()
}
