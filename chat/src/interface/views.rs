//! Rooms, messages, and users as clients see them: parts of answers and pushes.

use serde::Serialize;

use super::super::store::{EntryHash, Millis, Role, RoomId, RoomKind, SessionId};

/// A room as one user sees it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoomView {
    pub(crate) room: RoomId,
    pub(crate) kind: RoomKind,
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) role: Option<Role>,
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    pub(crate) hash: EntryHash,
    pub(crate) time: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<Millis>,
    pub(crate) read: u64,
    pub(crate) unread: u64,
    pub(crate) members: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
    /// The user who has invited this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
}

/// An entry of a log as clients see it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MessageView {
    pub(crate) room: RoomId,
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    pub(crate) hash: EntryHash,
    pub(crate) time: Millis,
    pub(crate) from: String,
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

/// A member of a room.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MemberView {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) online: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) guest: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) operator: bool,
}

/// A user as others see them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UserView {
    pub(crate) name: String,
    pub(crate) guest: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) operator: bool,
    pub(crate) online: bool,
}

/// A notice.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NoticeView {
    pub(crate) notice: u64,
    pub(crate) text: String,
    pub(crate) from: String,
    pub(crate) time: Millis,
}

/// A session of the user who asks.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SessionView {
    pub(crate) session: SessionId,
    pub(crate) created: Millis,
    pub(crate) used: Millis,
    pub(crate) current: bool,
    pub(crate) device: DeviceView,
}

/// The client that has begun a session. Names are null if they are not known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DeviceView {
    pub(crate) program: Option<&'static str>,
    pub(crate) system: Option<&'static str>,
}
