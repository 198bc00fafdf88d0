//! What clients learn without having asked.

use std::sync::Arc;

use serde::Serialize;

use super::{
    super::{
        ChatLimits, password,
        store::{DirectsEnd, Millis, RoomId},
    },
    sign_in::You,
    views::{MessageView, NoticeView, RoomView},
};

/// An event for clients.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Push {
    /// The answer to a `beat`.
    Beat,
    Welcome(Box<Welcome>),
    Expired {
        reason: EndReason,
    },
    Room(RoomView),
    Gone {
        room: RoomId,
        reason: LeaveReason,
    },
    Message(MessageView),
    Read {
        room: RoomId,
        seq: u64,
        unread: u64,
    },
    Typing {
        room: RoomId,
        name: String,
    },
    Blocked {
        name: String,
        blocked: bool,
    },
    Notice(NoticeView),
    Dismissed {
        notice: u64,
    },
    Presence {
        online: Option<Vec<String>>,
        offline: Option<Vec<String>>,
        count: usize,
    },
}

/// The first event that a signed-in connection gets.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Welcome {
    pub(crate) you: You,
    pub(crate) session: SessionEnd,
    pub(crate) time: Millis,
    pub(crate) limits: LimitsView,
    pub(crate) rooms: Vec<RoomView>,
    /// Where to continue the list of direct rooms; `None` if `rooms` has all of them.
    pub(crate) older: Option<DirectsEnd>,
    pub(crate) blocked: Vec<String>,
    /// Whether the user has blocked more users.
    pub(crate) blocked_more: bool,
    pub(crate) notices: Vec<NoticeView>,
    pub(crate) online: Online,
}

/// The limits of the texts and numbers that a client sends, for clients: maxima, in characters unless they say
/// otherwise.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct LimitsView {
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

/// When a session ends: at a time, or unused for some time. In milliseconds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SessionEnd {
    pub(crate) expires: Millis,
    pub(crate) idle: Millis,
}

/// The users who are online. `names` is `None` if there are many.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Online {
    pub(crate) count: usize,
    pub(crate) names: Option<Vec<Arc<str>>>,
}

/// Why a session has ended, or why a connection has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EndReason {
    /// The connection showed no session in time.
    None,
    /// There is no such session.
    Unknown,
    /// The session was not used for too long.
    Idle,
    /// The session has reached its maximum lifetime.
    Lifetime,
    /// The user has logged out.
    Logout,
    /// The user has ended the session from another one, or an operator has ended it.
    Revoked,
    /// The account was deleted.
    Deleted,
}

/// Why a user is no longer in a room.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LeaveReason {
    Left,
    Kicked,
    Banned,
    Removed,
}

/// Declares the name of each event.
macro_rules! names {
    ($($push:pat => $name:literal,)+) => {
        impl Push {
            #[cfg(test)]
            pub(crate) const NAMES: &[&str] = &[$($name),+];

            /// Returns the name of the event.
            pub(crate) fn name(&self) -> &'static str {
                match self { $($push => $name,)+ }
            }
        }
    };
}

names! {
    Self::Beat => "beat",
    Self::Welcome(_) => "welcome",
    Self::Expired { .. } => "expired",
    Self::Room(_) => "room",
    Self::Gone { .. } => "gone",
    Self::Message(_) => "message",
    Self::Read { .. } => "read",
    Self::Typing { .. } => "typing",
    Self::Blocked { .. } => "blocked",
    Self::Notice(_) => "notice",
    Self::Dismissed { .. } => "dismissed",
    Self::Presence { .. } => "presence",
}
