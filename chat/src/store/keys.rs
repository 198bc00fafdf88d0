//! Which user and which public room a name means, and the keys of names after an update of the rules or of the Unicode
//! tables.
//!
//! Such an update may give the names of two users the same key. Then the older account has it. The other gets a
//! *reserved* key, which is that key with its id: no new name has it, and only the exact name of this account, as it is
//! shown, leads to it. The name of a user who is gone goes to the oldest of those who have it reserved. The same holds
//! for public rooms.

use super::{
    super::{
        fold::fold,
        name::{Name, RoomName, key_of, keys_version},
    },
    RoomId, Store, StoreError, TransactionError,
    rooms::RoomKind,
    users::{RESERVED, UserRow},
};

impl Store {
    /// Returns the user with this name.
    pub(crate) fn user_named(&self, name: &Name) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, name, password, operator, key, folded FROM people WHERE key = ?1";
        let user = self.first(sql, [name.key()], UserRow::read)?;
        if user.as_ref().is_none_or(|user| user.name == name.as_str()) {
            return Ok(user);
        }
        // Another user may be shown under exactly this name.
        let sql = "SELECT id, name, password, operator, key, folded FROM people
            WHERE key > ?1 || char(0x10FFFF) AND key < ?1 || char(0x10FFFF) || ':' AND name = ?2 ORDER BY key LIMIT 1";
        Ok(self.first(sql, (name.key(), name.as_str()), UserRow::read)?.or(user))
    }

    /// Returns the public room with this name.
    pub(crate) fn room_named(&self, name: &RoomName) -> Result<Option<RoomId>, StoreError> {
        let key = RoomKind::key_of_name(name.key());
        let sql = "SELECT id, name FROM rooms WHERE key = ?1";
        let Some((room, shown)) = self.first(sql, [&key], |row| <(RoomId, String)>::try_from(row))? else {
            return Ok(None);
        };
        if shown == name.as_str() {
            return Ok(Some(room));
        }
        let sql = "SELECT id FROM rooms WHERE key > ?1 || char(0x10FFFF) AND key < ?1 || char(0x10FFFF) || ':'
            AND name = ?2 ORDER BY key LIMIT 1";
        Ok(self.first(sql, (&key, name.as_str()), |row| row.get(0))?.or(Some(room)))
    }

    /// Gives the key of a user who is gone to the user with the oldest account that has it reserved.
    pub(super) fn pass_on_user_key(&self, key: &str) -> Result<(), StoreError> {
        let sql = "UPDATE people SET key = ?1 WHERE id = (SELECT id FROM people
            WHERE key > ?1 || char(0x10FFFF) AND key < ?1 || char(0x10FFFF) || ':' ORDER BY key LIMIT 1)";
        self.change(sql, [key]).map(drop)
    }

    /// Gives the key of a removed room to the oldest room that has it reserved.
    pub(super) fn pass_on_room_key(&self, key: &str) -> Result<(), StoreError> {
        let sql = "UPDATE rooms SET key = ?1 WHERE id = (SELECT id FROM rooms
            WHERE key > ?1 || char(0x10FFFF) AND key < ?1 || char(0x10FFFF) || ':' ORDER BY key LIMIT 1)";
        self.change(sql, [key]).map(drop)
    }

    /// Recomputes all keys and folded names if they were computed with another version of the rules or tables.
    pub(super) fn refresh_keys(&self) -> Result<(), TransactionError> {
        let version = keys_version();
        let known = self.meta("keys")?;
        if known.as_ref() == Some(&version) {
            return Ok(());
        }
        self.begin()?;
        if let Err(error) = self.recompute_keys(&version) {
            self.roll_back();
            return Err(error.into());
        }
        self.commit()
    }

    fn recompute_keys(&self, version: &str) -> Result<(), StoreError> {
        self.change("DELETE FROM room_parts", [])?;
        for table in [&USERS, &ROOMS] {
            self.fold_names(table)?;
            self.assign_keys(table)?;
        }
        self.set_meta("keys", version)
    }

    /// Folds all names, and takes away all keys that change. They are assigned later: another row may still have one.
    fn fold_names(&self, table: &Table) -> Result<(), StoreError> {
        let (mut last, mut done) = (0, 0_usize);
        loop {
            let rows: Vec<(i64, String, String, Option<String>)> =
                self.all(table.page, (last, STEP), |row| row.try_into())?;
            let Some((id, ..)) = rows.last() else { return Ok(()) };
            last = *id;
            for (id, name, key, before) in &rows {
                let folded = fold(name);
                if before.as_ref() != Some(&folded) {
                    self.change(table.set_folded, (id, &folded))?;
                }
                if table.is_rooms {
                    self.add_room_parts(RoomId(*id), &folded)?;
                }
                if *key != (table.key_of)(name) {
                    self.change(table.set_key, (id, reserved_key("", *id)))?;
                }
            }
            done += rows.len();
            if done.is_multiple_of(LOGGED) {
                log::warn!("the names of {done} {} were updated", if table.is_rooms { "rooms" } else { "users" });
            }
        }
    }

    /// Assigns the keys that were taken away.
    fn assign_keys(&self, table: &Table) -> Result<(), StoreError> {
        loop {
            let rows: Vec<(i64, String)> = self.all(table.without_key, [STEP], |row| row.try_into())?;
            if rows.is_empty() {
                return Ok(());
            }
            for (id, name) in rows {
                let key = (table.key_of)(&name);
                let other: Option<i64> = self.first(table.with_key, [&key], |row| row.get(0))?;
                let later = other.map(|other| other.max(id));
                if let Some(later) = later {
                    self.change(table.set_key, (later, reserved_key(&key, later)))?;
                }
                if later != Some(id) {
                    self.change(table.set_key, (id, key))?;
                }
            }
        }
    }
}

