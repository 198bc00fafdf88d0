//! The limits of a receiver, and the portions in which it returns messages. The caller chooses both for each
//! connection.

/// The limits of what a [`Receiver`](crate::Receiver) accepts from the peer
/// ([§10.4](https://www.rfc-editor.org/rfc/rfc6455#section-10.4)).
///
/// They bound the memory of a connection: its buffer grows with the bytes that have arrived, never with the length that
/// a header announces.
///
/// ```rust
/// use switchboard::{CloseCode, Connection, Delivery, Limits};
///
/// let limits = Limits::of_bytes(64 << 10);
/// let mut receiver = Connection::server(limits, Delivery::Messages).receiver;
/// // A header that announces 128 KiB fails, before any payload is read or room made for it.
/// let mut header = [0x82, 0xff, 0, 0, 0, 0, 0, 2, 0, 0];
/// let error = receiver.receive(&mut header).next_event().unwrap_err();
/// assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, all fragments together, in bytes. Default 16 MiB.
    ///
    /// The connection fails with 1009 at the frame header that exceeds the limit. The limit applies to the bytes on the
    /// wire, and for a compressed message also to the inflated bytes, while it is inflated.
    pub max_message_bytes: u64,
    /// The longest payload of a frame, in bytes. Default 16 MiB. The connection fails with 1009 at the header of a
    /// longer one.
    pub max_frame_bytes: u64,
    /// The number of data frames without payload in a row. Default 10,000. The connection fails with 1008 at the next
    /// one. Empty frames are allowed (§5.4), and cost the peer almost nothing.
    pub max_empty_frames: u32,
}

impl Limits {
    /// Returns the defaults, except that messages and frames are limited to `bytes`.
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { max_message_bytes: bytes, max_frame_bytes: bytes, max_empty_frames: 10_000 }
    }
}

setters! {
    Limits {
        max_message_bytes: u64,
        max_frame_bytes: u64,
        max_empty_frames: u32,
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_bytes(16 << 20)
    }
}

/// The portions in which a [`Receiver`](crate::Receiver) returns messages.
///
/// ```rust
/// use switchboard::{Connection, Delivery, Event, Limits, ProtocolError};
///
/// let mut receiver = Connection::server(Limits::of_bytes(u64::MAX), Delivery::Pieces).receiver;
/// let mut start = [0x82, 0x83, 0, 0, 0, 0, 7]; // one byte of three
/// let mut events = receiver.receive(&mut start);
/// let Some(Event::Piece(piece)) = events.next_event()? else { panic!("the byte is a piece") };
/// assert_eq!((piece.payload, piece.first, piece.last), (&[7][..], true, false));
/// assert_eq!(receiver.buffered_bytes(), 0); // so a file of any length takes no memory
/// # Ok::<(), ProtocolError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Whole messages. Default.
    #[default]
    Messages,
    /// Pieces, as they arrive. Nothing is buffered, except that a compressed message occupies an inflater.
    Pieces,
}
