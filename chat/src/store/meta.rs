//! What the database keeps about itself.

use super::{super::device::DeviceKey, Store, StoreError};

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