/// Returns the key of a row whose name has the key of an older one. No name has such a key: the character before the
/// number is allowed in none.
fn reserved_key(key: &str, id: i64) -> String {
    format!("{key}{RESERVED}{id:019}")
}

/// A table of names, with its statements.
struct Table {
    is_rooms: bool,
    key_of: fn(&str) -> String,
    page: &'static str,
    set_folded: &'static str,
    set_key: &'static str,
    without_key: &'static str,
    with_key: &'static str,
}

const USERS: Table = Table {
    is_rooms: false,
    key_of,
    page: "SELECT id, name, key, folded FROM people WHERE id > ?1 AND key IS NOT NULL ORDER BY id LIMIT ?2",
    set_folded: "UPDATE people SET folded = ?2 WHERE id = ?1",
    set_key: "UPDATE people SET key = ?2 WHERE id = ?1",
    without_key: "SELECT id, name FROM people WHERE key > char(0x10FFFF) ORDER BY key LIMIT ?1",
    with_key: "SELECT id FROM people WHERE key = ?1",
};

/// Only the keys of public rooms are made from names.
const ROOMS: Table = Table {
    is_rooms: true,
    key_of: |name| RoomKind::key_of_name(&key_of(name)),
    page: "SELECT id, name, key, folded FROM rooms WHERE id > ?1 AND kind = 0 ORDER BY id LIMIT ?2",
    set_folded: "UPDATE rooms SET folded = ?2 WHERE id = ?1",
    set_key: "UPDATE rooms SET key = ?2 WHERE id = ?1",
    without_key: "SELECT id, name FROM rooms WHERE key > char(0x10FFFF) ORDER BY key LIMIT ?1",
    with_key: "SELECT id FROM rooms WHERE key = ?1",
};

