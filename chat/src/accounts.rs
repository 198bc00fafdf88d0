//! Changes to accounts by an operator, also while a server runs.

use std::fmt;

use super::{
    Data, Name, OpenError,
    name::BadName,
    password::{BadPassword, Password},
    store::{Store, StoreError, TransactionError, UserId, now},
};

/// The accounts in a chat's data.
#[derive(Debug)]
pub struct Accounts {
    store: Store,
}

/// Why an account was not added or changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum AccountError {
    /// The name breaks a rule.
    Name(BadName),
    /// The password breaks a rule.
    Password(BadPassword),
    /// The name, or one that looks the same, is taken.
    Taken,
    /// There is no account of this name.
    NoAccount,
    /// The database returned this error.
    Store(rusqlite::Error),
    /// The database returned this error, and it is not known whether the change is stored.
    Unknown(rusqlite::Error),
    /// The password cannot be hashed.
    Hash,
}

impl Accounts {
    /// Opens the data. A server may be running on it.
    ///
    /// # Errors
    /// [`OpenError`] if the data cannot be opened.
    pub fn open(data: &Data) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open_unlocked(data)? })
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`AccountError`]; then nothing has changed, except perhaps after [`AccountError::Unknown`].
    pub fn add(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let name =
            Name::at_most(Name::HIGHEST_LIMIT, name).and_then(Name::for_a_new_user).map_err(AccountError::Name)?;
        let hash = hash(password)?;
        self.in_transaction(|store| match store.add_user(name.as_str(), name.key(), Some(&hash), now())? {
            Some(_) => Ok(()),
            None => Err(AccountError::Taken),
        })
    }

    /// Sets an account's password, and ends all its sessions.
    ///
    /// # Errors
    /// [`AccountError`]; then nothing has changed, except perhaps after [`AccountError::Unknown`].
    pub fn set_password(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let hash = hash(password)?;
        self.in_transaction(|store| {
            let id = account(store, name)?;
            store.set_password(id, &hash)?;
            for session in store.sessions_of(id)? {
                store.remove_session(session.id)?;
            }
            Ok(())
        })
    }

    /// Makes an account an operator, or with `false` revokes that.
    ///
    /// # Errors
    /// [`AccountError`]; then nothing has changed, except perhaps after [`AccountError::Unknown`].
    pub fn set_operator(&self, name: &str, operator: bool) -> Result<(), AccountError> {
        self.in_transaction(|store| Ok(store.set_operator(account(store, name)?, operator)?))
    }

    fn in_transaction<T>(&self, work: impl FnOnce(&Store) -> Result<T, AccountError>) -> Result<T, AccountError> {
        self.store.begin()?;
        let value = work(&self.store).inspect_err(|_| self.store.roll_back())?;
        self.store.commit().map(|()| value).map_err(|error| match error {
            TransactionError::Undone(error) => AccountError::Store(error),
            TransactionError::Unknown(error) => AccountError::Unknown(error),
        })
    }
}

/// Returns the id of the account with this name.
fn account(store: &Store, name: &str) -> Result<UserId, AccountError> {
    let name = Name::at_most(Name::HIGHEST_LIMIT, name).map_err(AccountError::Name)?;
    match store.user_named(&name)? {
        Some(user) if user.password.is_some() => Ok(user.id),
        _ => Err(AccountError::NoAccount),
    }
}

fn hash(password: &str) -> Result<String, AccountError> {
    let password = Password::new(password).map_err(AccountError::Password)?;
    password.hash().map_err(|_| AccountError::Hash)
}

impl From<StoreError> for AccountError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for AccountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Password(error) => error.fmt(f),
            Self::Taken => f.write_str("this name is taken, or one that looks like it is; choose another name"),
            Self::NoAccount => f.write_str("there is no account with this name"),
            Self::Store(error) => write!(f, "cannot change the data: {error}"),
            Self::Unknown(error) => write!(
                f,
                "cannot tell whether the data was changed: {error}; check that the disk works, then do this again"
            ),
            Self::Hash => f.write_str("cannot hash the password; check that there is enough memory"),
        }
    }
}

impl std::error::Error for AccountError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_whether_it_is_known_that_nothing_has_changed() {
        let accounts = Accounts::open(&Data::Memory).unwrap();
        let add = || accounts.add("Ada", "a long secret");
        accounts.store.refuse_commits(1);
        assert!(matches!(add(), Err(AccountError::Store(_))));
        accounts.store.refuse_commits(1);
        accounts.store.refuse_withdrawals(2);
        assert!(matches!(add(), Err(AccountError::Unknown(_))));
        // Nothing is tried as long as it is not known.
        assert!(matches!(add(), Err(AccountError::Store(_))));
        add().unwrap();
        assert!(matches!(add(), Err(AccountError::Taken)));
    }
}
