//! What an endpoint accepts, and how it wants to be given it. Chosen by the embedder for each connection.

/// What a peer may make us keep (§10.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, all fragments together, in bytes. Default 16 MiB; past it the connection fails with
    /// 1009 at the header that crosses the limit. For a compressed one it bounds the bytes on the wire, and what they
    /// inflate to while they do.
    pub max_message_bytes: u64,
    /// The longest frame, in bytes. Default 16 MiB; past it the connection fails with 1009 at its header.
    pub max_frame_bytes: u64,
    /// Data frames without payload in a row. Default 10,000; past it the connection fails with 1008. They are allowed
    /// (§5.4) and cost their sender next to nothing.
    pub max_empty_frames: u32,
}

impl Limits {
    /// The defaults, but for messages and frames of at most `bytes`.
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Self {
        Self { max_message_bytes: bytes, max_frame_bytes: bytes, max_empty_frames: 10_000 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_bytes(16 << 20)
    }
}

/// In what portions messages are handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Whole messages.
    #[default]
    Messages,
    /// Pieces as they come, with nothing kept but an inflater where they are compressed: for who streams.
    Pieces,
}
