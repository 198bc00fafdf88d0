//! The table of events, and how each event is decoded and dispatched to its handler.

use serde::{Deserialize as _, Deserializer};

use super::{
    super::{
        interface::{Audience, BeginProof, ClientId, Closing, Content, Effect, Prover, Push},
        store::{SessionId, StoreError, UserId},
        wire::{EventError, EventId},
    },
    call::{Call, Failure, HandlerResult, done, too_fast},
    data::NoData,
    direct_rooms, messages, moderation, notices, rooms, sign_in,
    state::{Action, State},
    user_lists,
    users::{self, DeleteAccount, RemoveAccount},
};

/// A row of the table of events.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    /// How many events this one counts as: one for each 50 µs of the core's thread that it may take. Each
    /// [`ANSWER_BYTES`](super::state::ANSWER_BYTES) of the answer count as one more.
    pub(super) weight: u32,
    /// What the cost grows with.
    #[cfg_attr(not(test), expect(dead_code, reason = "a declaration that tests hold the handlers to"))]
    pub(super) grows: &'static [Growth],
}

/// The kind of an event. It decides which rate limits the event is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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

/// Declares [`EVENTS`], how each event is decoded, and its handler, from one table.
macro_rules! events {
    (
        anyone { $($any_name:literal: $any:ident($any_data:ty) => $any_handler:path, weight $any_weight:literal;)+ }
        signed_in {
            $(
                $name:literal: $event:ident($data:ty) => $handler:path, $kind:ident, weight $weight:literal
                    $(, grows with $($growth:ident),+)?;
            )+
        }
        // Where a client is connected, the password is verified. The core gets the event without it.
        proved {
            $(
                $proved_name:literal: $proof:ty, then $proved:ident($proved_data:ty) => $proved_handler:path,
                    weight $proved_weight:literal;
            )+
        }
    ) => {
        /// The decoded data of an event.
        enum Data { $($any($any_data),)+ $($event($data),)+ $($proved($proved_data),)+ Refused(EventError) }

        /// An event with passwords, as a client sends it.
        pub(crate) enum Proof { $($proved($proof),)+ }

        /// Every event that a client may send.
        pub(crate) static EVENTS: &[Row] = &[
            $(Row { name: $any_name, kind: Kind::Anyone, weight: $any_weight, grows: &[] },)+
            $(Row { name: $name, kind: Kind::$kind, weight: $weight, grows: &[$($(Growth::$growth),+)?] },)+
            $(Row { name: $proved_name, kind: Kind::Changes, weight: $proved_weight, grows: &[] },)+
        ];

        /// Decodes the data of an event from any format.
        ///
        /// # Errors
        /// The format's.
        fn decode_data<'de, D: Deserializer<'de>>(name: &str, data: D) -> Option<Result<Decoded<Data>, D::Error>> {
            Some(match name {
                $($any_name => <$any_data>::deserialize(data).map(|data| Decoded::Event(Data::$any(data))),)+
                $($name => <$data>::deserialize(data).map(|data| Decoded::Event(Data::$event(data))),)+
                $($proved_name => <$proof>::deserialize(data).map(|data| Decoded::Proof(Proof::$proved(data))),)+
                _ => return None,
            })
        }

        impl Event {
            fn handle(&self, state: &mut State, connection: ClientId) -> HandlerResult {
                match &self.data {
                    $(Data::$any(data) => $any_handler(state, connection, data),)+
                    $(Data::$event(data) => $handler(&mut self.call(state, connection)?, data),)+
                    $(Data::$proved(data) => $proved_handler(&mut self.call(state, connection)?, data),)+
                    Data::Refused(error) => Err(Failure::Refused(error.clone())),
                }
            }
        }

        impl Proof {
            /// Returns the row of the event.
            pub(crate) fn row(&self) -> &'static Row {
                match self { $(Self::$proved(_) => row_of($proved_name),)+ }
            }
        }

        $(
            impl From<$proved_data> for Event {
                fn from(data: $proved_data) -> Self {
                    Self { row: row_of($proved_name), data: Data::$proved(data), id: None, is_charged: true }
                }
            }
        )+
    };
}

events! {
    anyone {
        "auth": Auth(sign_in::Auth) => sign_in::auth, weight 1;
        "beat": Beat(NoData) => beat, weight 1;
    }
    signed_in {
        // Rooms.
        "rooms": Rooms(Option<rooms::List>) => rooms::list, Reads, weight 12;
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
        // Notices.
        "notice": Notice(notices::Notice) => notices::notice, Broadcasts, weight 1;
        "dismiss": Dismiss(notices::Dismiss) => notices::dismiss, Reads, weight 1;
    }
    proved {
        "password": users::ChangePassword, then SetPassword(users::SetPassword) => users::set_password, weight 1;
        "delete_account": Option<users::DeleteAccount>, then RemoveAccount(users::RemoveAccount)
            => users::remove_account, weight 8;
    }
}

