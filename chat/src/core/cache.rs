//! Rooms, users, and counts that were read from the store.
//!
//! Everything here is a copy of the store's data. It is dropped whenever a transaction is rolled back.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as Slot},
    sync::Arc,
};

use super::super::store::{Role, RoomId, RoomRow, Stamp, Store, StoreError, UserId};

#[derive(Debug, Default)]
pub(super) struct Cache {
    rooms: HashMap<RoomId, Arc<RoomRow>>,
    heads: HashMap<RoomId, Stamp>,
    members: HashMap<RoomId, u64>,
    users: HashMap<UserId, Arc<Profile>>,
    /// The sequence numbers and authors of a room's latest messages, at most [`UNREAD_WINDOW`], in order. Deleted
    /// messages and other entries are left out: otherwise a user could hide the messages of others by entering and
    /// leaving again and again.
    recent: HashMap<RoomId, VecDeque<(u64, UserId)>>,
    /// The users whom a user blocks, sorted.
    blocked: HashMap<UserId, Box<[UserId]>>,
    /// How many there are in all of `blocked`, and a fixed number for each user.
    blocked_size: usize,
}

/// The part of a user's data that others may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) guest: bool,
    pub(super) operator: bool,
    pub(super) gone: bool,
}

/// Reading through the cache. A value that is not cached is read from the store.
impl Cache {
    pub(super) fn room(&mut self, store: &Store, id: RoomId) -> Result<Option<Arc<RoomRow>>, StoreError> {
        if let Some(room) = self.rooms.get(&id) {
            return Ok(Some(Arc::clone(room)));
        }
        let Some(row) = store.room(id)? else { return Ok(None) };
        make_room_in(&mut self.rooms, MAX_CACHED);
        Ok(Some(Arc::clone(self.rooms.entry(id).or_insert(Arc::new(row)))))
    }

    /// Returns the stamp of a room's latest entry.
    pub(super) fn head(&mut self, store: &Store, room: RoomId) -> Result<Stamp, StoreError> {
        if let Some(head) = self.heads.get(&room) {
            return Ok(*head);
        }
        let head = store.head(room)?.unwrap_or_default();
        make_room_in(&mut self.heads, MAX_CACHED);
        self.heads.insert(room, head);
        Ok(head)
    }

    /// Returns how many messages others have sent after the one numbered `read`, without those by users whom the user
    /// blocks. A user in many rooms asks for many of these counts at once, so only the first count of a room, and of a
    /// user, reads the store.
    pub(super) fn count_unread(
        &mut self,
        store: &Store,
        room: RoomId,
        read: u64,
        user: UserId,
    ) -> Result<u64, StoreError> {
        let head = self.head(store, room)?;
        if !self.recent.contains_key(&room) {
            make_room_in(&mut self.recent, MAX_CACHED_LOGS);
        }
        let recent = match self.recent.entry(room) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(slot) => {
                let oldest = head.seq.saturating_sub(SEARCHED_FOR_UNREAD);
                slot.insert(store.last_said(room, oldest, UNREAD_WINDOW)?.into())
            }
        };
        if recent.back().is_none_or(|(seq, _)| *seq <= read) {
            return Ok(0);
        }
        if !self.blocked.contains_key(&user) {
            let blocked = store.all_blocked_by(user)?;
            self.blocked_size += blocked.len() + BLOCKED_SIZE;
            if self.blocked_size > MAX_BLOCKED_SIZE {
                self.blocked.clear();
                self.blocked_size = blocked.len() + BLOCKED_SIZE;
            }
            self.blocked.insert(user, blocked.into());
        }
        let blocked = self.blocked.get(&user).map_or(&[][..], |blocked| blocked);
        let unread = recent.iter().rev().take_while(|(seq, _)| *seq > read);
        let unread = unread.filter(|(_, author)| *author != user && blocked.binary_search(author).is_err());
        Ok(unread.take(MAX_UNREAD).map(|_| 1).sum())
    }

    pub(super) fn count_members(&mut self, store: &Store, room: RoomId) -> Result<u64, StoreError> {
        if let Some(count) = self.members.get(&room) {
            return Ok(*count);
        }
        let count = store.count_members(room)?;
        make_room_in(&mut self.members, MAX_CACHED);
        self.members.insert(room, count);
        Ok(count)
    }

    pub(super) fn profile(&mut self, store: &Store, id: UserId) -> Result<Arc<Profile>, StoreError> {
        if let Some(profile) = self.users.get(&id) {
            return Ok(Arc::clone(profile));
        }
        let profile = match store.user(id)? {
            Some(row) => {
                Profile { guest: row.is_guest(), operator: row.operator, gone: row.key.is_none(), name: row.name }
            }
            // Cannot happen: the store keeps the rows of deleted users.
            None => Profile { name: String::new(), guest: false, operator: false, gone: true },
        };
        make_room_in(&mut self.users, MAX_CACHED);
        Ok(Arc::clone(self.users.entry(id).or_insert(Arc::new(profile))))
    }
}

