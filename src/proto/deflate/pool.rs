//! The state that connections share ([`Deflate`]): a pool of compressors and inflaters, and the memory for context
//! takeover.
//!
//! Without context takeover a connection owns nothing: it acquires a compressor or an inflater for one message, and
//! releases it. A message that arrives in several reads keeps its inflater until it is whole. The number of such
//! inflaters is limited; while all are in use, the compressed bytes of further messages are buffered.
//!
//! Context takeover takes memory for the life of a connection, so it has a budget. A compressor's context may be
//! evicted at any time, because a sender may always start without one: the least recently used goes first. An
//! inflater's history may not ([§7.2.2]): its memory is reserved at the handshake, or takeover is refused.
//!
//! [§7.2.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2

use std::{
    boxed::Box,
    collections::BTreeMap,
    fmt,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec::Vec,
};

use super::{
    codec::{Compressor, History, Inflater},
    params::WindowBits,
};

/// The configuration of [`Deflate`]: how to compress, and how much memory to use.
///
/// ```rust
/// use switchboard::{Deflate, DeflateConfig};
///
/// // Context takeover for up to 2,000 peers, or 200 of our compressors.
/// let deflate = Deflate::new(DeflateConfig::default().memory_bytes(64 << 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// The compression level: 1 (fastest) to 9 (smallest). 0 compresses nothing, and only inflates. Default 1.
    pub level: u8,
    /// Shorter messages are sent uncompressed. In bytes; default 256.
    pub min_bytes: usize,
    /// Longer messages are sent uncompressed, because compressing one blocks its thread. In bytes; default 1 MiB, which
    /// takes some milliseconds at the default level.
    pub max_bytes: usize,
    /// The memory for context takeover of all connections together, in bytes. Default 0: no context takeover in either
    /// direction.
    ///
    /// Each peer that may use its context reserves 32 KiB at the handshake. Our compressors share the rest. One takes
    /// about 280 KB with the largest window; with a smaller budget we send without context takeover.
    pub memory_bytes: usize,
    /// How many unfinished messages of all connections together are inflated as they arrive. Default 16. Each takes
    /// about 100 KB until it is whole.
    ///
    /// Further compressed messages are buffered, and inflated when they are whole, unless they are delivered in
    /// [pieces](crate::Delivery::Pieces).
    pub max_unfinished: usize,
}

setters! {
    DeflateConfig {
        level: u8,
        min_bytes: usize,
        max_bytes: usize,
        memory_bytes: usize,
        max_unfinished: usize,
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self { level: 1, min_bytes: 256, max_bytes: 1 << 20, memory_bytes: 0, max_unfinished: 16 }
    }
}

