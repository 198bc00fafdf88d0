//! Values in the data of events, checked while they are decoded: on the connection's thread, so that the core's thread
//! does not spend its time on it.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use uuid::Uuid;

use super::super::{
    Name, RoomName,
    blank::is_blank,
    fold::fold,
    name::BadName,
    password::{BadPassword, Password},
    token::{Token, TokenHash},
};

/// The data of an event that has none. Whatever a client sends is ignored.
pub(crate) struct NoData;

impl<'de> Deserialize<'de> for NoData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The name of a user: `None` if no user can have it. The user may have signed up under a higher limit than the current
/// one.
#[derive(Debug)]
pub(super) struct UserName(pub(super) Option<Name>);

/// The name of a public room: `None` if no room can have it.
#[derive(Debug)]
pub(super) struct PublicName(pub(super) Option<RoomName>);

/// The name of a new room, or why it is not one. Its length is checked only against the highest limit.
#[derive(Debug)]
pub(super) struct NewRoomName(pub(super) Result<RoomName, BadName>);

/// A text that is searched for in names, folded.
#[derive(Debug, Default)]
pub(super) struct Searched(pub(super) String);

/// The key of a message: `None` if it is not a UUID.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessageKey(pub(super) Option<Uuid>);

/// The hash of a token: `None` if it is not a token.
#[derive(Debug)]
pub(super) struct AnyToken(pub(super) Option<TokenHash>);

/// A password, or why it is not one.
#[derive(Debug)]
pub(crate) struct AnyPassword(pub(crate) Result<Password, BadPassword>);

/// A text without control characters (each takes six bytes as JSON), except line breaks and tabs, and without white
/// space at its end. It is empty if no character of it is visible.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    chars: usize,
}

impl Text {
    fn new(text: &str) -> Self {
        let mut text: String = text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        text.truncate(if is_blank(&text) { 0 } else { text.trim_end().len() });
        Self { chars: text.chars().count(), text }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the number of characters.
    pub(super) fn chars(&self) -> usize {
        self.chars
    }
}

/// Decodes a value from a string in the data.
macro_rules! from_text {
    ($($type:ty: $text:ident => $value:expr;)+) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $text = &*String::deserialize(deserializer)?;
                Ok($value)
            }
        })+
    };
}

from_text! {
    UserName: text => Self(Name::at_most(Name::HIGHEST_LIMIT, text).ok());
    PublicName: text => Self(RoomName::at_most(Name::HIGHEST_LIMIT, text).ok());
    NewRoomName: text => Self(RoomName::at_most(Name::HIGHEST_LIMIT, text));
    Searched: text => Self(fold(text));
    MessageKey: text => Self(Uuid::try_parse(text).ok());
    AnyToken: text => Self(Token::parse(text).map(|token| token.hash()));
    AnyPassword: text => Self(Password::new(text));
    Text: text => Self::new(text);
}
