//! The results of events.

use serde::Serialize;

use super::{
    super::store::{DirectsEnd, Role, RoomId, Stamp},
    views::{MemberView, MessageView, RoomView, SessionView, UserView},
};

/// The result of an event, for the client that has sent it.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// Success without a result.
    Done {},
    Rooms {
        rooms: Vec<RoomView>,
        more: bool,
        /// The name after which the next page begins, if there may be one.
        next: Option<String>,
    },
    Entered {
        room: Box<RoomView>,
        messages: Vec<MessageView>,
        gap: bool,
        live: bool,
    },
    Looked {
        room: Box<RoomView>,
        messages: Vec<MessageView>,
    },
    Members {
        members: Vec<MemberView>,
        more: bool,
        /// How many members the room has.
        #[serde(skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
    },
    /// The stamp of a new entry in a room that the client has named.
    Stamped(Stamp),
    /// The room and the stamp of a message that was sent.
    Sent {
        room: RoomId,
        #[serde(flatten)]
        stamp: Stamp,
    },
    Conversations {
        rooms: Vec<RoomView>,
        older: Option<DirectsEnd>,
    },
    History {
        messages: Vec<MessageView>,
        more: bool,
    },
    Unread {
        unread: u64,
    },
    Users {
        people: Vec<UserView>,
        more: bool,
    },
    User {
        #[serde(flatten)]
        user: UserView,
        role: Option<Role>,
    },
    Blocked {
        blocked: Vec<String>,
        more: bool,
    },
    Sessions {
        sessions: Vec<SessionView>,
    },
}
