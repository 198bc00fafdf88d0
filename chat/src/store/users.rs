//! Accounts, guests, and the users they block.

use rusqlite::Row;

use super::{
    super::{fold::fold, name::Name},
    LOBBY, Millis, Role, Store, StoreError, UserId,
};

/// A stored account or guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRow {
    pub(crate) id: UserId,
    pub(crate) name: String,
    /// The hash of the password; `None` for a guest.
    pub(crate) password: Option<String>,
    pub(crate) operator: bool,
    /// The unique key of the name; `None` if the account was deleted, or the guest's session has ended.
    pub(crate) key: Option<String>,
    /// The folded name, for the order of names; `None` likewise.
    pub(crate) folded: Option<String>,
}

impl UserRow {
    pub(crate) fn is_guest(&self) -> bool {
        self.password.is_none() && self.key.is_some()
    }

    /// Returns the key of the name, also if the user has it only reserved; empty if the user is gone.
    pub(crate) fn key_of_name(&self) -> &str {
        self.key.as_deref().and_then(|key| key.split(RESERVED).next()).unwrap_or_default()
    }

    pub(super) fn read(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            password: row.get(2)?,
            operator: row.get(3)?,
            key: row.get(4)?,
            folded: row.get(5)?,
        })
    }
}

/// A place in the order of users' names: by the folded names, and among users whose names read the same, by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserPlace {
    pub(crate) folded: String,
    pub(crate) id: UserId,
}

impl Store {
    pub(crate) fn user(&self, id: UserId) -> Result<Option<UserRow>, StoreError> {
        let sql = "SELECT id, name, password, operator, key, folded FROM people WHERE id = ?1";
        self.first(sql, [id], UserRow::read)
    }

    /// Returns users whose folded name begins with `prefix`, in the order of names, from the first or after a place in
    /// that order.
    pub(crate) fn users_from(
        &self,
        prefix: &str,
        after: Option<&UserPlace>,
        max: usize,
    ) -> Result<Vec<UserRow>, StoreError> {
        let (from, id) = match after {
            Some(after) if *after.folded >= *prefix => (&*after.folded, after.id),
            _ => (prefix, UserId(0)),
        };
        let mut users = Vec::new();
        if from.starts_with(prefix) {
            // In two statements: SQLite would read all users whose names read the same to find one of them.
            let sql = "SELECT id, name, password, operator, key, folded FROM people
                WHERE folded = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
            users = self.all(sql, (from, id, max), UserRow::read)?;
        }
        let sql = "SELECT id, name, password, operator, key, folded FROM people
            WHERE folded > ?1 AND folded < ?2 || char(0x10FFFF) ORDER BY folded, id LIMIT ?3";
        users.extend(self.all(sql, (from, prefix, max - users.len()), UserRow::read)?);
        Ok(users)
    }

    /// Returns the place of a name in the order of names. If no user has the name any longer, that is the place before
    /// all users whose names read the same.
    pub(crate) fn place_of_user(&self, name: &Name) -> Result<UserPlace, StoreError> {
        let id = self.user_named(name)?.map_or(UserId(0), |user| user.id);
        Ok(UserPlace { folded: fold(name.as_str()), id })
    }

    /// Adds an account, or a guest if there is no password, as a member of the Lobby. Returns `None` if the name is
    /// taken.
    pub(crate) fn add_user(
        &self,
        name: &str,
        key: &str,
        password: Option<&str>,
        now: Millis,
    ) -> Result<Option<UserId>, StoreError> {
        let sql = "INSERT INTO people (name, key, folded, password, created) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT (key) DO NOTHING RETURNING id";
        let added: Option<UserId> = self.first(sql, (name, key, fold(name), password, now), |row| row.get(0))?;
        if let Some(user) = added {
            self.set_role(LOBBY, user, Role::Member, now)?;
            let seen = self.head(LOBBY)?.unwrap_or_default().seq;
            self.set_read(LOBBY, user, seen)?;
        }
        Ok(added)
    }

    /// Returns whether there is any account.
    pub(crate) fn has_accounts(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM people WHERE password IS NOT NULL LIMIT 1";
        Ok(self.first(sql, [], |_| Ok(()))?.is_some())
    }