/// A decoded event.
pub(crate) struct Event {
    row: &'static Row,
    data: Data,
    id: Option<EventId>,
    /// Whether the user was charged for the event already, when a proof began.
    is_charged: bool,
}

/// What a client has sent, decoded.
pub(crate) enum Decoded<E = Event> {
    Event(E),
    /// An event with passwords, which are verified before the core gets it.
    Proof(Proof),
}

/// Decodes the data of an event in any format. Returns `None` if there is no such event.
///
/// # Errors
/// The format's.
pub(crate) fn decode<'de, D: Deserializer<'de>>(name: &str, data: D) -> Option<Result<Decoded, D::Error>> {
    let row = EVENTS.iter().find(|row| row.name == name)?;
    let event = |data| Decoded::Event(Event { row, data, id: None, is_charged: false });
    Some(decode_data(name, data)?.map(|decoded| match decoded {
        Decoded::Event(data) => event(data),
        // Guests have none.
        Decoded::Proof(Proof::RemoveAccount(None)) => event(Data::RemoveAccount(RemoveAccount::default())),
        Decoded::Proof(Proof::RemoveAccount(Some(DeleteAccount { password: None, remove }))) => {
            event(Data::RemoveAccount(RemoveAccount { proved: None, remove }))
        }
        Decoded::Proof(proof) => Decoded::Proof(proof),
    }))
}

impl Event {
    /// Returns an event that is refused with this error, in the order of its connection's events.
    pub(crate) fn refused(row: &'static Row, error: EventError) -> Self {
        Self { row, data: Data::Refused(error), id: None, is_charged: true }
    }

    /// Sets the id by which the client waits for a reply.
    pub(crate) fn with_id(self, id: Option<EventId>) -> Self {
        Self { id, ..self }
    }

    pub(super) fn name(&self) -> &'static str {
        self.row.name
    }

    /// Returns the id by which the client waits for a reply.
    pub(crate) fn id(&self) -> Option<&EventId> {
        self.id.as_ref()
    }

    /// Handles the event. The reply comes ahead of all effects of the event. Called again if the transaction was rolled
    /// back.
    pub(super) fn run(&self, state: &mut State, connection: ClientId) -> Result<(), StoreError> {
        let before = state.effects.len();
        let reply = match self.handle(state, connection) {
            Ok(answer) => Ok(answer),
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

    /// Returns the call with which a handler for users that are signed in is called, after it was charged to the user's
    /// rate limits.
    fn call<'a>(&self, state: &'a mut State, connection: ClientId) -> Result<Call<'a>, Failure> {
        let (user, session) =
            if self.is_charged { state.identity_of(connection)? } else { charge(state, connection, self.row)? };
        Ok(Call { state, connection, user, session })
    }
}

impl State {
    /// Begins an event for which the user must prove their password.
    pub(super) fn begin_proof(&mut self, request: &BeginProof) -> Result<Result<Prover, EventError>, StoreError> {
        let begun = charge(self, request.client, row_of(request.event)).and_then(|(user, _)| self.prover(user));
        match begun {
            Ok(prover) => Ok(Ok(prover)),
            Err(Failure::Refused(error)) => Ok(Err(error)),
            Err(Failure::Store(error)) => Err(error),
        }
    }

    fn identity_of(&self, connection: ClientId) -> Result<(UserId, SessionId), Failure> {
        self.presence.identity_of(connection).ok_or_else(|| Failure::Refused(EventError::no_session()))
    }
}

/// Charges an event to its user's rate limits. Returns the user and the session.
fn charge(state: &mut State, connection: ClientId, row: &Row) -> Result<(UserId, SessionId), Failure> {
    let (user, session) = state.identity_of(connection)?;
    if let Err(wait) = state.rate_limit(Action::Event(row.weight), user) {
        if state.rate_limit(Action::Refusal, user).is_err() {
            state.effects.push(Effect::Close(connection, Closing::TooManyRefusals));
        }
        return too_fast(wait);
    }
    if row.kind != Kind::Reads {
        state.presence.mark_used(session, state.clock.now());
    }
    if row.kind == Kind::Broadcasts {
        state.rate_limit(Action::Message, user).or_else(too_fast)?;
    }
    Ok((user, session))
}

/// Returns the row of an event of the table.
fn row_of(name: &str) -> &'static Row {
    EVENTS.iter().find(|row| row.name == name).expect("an event of the table")
}

fn beat(state: &mut State, connection: ClientId, _: &NoData) -> HandlerResult {
    state.send(connection, Push::Beat);
    done()
}