/// Following the changes of the store.
impl Cache {
    pub(super) fn evict_user(&mut self, user: UserId) {
        self.users.remove(&user);
        self.evict_blocked(user);
    }

    /// Follows a change of the users whom a user blocks.
    pub(super) fn evict_blocked(&mut self, user: UserId) {
        if let Some(blocked) = self.blocked.remove(&user) {
            self.blocked_size -= blocked.len() + BLOCKED_SIZE;
        }
    }

    pub(super) fn evict_topic(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    pub(super) fn evict_room(&mut self, room: RoomId) {
        self.rooms.remove(&room);
        self.heads.remove(&room);
        self.members.remove(&room);
        self.recent.remove(&room);
    }

    /// Adjusts the count of a room's members after a user's role has changed. Counting them again would be slow in a
    /// large room.
    pub(super) fn role_changed(&mut self, room: RoomId, before: Option<Role>, now: Option<Role>) {
        if let Some(count) = self.members.get_mut(&room) {
            let is_member = |role: Option<Role>| u64::from(role >= Some(Role::Member));
            // The count may lack an account that an operator's command has added since the last sweep.
            *count = (*count + is_member(now)).saturating_sub(is_member(before));
        }
    }

    /// Follows a new entry in a room's log. `author` is the sender if the entry is a message.
    pub(super) fn appended(&mut self, room: RoomId, stamp: Stamp, author: Option<UserId>) {
        self.heads.insert(room, stamp);
        if let Some(recent) = self.recent.get_mut(&room) {
            recent.extend(author.map(|author| (stamp.seq, author)));
            if recent.len() > UNREAD_WINDOW {
                recent.pop_front();
            }
        }
        self.trimmed(room, (stamp.seq + 1).saturating_sub(SEARCHED_FOR_UNREAD));
    }

    /// Forgets the messages before `oldest` in a room's log: they no longer count as unread.
    pub(super) fn trimmed(&mut self, room: RoomId, oldest: u64) {
        if let Some(recent) = self.recent.get_mut(&room) {
            while recent.pop_front_if(|(seq, _)| *seq < oldest).is_some() {}
        }
    }

    /// Follows the deletion of a message.
    pub(super) fn erased(&mut self, room: RoomId) {
        self.recent.remove(&room);
    }
}

/// Makes room for one more entry: clears a map that holds `max`. Later reads fill it from the store again.
fn make_room_in<K, V>(map: &mut HashMap<K, V>, max: usize) {
    if map.len() >= max {
        map.clear();
    }
}

/// Maximum count of unread messages.
const MAX_UNREAD: usize = 100;
/// Number of a log's latest messages among which unread ones are counted.
const UNREAD_WINDOW: usize = 200;
/// Number of a log's latest entries among which these messages are searched.
const SEARCHED_FOR_UNREAD: u64 = 2000;
/// Maximum entries of each map.
const MAX_CACHED: usize = 100_000;
/// What a user adds to the size of the cached blocks, apart from the blocks: about the bytes of the map's row, in ids.
const BLOCKED_SIZE: usize = 4;
/// Maximum size of the cached blocks, in ids of 8 bytes.
const MAX_BLOCKED_SIZE: usize = 1_000_000;
/// Maximum rooms whose latest messages are cached, at most 4 KiB for each.
const MAX_CACHED_LOGS: usize = 10_000;
