//! The search for public rooms by a part of their names.
//!
//! The table `room_parts` contains each pair of adjacent characters in the folded name of each public room. A search
//! looks at the rooms with the rarest pair of the searched text, in the order of their names. It looks at a bounded
//! number of them, whatever their names are, and says where the next search goes on.

use super::{
    super::{fold::fold, name::RoomName},
    RoomId, Store, StoreError,
};

/// Some public rooms, in the order of their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundRooms {
    pub(crate) rooms: Vec<RoomId>,
    /// The last room that was looked at, if there may be more rooms after it.
    pub(crate) last: Option<RoomId>,
}

/// A place in the order of public rooms' names: by the folded names, and among names that read the same, by the age of
/// the rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomPlace {
    pub(crate) folded: String,
    pub(crate) id: RoomId,
}

impl Store {
    /// Returns public rooms whose folded name contains `search`, or begins with it if it is a single character, from
    /// the first or after a place in the order of names.
    pub(crate) fn public_rooms(
        &self,
        search: &str,
        after: Option<&RoomPlace>,
        max: usize,
    ) -> Result<FoundRooms, StoreError> {
        let (from, id) = after.map_or(("", RoomId(0)), |after| (&*after.folded, after.id));
        if search.chars().nth(1).is_none() {
            return self.rooms_from(search, (from, id), max);
        }
        let mut rarest = (usize::MAX, "");
        for pair in pairs(search).take(MAX_COUNTED_PAIRS) {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM room_parts
                WHERE part = ?1 AND (folded, room) > (?2, ?3) LIMIT ?4)";
            let count = self.first(sql, (pair, from, id, MAX_COUNTED_ROOMS), |row| row.get(0))?.unwrap_or(0);
            rarest = rarest.min((count, pair));
        }
        let sql = "SELECT room, folded FROM room_parts WHERE part = ?1 AND (folded, room) > (?2, ?3)
            ORDER BY folded, room LIMIT ?4";
        let mut statement = self.prepared(sql)?;
        let mut rows = statement.query((rarest.1, from, id, MAX_EXAMINED + 1))?;
        let (mut found, mut last, mut examined) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            if found.len() == max || examined == MAX_EXAMINED {
                return Ok(FoundRooms { rooms: found, last });
            }
            examined += 1;
            last = Some(row.get(0)?);
            if row.get_ref(1)?.as_str()?.contains(search) {
                found.extend(last);
            }
        }
        Ok(FoundRooms { rooms: found, last: None })
    }

    fn rooms_from(&self, prefix: &str, after: (&str, RoomId), max: usize) -> Result<FoundRooms, StoreError> {
        let (from, id) = if after.0 >= prefix { after } else { (prefix, RoomId(0)) };
        let mut rooms = Vec::new();
        if from.starts_with(prefix) {
            // In two statements: SQLite would read all rooms whose names read the same to find one of them.
            let sql = "SELECT id FROM rooms WHERE kind = 0 AND folded = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
            rooms = self.all(sql, (from, id, max + 1), |row| row.get(0))?;
        }
        let sql = "SELECT id FROM rooms WHERE kind = 0 AND folded > ?1 AND folded < ?2 || char(0x10FFFF)
            ORDER BY folded, id LIMIT ?3";
        rooms.extend(self.all(sql, (from, prefix, max + 1 - rooms.len()), |row| row.get::<_, RoomId>(0))?);
        let has_more = rooms.len() > max;
        rooms.truncate(max);
        let last = rooms.last().copied().filter(|_| has_more);
        Ok(FoundRooms { rooms, last })
    }

    /// Returns the place of a name in the order of names. If no public room has the name any longer, that is the place
    /// before all rooms whose names read the same.
    pub(crate) fn place_of_room(&self, name: &RoomName) -> Result<RoomPlace, StoreError> {
        let id = self.room_named(name)?.unwrap_or(RoomId(0));
        Ok(RoomPlace { folded: fold(name.as_str()), id })
    }

    /// Makes a public room with this folded name findable.
    pub(super) fn add_room_parts(&self, room: RoomId, folded: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO room_parts (part, folded, room) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        pairs(folded).try_for_each(|pair| self.change(sql, (pair, folded, room)).map(drop))
    }

    pub(super) fn remove_room_parts(&self, room: RoomId, folded: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM room_parts WHERE part = ?1 AND folded = ?2 AND room = ?3";
        pairs(folded).try_for_each(|pair| self.change(sql, (pair, folded, room)).map(drop))
    }
}

/// Returns the pairs of adjacent characters in a text.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = &str> {
    let second = text.char_indices().skip(1);
    text.char_indices().zip(second).map(|((start, _), (middle, c))| &text[start..middle + c.len_utf8()])
}

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
        let key = RoomKind::key_of_name(RoomName::new(name).unwrap().key());
        store.add_room(RoomKind::Public, name, &key, "", "e").unwrap().expect("a new name")
    }

    fn place(store: &Store, room: RoomId) -> RoomPlace {
        store.place_of_room(&RoomName::new(&store.room(room).unwrap().unwrap().name).unwrap()).unwrap()
    }

    /// Returns the rooms that a search finds on all its pages, and the number of pages.
    fn search(store: &Store, text: &str, max: usize) -> (Vec<RoomId>, usize) {
        let (mut rooms, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            pages += 1;
            let page = store.public_rooms(text, after.as_ref(), max).unwrap();
            assert!(page.rooms.len() <= max);
            rooms.extend(page.rooms);
            match page.last {
                Some(last) => after = Some(place(store, last)),
                None => return (rooms, pages),
            }
        }
    }

    #[test]
    fn a_room_is_found_by_each_part_of_its_name_and_only_as_long_as_it_exists() {
        let store = Store::open(&Data::Memory).unwrap();
        let names = ["rust", "Trust us", "小明的房间", "a", "aa", "aaa", "🦀🦀", "RÜST", "Music"];
        let rooms = names.map(|name| add(&store, name));
        let all = || names.into_iter().zip(rooms).chain([("Lobby", LOBBY)]);
        for text in [
            "ru", "ust", "rust", "t u", "us", "小明", "的", "房间", "a", "aa", "aaa", "aaaa", "🦀", "🦀🦀", "r", "xy",
            "lob", "rn", "i", "m",
        ] {
            let is_match =
                |name: &str| if text.chars().count() < 2 { name.starts_with(text) } else { name.contains(text) };
            let folded = all().map(|(name, room)| (fold(name), room));
            let mut expected: Vec<_> = folded.filter(|(name, _)| is_match(name)).collect();
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
        let first = store.public_rooms("aaab", None, 100).unwrap();
        assert_eq!((first.rooms.len(), first.last.is_some()), (0, true));
        assert_eq!(search(&store, "aaab", 100), (vec![wanted], 3));
        assert_eq!(search(&store, "aaa aab", 100).0.len(), 2500);
        assert_eq!(search(&store, "zaaa", 100), (vec![wanted], 1), "a rare pair leads to it at once");
    }
}
