//! Numeric ids, one type for each kind so that they cannot be confused.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(super) i64);

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// The id of an account or a guest. Never reused.
    UserId
}
id! {
    /// The id of a room, direct rooms included. Never reused.
    RoomId
}
id! {
    /// The id of a session. Never reused.
    SessionId
}

impl UserId {
    #[cfg(test)]
    pub(crate) fn numbered(number: i64) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

impl RoomId {
    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// The largest id, which no room has.
    pub(super) const MAX: Self = Self(i64::MAX);
}