    pub(crate) fn set_password(&self, id: UserId, password: &str) -> Result<(), StoreError> {
        self.change("UPDATE people SET password = ?2 WHERE id = ?1", (id, password)).map(drop)
    }

    pub(crate) fn set_operator(&self, id: UserId, operator: bool) -> Result<(), StoreError> {
        self.change("UPDATE people SET operator = ?2 WHERE id = ?1", (id, operator)).map(drop)
    }

    /// Removes a user: ends the user's sessions, and frees the name, which messages still show. The user's memberships
    /// and blocks are deleted later: see [`departure`](Self::departure).
    pub(crate) fn remove_user(&self, id: UserId) -> Result<(), StoreError> {
        self.change("DELETE FROM sessions WHERE person = ?1", [id])?;
        self.change("INSERT INTO departures (person) VALUES (?1) ON CONFLICT DO NOTHING", [id])?;
        let key = self.user(id)?.and_then(|user| user.key);
        let sql = "UPDATE people SET key = NULL, folded = NULL, password = NULL, operator = 0 WHERE id = ?1";
        self.change(sql, [id])?;
        key.map_or(Ok(()), |key| self.pass_on_user_key(&key))
    }

    /// Returns a user who is gone, and whose memberships and blocks may not all be deleted yet.
    pub(crate) fn departure(&self) -> Result<Option<UserId>, StoreError> {
        self.first("SELECT person FROM departures LIMIT 1", [], |row| row.get(0))
    }

    /// Deletes at most `max` blocks by a user who is gone, and at most `max` of the user. When none is left, and no
    /// membership either, the user's departure is over.
    pub(crate) fn remove_some_blocks(&self, id: UserId, max: usize) -> Result<(), StoreError> {
        let by = "DELETE FROM blocks WHERE person = ?1
            AND blocked IN (SELECT blocked FROM blocks WHERE person = ?1 LIMIT ?2)";
        let of = "DELETE FROM blocks WHERE blocked = ?1
            AND person IN (SELECT person FROM blocks WHERE blocked = ?1 LIMIT ?2)";
        if self.change(by, (id, max))? < max && self.change(of, (id, max))? < max {
            self.change("DELETE FROM departures WHERE person = ?1", [id])?;
        }
        Ok(())
    }

    /// Returns whether `user` has blocked `other`.
    pub(crate) fn has_blocked(&self, user: UserId, other: UserId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM blocks WHERE person = ?1 AND blocked = ?2";
        Ok(self.first(sql, (user, other), |_| Ok(()))?.is_some())
    }

    /// Returns how many users `user` has blocked.
    pub(crate) fn count_blocked(&self, user: UserId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM blocks WHERE person = ?1";
        Ok(self.first(sql, [user], |row| row.get(0))?.unwrap_or(0))
    }

    pub(crate) fn set_blocked(&self, user: UserId, other: UserId, blocked: bool) -> Result<(), StoreError> {
        let sql = if blocked {
            "INSERT INTO blocks (person, blocked) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM blocks WHERE person = ?1 AND blocked = ?2"
        };
        self.change(sql, (user, other)).map(drop)
    }

    /// Returns all users whom `user` has blocked, sorted.
    pub(crate) fn all_blocked_by(&self, user: UserId) -> Result<Vec<UserId>, StoreError> {
        self.all("SELECT blocked FROM blocks WHERE person = ?1 ORDER BY blocked", [user], |row| row.get(0))
    }

    /// Returns the names of users whom `user` has blocked and whose ids are after `after`, in the order of their ids.
    pub(crate) fn blocked_by(
        &self,
        user: UserId,
        after: Option<UserId>,
        max: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT name FROM blocks JOIN people ON people.id = blocked
            WHERE person = ?1 AND blocked > ifnull(?2, 0) AND key IS NOT NULL ORDER BY blocked LIMIT ?3";
        self.all(sql, (user, after, max), |row| row.get(0))
    }
}

/// What follows the key of a name in a reserved key, before the id: see `keys.rs`. Statements have it as a number.
pub(super) const RESERVED: char = '\u{10FFFF}';