/// permessage-deflate for any number of connections: a pool of compressors and inflaters, and their memory budget
/// ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
///
/// Cheap to clone. Make one per thread or one per process, and give it to the handshakes
/// ([`ServerHandshake::with_deflate`](crate::ServerHandshake::with_deflate),
/// [`ClientHandshake::with_deflate`](crate::ClientHandshake::with_deflate)). Compressors and inflaters are made on
/// first use.
///
/// Without context takeover, which is the default, a connection holds a compressor or an inflater only during a
/// message. Context takeover makes small, similar messages shorter, and takes memory for the life of a connection: see
/// [`DeflateConfig::memory_bytes`]. When the budget is spent, the compressor that was not used for the longest time
/// loses its context, and new connections get no context takeover from their peers.
///
/// ```rust
/// use switchboard::{Deflate, Delivery, Limits, ServerHandshake};
///
/// let deflate = Deflate::default(); // one for all connections
/// let headers: [(&str, &[u8]); 2] =
///     [("sec-websocket-version", b"13"), ("sec-websocket-extensions", b"permessage-deflate")];
/// let handshake = ServerHandshake::from_extended_connect("websocket", "example.com", headers)?;
/// let handshake = handshake.with_deflate(&deflate);
/// let mut sender = handshake.into_connection(Limits::default(), Delivery::Messages).sender;
/// let mut out = Vec::new();
/// sender.text(&"hello ".repeat(1000), &mut out)?;
/// assert!(out.len() < 100); // of 6,000
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
///
/// The length of a compressed message reveals how much a secret in it has in common with text that an attacker placed
/// next to it (the CRIME attack). With context takeover this extends to all messages of a connection. Send such
/// messages uncompressed ([`Sender::text_uncompressed`](crate::Sender::text_uncompressed),
/// [`Prepared::uncompressed`](crate::Prepared::uncompressed)), and keep context takeover off.
#[derive(Clone, Debug, Default)]
pub struct Deflate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    config: DeflateConfig,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// Inflaters that no message uses.
    #[expect(clippy::vec_box, reason = "they are acquired and released without being moved")]
    idle_inflaters: Vec<Box<Inflater>>,
    /// The number of acquired inflaters that count towards `max_unfinished`; at most that many.
    counted_in_use: usize,
    /// Compressors that no message uses. Their context is meaningless.
    idle_compressors: Vec<Compressor>,
    /// Output buffers that no compressor uses. A compressor in `contexts` has none.
    buffers: Vec<Vec<u8>>,
    /// Compressors with the context of a connection, the least recently used first.
    contexts: BTreeMap<ContextId, Compressor>,
    /// The number of times that a context was stored.
    uses: u64,
    /// The number of bytes reserved for the histories of receivers.
    history_bytes: usize,
    /// The number of bytes that `contexts` takes.
    context_bytes: usize,
}

/// Identifies the compressor with a connection's context, which may have been evicted. It is the count of its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContextId(NonZeroU64);

