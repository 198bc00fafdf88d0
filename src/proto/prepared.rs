//! A message encoded once for many connections.

use alloc::{boxed::Box, sync::Arc};
use core::fmt;

use super::{
    FrameHeader, MessageKind,
    deflate::{CompressedOnce, Deflate},
};

/// A message encoded once, as one unmasked frame, for any number of connections. Cheap to clone.
///
/// It is compressed at most once: when it is first sent to a connection with permessage-deflate.
///
/// ```rust
/// use switchboard::{Connection, Delivery, Limits, Prepared, Unmasked};
///
/// let news = Prepared::text("hi");
/// for _ in 0..3 {
///     let mut connection: Connection<Unmasked> = Connection::server(Limits::default(), Delivery::Messages);
///     let mut out = Vec::new();
///     connection.sender.prepared(&news, &mut out)?;
///     assert_eq!(out, b"\x81\x02hi");
/// }
/// # Ok::<(), switchboard::SendError>(())
/// ```
#[derive(Clone)]
pub struct Prepared {
    shared: Arc<Shared>,
    may_be_compressed: bool,
}

struct Shared {
    kind: MessageKind,
    /// Header and payload.
    frame: Box<[u8]>,
    payload_len: usize,
    compressed: CompressedOnce,
}

/// The whole frame, without compression.
#[cfg(feature = "bytes")]
struct Frame(Arc<Shared>);

#[cfg(feature = "bytes")]
impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.0.frame
    }
}

/// Without the payload, which may be secret.
impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("kind", &self.shared.kind)
            .field("payload_bytes", &self.shared.payload_len)
            .field("may_be_compressed", &self.may_be_compressed)
            .finish()
    }
}

impl Prepared {
    /// Encodes a text message.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::new(MessageKind::Text, text.as_bytes())
    }

    /// Encodes a binary message.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Self {
        Self::new(MessageKind::Binary, payload)
    }

    fn new(kind: MessageKind, payload: &[u8]) -> Self {
        let header = FrameHeader::of_message(kind, false, payload.len() as u64).encode();
        let frame = [header.as_ref(), payload].concat().into();
        let shared = Shared { kind, frame, payload_len: payload.len(), compressed: CompressedOnce::default() };
        Self { shared: Arc::new(shared), may_be_compressed: true }
    }

    /// Returns the same message, which is then never compressed; see
    /// [`Sender::text_uncompressed`](crate::Sender::text_uncompressed).
    #[must_use]
    pub fn uncompressed(self) -> Self {
        Self { may_be_compressed: false, ..self }
    }

    /// Returns the kind of the message: text or binary.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.shared.kind
    }

    /// Returns the whole frame, as a server sends it without compression.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.shared.frame
    }

    /// Returns the whole frame, as a server sends it without compression, for writers that take `Bytes`. Nothing is
    /// copied: all clones share the frame.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use switchboard::Prepared;
    ///
    /// let (news, copy): (Bytes, Bytes) = { let news = Prepared::text("hi"); (news.to_bytes(), news.to_bytes()) };
    /// assert_eq!(news, &b"\x81\x02hi"[..]);
    /// assert_eq!(news.as_ptr(), copy.as_ptr());
    /// ```
    #[cfg(feature = "bytes")]
    #[cfg_attr(docsrs, doc(cfg(feature = "bytes")))]
    #[must_use]
    pub fn to_bytes(&self) -> bytes::Bytes {
        bytes::Bytes::from_owner(Frame(Arc::clone(&self.shared)))
    }

    /// Returns the payload, not compressed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.shared.frame[self.shared.frame.len() - self.shared.payload_len..]
    }

    pub(super) fn may_be_compressed(&self) -> bool {
        self.may_be_compressed
    }

    /// Returns the whole frame with the message compressed by `deflate`, without context and with a window of 15 bits.
    ///
    /// The first call compresses; later calls return the same bytes. Returns `None` if compression does not make the
    /// message shorter, or if the message must not be compressed.
    ///
    /// A caller that sends one message to many connections may write these bytes itself, but only to connections whose
    /// [`Sender::max_shared_bytes`](crate::Sender::max_shared_bytes) is large enough. After each it calls
    /// [`Sender::reset_context`](crate::Sender::reset_context).
    #[must_use]
    pub fn compressed(&self, deflate: &Deflate) -> Option<&[u8]> {
        if !self.may_be_compressed {
            return None;
        }
        self.shared.compressed.get_or_compress(deflate, self.payload(), |compressed| {
            let header = FrameHeader::of_message(self.kind(), true, compressed.len() as u64).encode();
            [header.as_ref(), compressed].concat().into()
        })
    }
}
