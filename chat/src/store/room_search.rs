//! The search for public rooms by a part of their names.
//!
//! The table `room_parts` contains each pair of adjacent characters in the key of each public room's name. A search
//! looks at the rooms with the rarest pair of the searched text, in the order of their keys. It looks at a bounded
//! number of them, whatever their names are, and says where the next search goes on.

use super::{RoomId, Store, StoreError};

/// Some public rooms, in the order of their keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundRooms {
    pub(crate) rooms: Vec<RoomId>,
    /// The last room that was looked at, if there may be more rooms after it.
    pub(crate) last: Option<RoomId>,
}

impl Store {
    /// Returns public rooms with keys after `after` whose name's key contains `search`, or begins with it if it is a
    /// single character.
    pub(crate) fn public_rooms(&self, search: &str, after: &str, max: usize) -> Result<FoundRooms, StoreError> {
        if search.chars().nth(1).is_none() {
            return self.rooms_from(search, after, max);
        }
        let mut rarest = (usize::MAX, "");
        for pair in pairs(search).take(MAX_COUNTED_PAIRS) {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM room_parts WHERE part = ?1 AND key > ?2 LIMIT ?3)";
            let count = self.first(sql, (pair, after, MAX_COUNTED_ROOMS), |row| row.get(0))?.unwrap_or(0);
            rarest = rarest.min((count, pair));
        }
        let sql = "SELECT room, key FROM room_parts WHERE part = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query((rarest.1, after, MAX_EXAMINED + 1))?;
        let (mut found, mut last, mut examined) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            if found.len() == max || examined == MAX_EXAMINED {
                return Ok(FoundRooms { rooms: found, last });
            }
            examined += 1;
            last = Some(row.get(0)?);
            if row.get_ref(1)?.as_str()?.strip_prefix(PREFIX).is_some_and(|name| name.contains(search)) {
                found.extend(last);
            }
        }
        Ok(FoundRooms { rooms: found, last: None })
    }

    fn rooms_from(&self, prefix: &str, after: &str, max: usize) -> Result<FoundRooms, StoreError> {
        let sql = "SELECT id FROM rooms WHERE kind = 0 AND key >= max(?1, ?2) AND key <> ?2
            AND key < ?1 || char(0x10FFFF) ORDER BY key LIMIT ?3";
        let mut rooms = self.all(sql, (format!("{PREFIX}{prefix}"), after, max + 1), |row| row.get(0))?;
        let has_more = rooms.len() > max;
        rooms.truncate(max);
        let last = rooms.last().copied().filter(|_| has_more);
        Ok(FoundRooms { rooms, last })
    }

    /// Makes a public room with this key findable.
    pub(super) fn add_room_parts(&self, room: RoomId, key: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO room_parts (part, key, room) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        pairs_of_key(key).try_for_each(|pair| self.change(sql, (pair, key, room)).map(drop))
    }

    pub(super) fn remove_room_parts(&self, key: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM room_parts WHERE part = ?1 AND key = ?2";
        pairs_of_key(key).try_for_each(|pair| self.change(sql, (pair, key)).map(drop))
    }
}

/// Returns the pairs of adjacent characters in the name in a public room's key, as often as they appear.
pub(super) fn pairs_of_key(key: &str) -> impl Iterator<Item = &str> {
    pairs(key.strip_prefix(PREFIX).unwrap_or_default())
}

/// Returns the pairs of adjacent characters in a text.
fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let second = text.char_indices().skip(1);
    text.char_indices().zip(second).map(|((start, _), (middle, c))| &text[start..middle + c.len_utf8()])
}

/// What the key of a public room begins with.
pub(super) const PREFIX: &str = "name ";
/// Maximum pairs of a searched text whose rooms are counted, and maximum rooms that are counted for each.
const MAX_COUNTED_PAIRS: usize = 16;
const MAX_COUNTED_ROOMS: usize = 100;
/// Maximum rooms that one search looks at.
const MAX_EXAMINED: usize = 1000;

#[cfg(test)]
mod tests {
    use super::{
        super::{Data, LOBBY, RoomKind},
        *,
    };

    fn add(store: &Store, name: &str) -> RoomId {
        store.add_room(RoomKind::Public, name, &RoomKind::key_of_name(name), "", "e").unwrap().expect("a new name")
    }

    /// Returns the rooms that a search finds on all its pages, and the number of pages.
    fn search(store: &Store, text: &str, max: usize) -> (Vec<RoomId>, usize) {
        let (mut rooms, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            pages += 1;
            let page = store.public_rooms(text, &after, max).unwrap();
            assert!(page.rooms.len() <= max);
            rooms.extend(page.rooms);
            match page.last {
                Some(last) => after = store.room(last).unwrap().unwrap().key,
                None => return (rooms, pages),
            }
        }
    }

    #[test]
    fn a_room_is_found_by_each_part_of_its_name_and_only_as_long_as_it_exists() {
        let store = Store::open(&Data::Memory).unwrap();
        let names = ["rust", "trust us", "小明的房间", "a", "aa", "aaa", "🦀🦀", "rüst"];
        let rooms = names.map(|name| add(&store, name));
        let all = || names.into_iter().zip(rooms).chain([("lobby", LOBBY)]);
        for text in [
            "ru", "ust", "rust", "t u", "us", "小明", "的", "房间", "a", "aa", "aaa", "aaaa", "🦀", "🦀🦀", "r", "xy",
            "lob",
        ] {
            let is_match =
                |name: &str| if text.chars().count() < 2 { name.starts_with(text) } else { name.contains(text) };
            let mut expected: Vec<_> = all().filter(|(name, _)| is_match(name)).collect();
            expected.sort();
            for max in [1, 2, 100] {
                let (found, _) = search(&store, text, max);
                assert_eq!(found, expected.iter().map(|(_, room)| *room).collect::<Vec<_>>(), "{text}, {max} a page");
            }
        }
        assert_eq!(search(&store, "", 2).0.len(), names.len() + 1);
        for room in rooms {
            store.remove_room(room).unwrap();
        }
        assert_eq!(store.number("SELECT count(DISTINCT room) FROM room_parts").unwrap(), 1, "the Lobby");
    }

    #[test]
    fn a_search_looks_at_a_bounded_number_of_rooms_and_goes_on_from_there() {
        let store = Store::open(&Data::Memory).unwrap();
        store.begin().unwrap();
        for number in 0..2500 {
            add(&store, &format!("aaa aab {number}"));
        }
        let wanted = add(&store, "zaaab");
        store.commit().unwrap();
        let first = store.public_rooms("aaab", "", 100).unwrap();
        assert_eq!((first.rooms.len(), first.last.is_some()), (0, true));
        assert_eq!(search(&store, "aaab", 100), (vec![wanted], 3));
        assert_eq!(search(&store, "aaa aab", 100).0.len(), 2500);
        assert_eq!(search(&store, "zaaa", 100), (vec![wanted], 1), "a rare pair leads to it at once");
    }
}
