//! Direct rooms: the private conversations of two users, and their order.

use serde::{Deserialize, Serialize};

use super::{Member, Millis, RoomId, RoomKind, Store, StoreError, UserId};

/// A direct room's place in the order of latest activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The time of the latest message, by the steady clock, at most [`ACTIVITY_STEP`] too early.
    pub(crate) active: Millis,
    pub(crate) room: RoomId,
}

/// The end of a list of direct rooms: the user's other direct rooms have earlier places than these. `None`: there are
/// no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectsEnd {
    /// Among the direct rooms in which the user has written.
    pub(crate) answered: Option<Place>,
    /// Among the others.
    pub(crate) unanswered: Option<Place>,
}

impl DirectsEnd {
    /// Returns the end of the shorter of two lists.
    pub(crate) fn or_earlier(self, other: Self) -> Self {
        Self { answered: self.answered.max(other.answered), unanswered: self.unanswered.max(other.unanswered) }
    }

    /// Returns whether the list is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.answered.is_none() && self.unanswered.is_none()
    }
}

/// A user's membership in a direct room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectMember {
    pub(crate) user: UserId,
    pub(crate) place: Place,
    /// Whether the user has written in the room since they became a member.
    pub(crate) wrote: bool,
}

impl DirectMember {
    /// Returns whether a list of the user's direct rooms that ends at `end` lacks this one.
    pub(crate) fn is_after(&self, end: DirectsEnd) -> bool {
        Some(self.place) < if self.wrote { end.answered } else { end.unanswered }
    }
}

impl Store {
    /// Returns how many direct rooms a user is in who has begun them.
    pub(crate) fn count_begun(&self, user: UserId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM members INDEXED BY begun
            WHERE person = ?1 AND initiator = person AND active IS NOT NULL";
        Ok(self.first(sql, [user], |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns direct rooms of a user with their places, the latest first: those in which the user has written
    /// (`wrote`), or the others. Begins after the place `after`, or with the latest.
    pub(crate) fn directs_of(
        &self,
        user: UserId,
        wrote: bool,
        after: Option<Place>,
        max: usize,
    ) -> Result<Vec<(Member, Place)>, StoreError> {
        let sql = "SELECT room, person, role, read, active FROM members INDEXED BY directs_of
            WHERE person = ?1 AND wrote = ?2 AND active IS NOT NULL AND (active, room) < (?3, ?4)
            ORDER BY active DESC, room DESC LIMIT ?5";
        let (active, room) = after.map_or((MAX_TIME, RoomId::MAX), |place| (place.active.min(MAX_TIME), place.room));
        self.all(sql, (user, wrote, active, room, max), |row| {
            Ok((Member::read(row)?, Place { active: row.get(4)?, room: row.get(0)? }))
        })
    }

    /// Returns the members of a direct room.
    pub(crate) fn direct_members(&self, room: RoomId) -> Result<Vec<DirectMember>, StoreError> {
        let sql = "SELECT person, active, wrote FROM members WHERE room = ?1 AND active IS NOT NULL";
        self.all(sql, [room], |row| {
            Ok(DirectMember { user: row.get(0)?, place: Place { active: row.get(1)?, room }, wrote: row.get(2)? })
        })
    }

    /// Records the time of the latest message in a direct room, and that `author` has written there.
    pub(crate) fn set_active(&self, room: RoomId, author: UserId, now: Millis) -> Result<(), StoreError> {
        let sql = "UPDATE members SET active = ?3, wrote = wrote OR person = ?2 WHERE room = ?1 AND active IS NOT NULL";
        self.change(sql, (room, author, now)).map(drop)
    }

    /// Sets the times of a user's direct rooms that are later than `latest` to `latest`. They are of a clock that was
    /// ahead, and these rooms would stay before all others.
    pub(crate) fn correct_directs_of(&self, user: UserId, latest: Millis) -> Result<(), StoreError> {
        let sql = "UPDATE members SET active = ?2 WHERE person = ?1 AND wrote IN (0, 1) AND active > ?2";
        self.change(sql, (user, latest)).map(drop)
    }

    /// Adds a member to a direct room. `initiator` is the user who begins the conversation.
    pub(crate) fn set_direct_member(
        &self,
        room: RoomId,
        user: UserId,
        initiator: UserId,
        now: Millis,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE members SET initiator = ?3, active = ?4 WHERE room = ?1 AND person = ?2";
        self.change(sql, (room, user, initiator, now)).map(drop)
    }

    /// Returns whether a user has written to another in a direct room that the user has not left since.
    pub(crate) fn has_written_to(&self, user: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT wrote FROM members JOIN rooms ON rooms.id = room WHERE key = ?1 AND person = ?2";
        Ok(self.first(sql, (RoomKind::key_of_pair(user, other), user), |row| row.get(0))?.unwrap_or(false))
    }
}

/// How much later a message has to be than the last recorded activity of its direct room to be recorded, in
/// milliseconds. So most messages cost no write for it.
pub(crate) const ACTIVITY_STEP: Millis = 60_000;
/// The largest number that the database holds.
const MAX_TIME: Millis = u64::MAX >> 1;
