//! Recomputes the keys of names after an update of the rules or of the Unicode tables, which may change the keys.

use super::{
    super::name::{Name, RoomName, keys_version},
    RoomId, Store, StoreError, TransactionError,
    rooms::RoomKind,
};

impl Store {
    /// Recomputes all keys if they were computed with another version of the rules or tables.
    ///
    /// If two existing names now have the same key, the later one keeps its old key. A name that is no longer valid
    /// keeps its old key too.
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
        let users: Vec<(i64, String)> =
            self.all("SELECT id, name FROM people WHERE key IS NOT NULL", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (id, name) in users {
            if let Ok(name) = Name::at_most(usize::MAX, &name) {
                self.change("UPDATE OR IGNORE people SET key = ?2 WHERE id = ?1", (id, name.key()))?;
            }
        }
        // Only the keys of public rooms are made from names.
        let rooms: Vec<(i64, String)> =
            self.all("SELECT id, name FROM rooms WHERE kind = 0", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (id, name) in rooms {
            if let Ok(name) = RoomName::at_most(usize::MAX, &name) {
                let key = RoomKind::key_of_name(name.key());
                self.change("UPDATE OR IGNORE rooms SET key = ?2 WHERE id = ?1", (id, key))?;
            }
        }
        self.change("DELETE FROM room_parts", [])?;
        let keys: Vec<(RoomId, String)> =
            self.all("SELECT id, key FROM rooms WHERE kind = 0", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (room, key) in keys {
            self.add_room_parts(room, &key)?;
        }
        self.set_meta("keys", version)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Data, *};

    #[test]
    fn keys_of_another_version_are_recomputed_and_no_name_is_lost() {
        let store = Store::open(&Data::Memory).unwrap();
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"].map(|name| {
            let key = format!("an old key of {name}");
            store.add_user(name, &key, None, 0).unwrap().unwrap()
        });
        // Another user has the key that Eve's name gets.
        let other = store.add_user("E v e", Name::new("Eve").unwrap().key(), None, 0).unwrap().unwrap();
        let key = |id| store.user(id).unwrap().unwrap().key.unwrap();
        store.refresh_keys().unwrap();
        assert_eq!(key(ada), "an old key of Ada", "the version is the same");
        store.change("UPDATE facts SET value = 'others'", []).unwrap();
        store.refresh_keys().unwrap();
        for (id, name) in [(ada, "Ada"), (bob, "Bob"), (other, "E v e")] {
            assert_eq!(key(id), Name::new(name).unwrap().key());
        }
        assert_eq!(key(eve), "an old key of Eve", "its new key was still taken");
        store.change("UPDATE facts SET value = 'yet others'", []).unwrap();
        store.refresh_keys().unwrap();
        assert_eq!(key(eve), Name::new("Eve").unwrap().key(), "its new key is free");
        assert_eq!(store.public_rooms("obb", "", 9).unwrap().rooms, [super::super::LOBBY], "rooms are found");
        assert_eq!(store.room_with_key("name lobby").unwrap(), Some(super::super::LOBBY));
    }
}
