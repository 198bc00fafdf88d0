//! Notices by operators, which are kept for users who were away.

use super::{Millis, Store, StoreError, UserId};

/// A stored notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoticeRow {
    pub(crate) id: u64,
    pub(crate) author: UserId,
    pub(crate) text: String,
    /// When it was sent, by the steady clock.
    pub(crate) sent: Millis,
}

impl Store {
    /// Adds a notice, and returns its id. Only the latest [`MAX_NOTICES`] are kept.
    pub(crate) fn add_notice(&self, author: UserId, text: &str, now: Millis) -> Result<u64, StoreError> {
        let sql = "INSERT INTO notices (author, text, sent) VALUES (?1, ?2, ?3)";
        self.change(sql, (author, text, now))?;
        let id = self.latest_notice()?;
        self.change("DELETE FROM notices WHERE id <= ?1", [id.saturating_sub(MAX_NOTICES)])?;
        Ok(id)
    }

    /// Returns the id of the latest notice, or 0 if there is none.
    pub(crate) fn latest_notice(&self) -> Result<u64, StoreError> {
        Ok(self.first("SELECT ifnull(max(id), 0) FROM notices", [], |row| row.get(0))?.unwrap_or(0))
    }

    /// Returns the notices from `since` on that a user has not dismissed, the oldest first.
    pub(crate) fn notices_for(&self, user: UserId, since: Millis) -> Result<Vec<NoticeRow>, StoreError> {
        let sql = "SELECT id, author, text, sent FROM notices
            WHERE id > (SELECT notice FROM people WHERE people.id = ?1) AND sent >= ?2 ORDER BY id";
        self.all(sql, (user, since), |row| {
            Ok(NoticeRow { id: row.get(0)?, author: row.get(1)?, text: row.get(2)?, sent: row.get(3)? })
        })
    }

    /// Records that a user has dismissed all notices up to this one. Returns whether that is new.
    pub(crate) fn dismiss_notices(&self, user: UserId, last: u64) -> Result<bool, StoreError> {
        Ok(self.change("UPDATE people SET notice = ?2 WHERE id = ?1 AND notice < ?2", (user, last))? > 0)
    }
}

/// Maximum notices that are kept. All of them are part of a welcome.
const MAX_NOTICES: u64 = 5;
