//! The form of events on the wire, which an application may replace.

use std::{borrow::Cow, error::Error, fmt};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Message, Prepared};

/// The form of events on the wire: how a message becomes an event, and an event messages.
///
/// [`JsonArrays`](super::JsonArrays) and [`JsonObjects`](super::JsonObjects) are two. A parser is shared by all
/// connections; what it has to remember of one connection between two messages is its [`State`](Self::State).
pub trait Parser: Send + Sync + 'static {
    /// The parser's memory of each connection, such as an event whose attachments follow in messages of their own; `()` for
    /// none. The parser bounds it.
    type State: Default + Send + 'static;

    /// The data of an event as it arrived, to be decoded once its handler is known.
    type Data<'m>;

    /// Parses a message. `None` if further messages belong to it.
    ///
    /// # Errors
    /// [`Malformed`]: the message is no event. The peer is told so, and the connection goes on.
    fn parse<'m>(
        &self,
        message: Message<'m>,
        state: &mut Self::State,
    ) -> Result<Option<FromPeer<'m, Self::Data<'m>>>, Malformed>;

    /// Decodes the data of an event for its handler.
    ///
    /// # Errors
    /// [`Malformed`]: the data has another form.
    fn decode<D: DeserializeOwned>(&self, data: &Self::Data<'_>) -> Result<D, Malformed>;

    /// Encodes an event, in one message or more, each of which it gives to `send` in their order.
    ///
    /// # Errors
    /// [`Malformed`]: the data cannot be encoded. Nothing must have been sent then.
    fn encode<D: Serialize + ?Sized>(
        &self,
        event: ToPeer<'_, D>,
        send: &mut dyn FnMut(Prepared),
    ) -> Result<(), Malformed>;
}

/// A message from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromPeer<'m, D> {
    /// An event.
    Event {
        /// Its name.
        name: Cow<'m, str>,
        /// Its data.
        data: D,
        /// The number by which the peer knows the acknowledgement that it wants; `None` if it wants none.
        id: Option<u64>,
    },
    /// The acknowledgement of an event that was sent to the peer.
    Acknowledgement {
        /// The event's number.
        id: u64,
        /// The peer's answer, or what was wrong.
        answer: Result<D, Cow<'m, str>>,
    },
}

/// A message to a peer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum ToPeer<'a, D: ?Sized> {
    /// An event.
    Event {
        /// Its name.
        name: &'a str,
        /// Its data.
        data: &'a D,
        /// The number by which the server knows the acknowledgement that it wants; `None` if it wants none.
        id: Option<u64>,
    },
    /// The acknowledgement of an event of the peer's.
    Acknowledgement {
        /// The event's number.
        id: u64,
        /// The answer, or what was wrong.
        answer: Result<&'a D, &'a str>,
    },
}

impl<D: ?Sized> Clone for ToPeer<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: ?Sized> Copy for ToPeer<'_, D> {}

/// The error of a message that is no event, or of data in another form. Says what is wrong in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(Cow<'static, str>);

impl Malformed {
    /// Creates an error. The words are sent to the peer, 256 bytes of them at most: they may repeat what it has sent.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        let mut what = what.into();
        if what.len() > MAX_BYTES {
            what = what[..what.floor_char_boundary(MAX_BYTES)].to_owned().into();
        }
        Self(what)
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Malformed {}

/// The longest text of an error.
const MAX_BYTES: usize = 256;