impl Deflate {
    /// Makes an empty pool with this configuration.
    #[must_use]
    pub fn new(config: DeflateConfig) -> Self {
        Self(Arc::new(Shared { config, pool: Mutex::default() }))
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &DeflateConfig {
        &self.0.config
    }

    /// Returns how much memory context takeover takes now, in bytes: at most [`DeflateConfig::memory_bytes`].
    #[must_use]
    pub fn takeover_bytes(&self) -> usize {
        let pool = self.pool();
        pool.history_bytes + pool.context_bytes
    }

    /// Returns whether the configuration compresses messages of this length.
    pub(super) fn should_compress(&self, length: usize) -> bool {
        let DeflateConfig { level, min_bytes, max_bytes, .. } = self.0.config;
        level > 0 && (min_bytes..=max_bytes).contains(&length)
    }

    /// Returns whether the budget is large enough for a compressor with a context.
    pub(super) fn allows_takeover(&self, window_bits: WindowBits) -> bool {
        self.0.config.memory_bytes >= Compressor::bytes(window_bits.get())
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // No change to the pool can panic halfway, so its state is valid even if the lock is poisoned.
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves memory for the history of a receiver, and returns whether the budget allows it. Evicts contexts for it.
    pub(super) fn reserve_history(&self) -> bool {
        let budget = self.0.config.memory_bytes;
        let mut pool = self.pool();
        let fits = pool.history_bytes + History::BYTES <= budget;
        if fits {
            pool.history_bytes += History::BYTES;
            pool.evict_to(budget);
        }
        fits
    }

    pub(super) fn release_history(&self) {
        self.pool().history_bytes -= History::BYTES;
    }

    /// Acquires an inflater that counts towards `max_unfinished`; `None` if that many are in use.
    pub(super) fn try_acquire_inflater(&self) -> Option<Box<Inflater>> {
        let mut pool = self.pool();
        if pool.counted_in_use >= self.0.config.max_unfinished {
            return None;
        }
        pool.counted_in_use += 1;
        let idle = pool.idle_inflaters.pop();
        drop(pool);
        Some(idle.unwrap_or_else(|| Box::new(Inflater::new())))
    }

    /// Acquires an inflater without counting it, for a message that can be inflated to its end at once.
    pub(super) fn acquire_inflater(&self) -> Box<Inflater> {
        let idle = self.pool().idle_inflaters.pop();
        idle.unwrap_or_else(|| Box::new(Inflater::new()))
    }

    /// Releases an inflater; `None` if it cannot be used again.
    pub(super) fn release_inflater(&self, inflater: Option<Box<Inflater>>, was_counted: bool) {
        let mut pool = self.pool();
        pool.counted_in_use -= usize::from(was_counted);
        if let Some(inflater) = inflater
            && pool.idle_inflaters.len() < MAX_IDLE
        {
            pool.idle_inflaters.push(inflater);
        }
    }

    /// Acquires the compressor with this context, or one without context if there is none or it was evicted.
    pub(super) fn acquire_compressor(&self, context: Option<ContextId>, window_bits: u8) -> Compressor {
        let mut pool = self.pool();
        let buffer = pool.buffers.pop().unwrap_or_default();
        let kept = context.and_then(|context| pool.take(context));
        let idle = if kept.is_none() { pool.idle_compressor(window_bits) } else { None };
        drop(pool);
        // Not under the lock, because it clears a table of 128 KiB.
        let idle = idle.map(Compressor::reset);
        let new = || Compressor::new(self.0.config.level.min(9), window_bits);
        let mut compressor = kept.or(idle).unwrap_or_else(new);
        compressor.set_buffer(buffer);
        compressor
    }

    /// Stores a compressor with the context of a connection, and evicts others if the budget requires it.
    pub(super) fn keep_context(&self, mut compressor: Compressor) -> ContextId {
        let buffer = compressor.take_buffer();
        let mut pool = self.pool();
        pool.store_buffer(buffer);
        pool.uses += 1;
        let context = ContextId(NonZeroU64::MIN.saturating_add(pool.uses));
        pool.context_bytes += Compressor::bytes(compressor.window_bits());
        pool.contexts.insert(context, compressor);
        pool.evict_to(self.0.config.memory_bytes);
        context
    }

    pub(super) fn drop_context(&self, context: ContextId) {
        let mut pool = self.pool();
        if let Some(compressor) = pool.take(context) {
            pool.store_compressor(compressor);
        }
    }

    /// Releases a compressor whose context is not needed.
    pub(super) fn release_compressor(&self, mut compressor: Compressor) {
        let buffer = compressor.take_buffer();
        let mut pool = self.pool();
        pool.store_buffer(buffer);
        pool.store_compressor(compressor);
    }
}

/// Numbers alone: the buffers hold what was sent to some connection.
impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("history_bytes", &self.history_bytes)
            .field("context_bytes", &self.context_bytes)
            .field("counted_in_use", &self.counted_in_use)
            .finish_non_exhaustive()
    }
}

impl Pool {
    fn take(&mut self, context: ContextId) -> Option<Compressor> {
        let compressor = self.contexts.remove(&context)?;
        self.context_bytes -= Compressor::bytes(compressor.window_bits());
        Some(compressor)
    }

    fn idle_compressor(&mut self, window_bits: u8) -> Option<Compressor> {
        let idle = self.idle_compressors.iter().rposition(|idle| idle.window_bits() == window_bits)?;
        Some(self.idle_compressors.remove(idle))
    }

    fn store_compressor(&mut self, compressor: Compressor) {
        if self.idle_compressors.len() == MAX_IDLE {
            // The one that was idle for the longest time, so that unusual window sizes do not fill the pool.
            self.idle_compressors.remove(0);
        }
        self.idle_compressors.push(compressor);
    }

    fn store_buffer(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < MAX_IDLE {
            self.buffers.push(buffer);
        }
    }

    /// Evicts the least recently used contexts until the memory is within `budget`.
    fn evict_to(&mut self, budget: usize) {
        while self.history_bytes + self.context_bytes > budget
            && let Some((_, compressor)) = self.contexts.pop_first()
        {
            self.context_bytes -= Compressor::bytes(compressor.window_bits());
            self.store_compressor(compressor);
        }
    }
}

/// How many idle compressors, inflaters and buffers each are kept.
const MAX_IDLE: usize = 4;
