//! What the database keeps about itself.

use super::{super::device::DeviceKey, Millis, Store, StoreError};

/// The saved state of the clock for long deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SavedClock {
    /// Its time.
    pub(crate) steady: Millis,
    /// The wall clock at that time.
    pub(crate) wall: Millis,
    /// How many milliseconds further the wall clock had moved.
    pub(crate) behind: i64,
}

impl Store {
    /// Returns the key that signs the cookies of devices. Creates it if there is none.
    pub(crate) fn device_key(&self) -> Result<DeviceKey, StoreError> {
        if let Some(key) = self.meta("device key")?.as_deref().and_then(DeviceKey::parse) {
            return Ok(key);
        }
        let key = DeviceKey::random();
        self.set_meta("device key", &key.to_text())?;
        Ok(key)
    }

    /// Returns the saved clock, if there is one.
    pub(crate) fn saved_clock(&self) -> Result<Option<SavedClock>, StoreError> {
        let parse = |text: &str| {
            let mut numbers = text.split(' ');
            let saved = SavedClock {
                steady: numbers.next()?.parse().ok()?,
                wall: numbers.next()?.parse().ok()?,
                behind: numbers.next()?.parse().ok()?,
            };
            Some(saved)
        };
        Ok(self.meta("clock")?.as_deref().and_then(parse))
    }

    /// Saves the clock.
    pub(crate) fn save_clock(&self, SavedClock { steady, wall, behind }: SavedClock) -> Result<(), StoreError> {
        self.set_meta("clock", &format!("{steady} {wall} {behind}"))
    }

    /// Reads a value.
    pub(super) fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.first("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
    }

    /// Stores a value.
    pub(super) fn set_meta(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
        self.change(sql, (name, value)).map(drop)
    }
}
