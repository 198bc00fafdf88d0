//! Sessions, found by the hash of a token.

use rusqlite::Row;

use super::{
    super::{token::TokenHash, user_agent::UserAgent},
    Millis, SessionId, Store, StoreError, UserId, UserRow,
};

/// A stored session. Its times are those of the chat's steady clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) created: Millis,
    pub(crate) used: Millis,
    pub(crate) expires: Millis,
}

impl SessionRow {
    /// Returns the session with times that are later than `now` set to `now`: see [`Store::correct_some_sessions`].
    pub(crate) fn corrected(self, now: Millis) -> Self {
        let ahead = self.created.saturating_sub(now);
        Self {
            created: self.created - ahead,
            used: self.used.min(now),
            expires: self.expires.saturating_sub(ahead),
            ..self
        }
    }

    fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self { id: row.get(0)?, user: row.get(1)?, created: row.get(2)?, used: row.get(3)?, expires: row.get(4)? })
    }
}

impl Store {
    pub(crate) fn add_session(
        &self,
        user: &UserRow,
        token: &TokenHash,
        now: Millis,
        expires: Millis,
        agent: UserAgent,
    ) -> Result<SessionRow, StoreError> {
        let sql = "INSERT INTO sessions (person, guest, token, created, used, expires, program, system)
            VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)
            RETURNING id, person, created, used, expires";
        let values = (user.id, user.is_guest(), token.0, now, expires, agent.program, agent.system);
        self.prepared(sql)?.query_row(values, SessionRow::read)
    }

    pub(crate) fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let sql = "SELECT id, person, created, used, expires FROM sessions WHERE id = ?1";
        self.first(sql, [id], SessionRow::read)
    }

    pub(crate) fn session_of_token(&self, token: &TokenHash) -> Result<Option<SessionRow>, StoreError> {
        let sql = "SELECT id, person, created, used, expires FROM sessions WHERE token = ?1";
        self.first(sql, [token.0], SessionRow::read)
    }

    pub(crate) fn sessions_of(&self, user: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT id, person, created, used, expires FROM sessions WHERE person = ?1 ORDER BY used DESC";
        self.all(sql, [user], SessionRow::read)
    }

    /// Returns a user's sessions, each with the client that has begun it.
    pub(crate) fn sessions_with_agents_of(&self, user: UserId) -> Result<Vec<(SessionRow, UserAgent)>, StoreError> {
        let sql = "SELECT id, person, created, used, expires, program, system FROM sessions
            WHERE person = ?1 ORDER BY used DESC";
        self.all(sql, [user], |row| {
            let [program, system] = [row.get_ref(5)?.as_str_or_null()?, row.get_ref(6)?.as_str_or_null()?];
            Ok((SessionRow::read(row)?, UserAgent::from_names(program, system)))
        })
    }

    /// Returns at most `max` sessions that have timed out: those that expired before `now`, and those without activity
    /// since `idle_before`, or `guests_idle_before` for guests. Each part of the query uses an index.
    pub(crate) fn ended_sessions(
        &self,
        now: Millis,
        idle_before: Millis,
        guests_idle_before: Millis,
        max: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let sql = "SELECT id, person, created, used, expires FROM sessions WHERE expires <= ?1
            UNION ALL SELECT id, person, created, used, expires FROM sessions WHERE guest = 0 AND used <= ?2
            UNION ALL SELECT id, person, created, used, expires FROM sessions WHERE guest = 1 AND used <= ?3
            LIMIT ?4";
        self.all(sql, (now, idle_before, guests_idle_before, max), SessionRow::read)
    }

    pub(crate) fn set_used(&self, id: SessionId, used: Millis) -> Result<(), StoreError> {
        self.change("UPDATE sessions SET used = max(used, ?2) WHERE id = ?1", (id, used)).map(drop)
    }

    /// Corrects at most `max` sessions that were used later than `now`, by a clock that was ahead: they count as used
    /// `now`. Those that began later than `now` began `now`, and live as long as they were to live. Returns whether
    /// there may be more.
    pub(crate) fn correct_some_sessions(&self, now: Millis, max: usize) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET created = min(created, ?1), used = ?1,
                expires = expires - max(created - ?1, 0)
            WHERE id IN (SELECT id FROM sessions WHERE guest = 0 AND used > ?1
                UNION ALL SELECT id FROM sessions WHERE guest = 1 AND used > ?1 LIMIT ?2)";
        Ok(self.change(sql, (now, max))? > 0)
    }

    /// Removes a session. Returns whether it existed.
    pub(crate) fn remove_session(&self, id: SessionId) -> Result<bool, StoreError> {
        Ok(self.change("DELETE FROM sessions WHERE id = ?1", [id])? > 0)
    }
}
