//! What an operator does to accounts from outside, also while a server runs.

use std::fmt;

use super::{
    Data, Name, OpenError,
    name::BadName,
    password::{BadPassword, Password},
    store::{PersonId, Store, StoreError, now},
};

/// The accounts of a chat's data.
#[derive(Debug)]
pub struct Accounts {
    store: Store,
}

/// Why an account was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum AccountError {
    /// This cannot be a name.
    Name(BadName),
    /// This cannot be a password.
    Password(BadPassword),
    /// Somebody has the name, or one that looks the same.
    Taken,
    /// There is no account of this name.
    Unknown,
    /// What the data's database says.
    Store(rusqlite::Error),
    /// The password cannot be hashed.
    Hash,
}

impl Accounts {
    /// Opens the data, beside a server that may be running with it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(data: &Data) -> Result<Self, OpenError> {
        Ok(Self { store: Store::open_unlocked(data)? })
    }

    /// Adds an account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn add(&self, name: &str, password: &str) -> Result<(), AccountError> {
        let name = Name::at_most(Name::HIGHEST_LIMIT, name).map_err(AccountError::Name)?;
        let hash = hash(password)?;
        self.in_transaction(|store| match store.add_person(name.as_str(), name.key(), Some(&hash), now())? {
            Some(_) => Ok(()),
            None => Err(AccountError::Taken),
        })
    }

    /// Sets an account's password, and ends all its sessions.
    ///
    /// # Errors
    /// [`AccountError`].
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

    /// Makes somebody an operator, or no longer one.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn set_operator(&self, name: &str, operator: bool) -> Result<(), AccountError> {
        self.in_transaction(|store| Ok(store.set_operator(account(store, name)?, operator)?))
    }

    fn in_transaction<T>(&self, work: impl FnOnce(&Store) -> Result<T, AccountError>) -> Result<T, AccountError> {
        self.store.begin()?;
        let done = work(&self.store).and_then(|value| Ok(self.store.commit().map(|()| value)?));
        if done.is_err() {
            self.store.roll_back();
        }
        done
    }
}

/// The account of this name.
fn account(store: &Store, name: &str) -> Result<PersonId, AccountError> {
    let name = Name::at_most(Name::HIGHEST_LIMIT, name).map_err(AccountError::Name)?;
    match store.person_named(name.key())? {
        Some(person) if person.password.is_some() => Ok(person.id),
        _ => Err(AccountError::Unknown),
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
            Self::Taken => f.write_str("somebody has this name already, or one that looks like it"),
            Self::Unknown => f.write_str("there is no account of this name"),
            Self::Store(error) => write!(f, "the data cannot be changed: {error}"),
            Self::Hash => f.write_str("the password cannot be hashed; is there enough memory?"),
        }
    }
}

impl std::error::Error for AccountError {}