/// Names that are read at once.
const STEP: usize = 1000;
/// After this many names, the log says so.
const LOGGED: usize = 100_000;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{
        super::{Data, LOBBY, UserId},
        *,
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Makes the store recompute all keys.
    fn refresh(store: &Store) {
        store.change("UPDATE facts SET value = 'others' WHERE name = 'keys'", []).unwrap();
        store.refresh_keys().unwrap();
        assert_eq!(store.broken_rules(), [""; 0]);
    }

    #[test]
    fn keys_of_another_version_are_recomputed() {
        let store = Store::open(&Data::Memory).unwrap();
        let users = ["Ada", "Bob", "Eve"].map(|text| {
            let id = store.add_user(text, &format!("an old key of {text}"), None, 0).unwrap().unwrap();
            (id, text)
        });
        let key = |id| store.user(id).unwrap().unwrap().key.unwrap();
        store.refresh_keys().unwrap();
        assert_eq!(key(users[0].0), "an old key of Ada", "the version is the same");
        // Each has the key that the next one gets.
        for (id, old) in [(1, "eve"), (2, "ada"), (3, "bob")] {
            store.change("UPDATE people SET key = ?2, folded = 'x' WHERE id = ?1", (id, format!("{old} "))).unwrap();
        }
        for (id, old) in [(1, "eve"), (2, "ada"), (3, "bob")] {
            store.change("UPDATE people SET key = ?2 WHERE id = ?1", (id, old)).unwrap();
        }
        refresh(&store);
        for (id, text) in users {
            assert_eq!(key(id), name(text).key());
            assert_eq!(store.user_named(&name(text)).unwrap().unwrap().id, id);
        }
        assert_eq!(store.users_from("a", None, 9).unwrap().len(), 1);
        assert_eq!(store.public_rooms("obb", None, 9).unwrap().rooms, [LOBBY], "rooms are found");
        assert_eq!(store.room_named(&RoomName::new("lobby").unwrap()).unwrap(), Some(LOBBY));
    }

    /// As if the letter ı had looked like no other until now.
    #[test]
    fn of_two_users_whose_names_now_have_one_key_both_are_found_by_their_exact_names() {
        let store = Store::open(&Data::Memory).unwrap();
        for (text, key) in [("ıpek", "old 1"), ("Ipek", "old 2"), ("lpek", name("lpek").key())] {
            store.add_user(text, key, Some("a hash"), 0).unwrap().unwrap();
        }
        refresh(&store);
        let id = |text| store.user_named(&name(text)).unwrap().map(|user| user.id);
        for (text, expected) in [("ıpek", 1), ("Ipek", 2), ("lpek", 3), ("IPEK", 1), ("1pek", 1)] {
            assert_eq!(id(text), Some(UserId(expected)), "{text}");
        }
        let taken = |text| store.add_user(text, name(text).key(), None, 0).unwrap().is_none();
        assert!(["ıpek", "Ipek", "lpek", "1pek"].into_iter().all(taken));
        refresh(&store);
        assert_eq!(id("Ipek"), Some(UserId(2)), "nothing changes");
        store.remove_user(UserId(1)).unwrap();
        assert_eq!(store.broken_rules(), [""; 0]);
        for (text, expected) in [("ıpek", 2), ("Ipek", 2), ("lpek", 3), ("1pek", 2)] {
            assert_eq!(id(text), Some(UserId(expected)), "{text}, when the oldest is gone");
        }
        for user in [2, 3] {
            store.remove_user(UserId(user)).unwrap();
        }
        assert_eq!(id("Ipek"), None);
        assert!(!taken("Ipek"));
    }

    /// More than fit into one step. `NAMES=1000000` says how long it takes for as many.
    #[test]
    fn many_keys_and_folded_names_are_computed_step_by_step() {
        let count: usize = std::env::var("NAMES").map_or(2 * STEP + 1, |value| value.parse().expect("a number"));
        let folder = tempfile::tempdir().unwrap();
        let data = Data::Folder(folder.path().to_owned());
        let store = Store::open(&data).unwrap();
        let sql = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
            INSERT INTO people (name, key, created) SELECT 'Émile ' || n, 'old ' || n, 0 FROM numbers;
            UPDATE facts SET value = 'others' WHERE name = 'keys'"
        );
        store.execute(&sql).unwrap();
        let start = Instant::now();
        store.refresh_keys().unwrap();
        eprintln!("{count} names took {:?}", start.elapsed());
        assert_eq!(store.broken_rules(), [""; 0]);
        let last = store.user_named(&name(&format!("émile {count}"))).unwrap().unwrap();
        assert_eq!((last.id.number(), last.folded), (count as i64, Some(format!("emile {count}"))));
    }

    #[test]
    fn of_two_rooms_whose_names_now_have_one_key_both_are_found_by_their_exact_names() {
        let store = Store::open(&Data::Memory).unwrap();
        let rooms = [("Tıp", "name old 1"), ("Tip", "name old 2"), ("Tlp", "name old 3")]
            .map(|(name, key)| store.add_room(RoomKind::Public, name, key, "", "e").unwrap().unwrap());
        refresh(&store);
        let room = |text| store.room_named(&RoomName::new(text).unwrap()).unwrap();
        let named = |texts: [&'static str; 4]| texts.map(room);
        let [one, two, three] = rooms.map(Some);
        assert_eq!(named(["Tıp", "Tip", "Tlp", "TIP"]), [one, two, three, one]);
        store.remove_room(rooms[0]).unwrap();
        assert_eq!(named(["Tıp", "Tip", "Tlp", "TIP"]), [two, two, three, two]);
        assert_eq!(store.broken_rules(), [""; 0]);
    }
}
