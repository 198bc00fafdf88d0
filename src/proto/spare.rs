//! The buffer of a large message, kept for the next one.
//!
//! A message that does not arrive in one piece has a buffer that grows with its bytes. Each growth is a copy, so all of
//! its bytes are copied about once more. A buffer that is long enough already spares the message that.

use alloc::{
    sync::{Arc, Weak},
    vec::Vec,
};

/// The buffer of the last large message, to be used for the next: one for all connections of a thread, or of one.
///
/// A message that does not arrive in one piece has a buffer that grows as its bytes arrive, and is copied when it does.
/// With [`Events::with_spare`](crate::Events::with_spare) it begins with the buffer of the message before it, and needs
/// no other if that was as long. It must be given to every [`Receiver::receive`](crate::Receiver::receive), since the
/// buffer comes back once the event has been used, with the next call of `next_event`.
///
/// **Memory.** Only a message of 16 KiB or more has the buffer, and of at least half of its size, from when 4 KiB of it
/// have arrived. One message at a time has it: until that is whole or its connection is dropped, other messages have
/// buffers of their own, which are freed. So a peer that never finishes a message keeps one buffer from others, and all
/// messages together take at most `max_bytes` more than without.
///
/// ```
/// use switchboard::{Connection, Delivery, Event, Limits, SpareBuffer};
///
/// let mut spare = SpareBuffer::new(1 << 20);
/// let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
/// # let key = [1, 2, 3, 4];
/// # let payload = vec![7; 40_000];
/// # let mut wire = vec![0x82, 0x80 | 126, 0x9C, 0x40, 1, 2, 3, 4];
/// # wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
/// for read in wire.chunks_mut(16 << 10) {
///     let mut events = receiver.receive(read).with_spare(&mut spare);
///     while let Some(event) = events.next_event()? {
///         assert_eq!(event, Event::Binary(&payload));
///     }
/// }
/// assert!(spare.kept_bytes() >= payload.len());
/// # Ok::<(), switchboard::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct SpareBuffer {
    /// Empty, with or without capacity.
    kept: Vec<u8>,
    max_bytes: usize,
    /// Has one weak reference if a message has the buffer.
    loan: Arc<()>,
}

/// Marks a message that has the buffer of a [`SpareBuffer`], until it is dropped.
pub(super) type Loan = Weak<()>;

impl SpareBuffer {
    /// Keeps nothing yet, and later a buffer of at most `max_bytes`.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self { kept: Vec::new(), max_bytes, loan: Arc::new(()) }
    }

    /// Returns the size of the buffer that is kept now, in bytes; 0 while a message has it.
    #[must_use]
    pub const fn kept_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Frees the buffer that is kept now.
    pub fn clear(&mut self) {
        self.kept = Vec::new();
    }

    /// Returns the buffer for a message of `total` bytes, of which some have arrived, if it fits. It is empty, and has
    /// room for at most one byte more than the message.
    pub(super) fn take(&mut self, total: usize) -> Option<(Vec<u8>, Loan)> {
        let capacity = self.kept.capacity();
        if capacity == 0 || total < capacity / 2 {
            return None;
        }
        let mut buffer = core::mem::take(&mut self.kept);
        buffer.shrink_to(total.saturating_add(1));
        Some((buffer, Arc::downgrade(&self.loan)))
    }

    /// Keeps the buffer of a message that has been used, unless another message has one.
    pub(super) fn put_back(&mut self, mut buffer: Vec<u8>, loan: Option<Loan>) {
        drop(loan);
        let fits = (MIN_BYTES..=self.max_bytes).contains(&buffer.capacity());
        if fits && Arc::weak_count(&self.loan) == 0 {
            buffer.clear();
            self.kept = buffer;
        }
    }
}

/// A smaller buffer is not kept: allocating one costs little.
const MIN_BYTES: usize = 16 << 10;
