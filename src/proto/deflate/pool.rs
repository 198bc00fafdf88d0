//! What connections share ([`Deflate`]): a few compressors and inflaters for all, and the memory for windows that
//! live on.
//!
//! Without context takeover a connection owns nothing: it borrows what it needs for as long as a message takes. A
//! message that comes in pieces keeps its inflater until it is whole; of these there is only a number, and while all
//! are lent the compressed bytes of further ones wait.
//!
//! Context takeover costs memory for as long as a connection lives, so it has a budget. What we compress with may be
//! given up at any time, for a sender may always start afresh: the window that was not used for the longest time goes
//! first. What we inflate with may not ([§7.2.2]): its memory is reserved at the handshake or takeover refused.
//!
//! [§7.2.2]: https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2

use std::{
    boxed::Box,
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec::Vec,
};

use super::{
    codec::{Compressor, History, Inflater},
    params::WindowBits,
};

/// How to compress, and what it may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// How hard to try: 1 (fastest) to 9 (smallest); 0 compresses nothing, and only inflates. Default 1.
    pub level: u8,
    /// Messages below this many bytes are sent as they are. Default 256.
    pub min_bytes: usize,
    /// Messages above this many bytes are sent as they are: nobody else is served while one is compressed. Default 1
    /// MiB, some milliseconds at the default level.
    pub max_bytes: usize,
    /// Memory for context takeover, of all connections together, in bytes. Default 0: no context takeover in either
    /// direction. What peers may refer to is reserved first, 32 KiB each; compressors have what is left, and with less
    /// than the 280 KB that one takes we use none of our own.
    pub memory_bytes: usize,
    /// Unfinished messages that are inflated as they come, of all connections together; each takes about 100 KB until
    /// it is whole. Default 16. The compressed bytes of further ones wait for their end, unless they are delivered in
    /// [pieces](crate::Delivery::Pieces).
    pub max_unfinished: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self { level: 1, min_bytes: 256, max_bytes: 1 << 20, memory_bytes: 0, max_unfinished: 16 }
    }
}

/// permessage-deflate for any number of connections: compressors and inflaters that are lent to one message after
/// another. Cheap to clone; made once per thread or once per process.
///
/// Nothing is allocated before it is used.
#[derive(Clone, Debug, Default)]
pub struct Deflate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    config: DeflateConfig,
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    /// Inflaters that nobody uses.
    #[expect(clippy::vec_box, reason = "they are lent and given back without being moved")]
    idle_inflaters: Vec<Box<Inflater>>,
    /// Inflaters that unfinished messages use; at most `max_unfinished`.
    counted_in_use: usize,
    /// Compressors that nobody uses; what they know means nothing.
    idle_compressors: Vec<Compressor>,
    /// Room for what is compressed, that nobody uses: not kept with a context, which does not need it.
    buffers: Vec<Vec<u8>>,
    /// Compressors with the context of a connection, by the time of their last use.
    contexts: BTreeMap<ContextId, Compressor>,
    uses: u64,
    /// Bytes reserved for what receivers must remember.
    history_bytes: usize,
    /// Bytes of `contexts`.
    context_bytes: usize,
}

/// Names the compressor that holds a connection's context, if it is still there: the time of its last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContextId(NonZeroU64);

impl Deflate {
    /// Compression with this configuration.
    #[must_use]
    pub fn new(config: DeflateConfig) -> Self {
        Self(Arc::new(Shared { config, pool: Mutex::default() }))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &DeflateConfig {
        &self.0.config
    }

    /// Memory that context takeover takes now, in bytes: never more than [`DeflateConfig::memory_bytes`].
    #[must_use]
    pub fn takeover_bytes(&self) -> usize {
        let pool = self.pool();
        pool.history_bytes + pool.context_bytes
    }

    /// Whether a message of this length is worth compressing.
    pub(super) fn should_compress(&self, length: usize) -> bool {
        let DeflateConfig { level, min_bytes, max_bytes, .. } = self.0.config;
        level > 0 && (min_bytes..=max_bytes).contains(&length)
    }

    /// Whether there is memory for a compressor that keeps its context.
    pub(super) fn allows_takeover(&self, window_bits: WindowBits) -> bool {
        self.0.config.memory_bytes >= Compressor::bytes(window_bits.get())
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Nobody panics in the middle of a change; what is there is whole.
        self.0.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves what a receiver must remember from message to message, if the budget has room.
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

    /// An inflater for an unfinished message, to be given back, if one may still be lent.
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

    /// An inflater for a message that is all there.
    pub(super) fn acquire_inflater(&self) -> Box<Inflater> {
        let idle = self.pool().idle_inflaters.pop();
        idle.unwrap_or_else(|| Box::new(Inflater::new()))
    }

    /// Takes back an inflater, if it can be used again.
    pub(super) fn release_inflater(&self, inflater: Option<Box<Inflater>>, was_counted: bool) {
        let mut pool = self.pool();
        pool.counted_in_use -= usize::from(was_counted);
        if let Some(inflater) = inflater
            && pool.idle_inflaters.len() < MAX_IDLE
        {
            pool.idle_inflaters.push(inflater);
        }
    }

    /// The compressor with this context, or else one that starts afresh.
    pub(super) fn acquire_compressor(&self, context: Option<ContextId>, window_bits: u8) -> Compressor {
        let mut pool = self.pool();
        let buffer = pool.buffers.pop().unwrap_or_default();
        let kept = context.and_then(|context| pool.take(context));
        let idle = if kept.is_none() { pool.idle_compressor(window_bits) } else { None };
        drop(pool);
        // Not before, under the lock: it clears a table of 128 KiB.
        let idle = idle.map(Compressor::reset);
        let new = || Compressor::new(self.0.config.level.min(9), window_bits);
        let mut compressor = kept.or(idle).unwrap_or_else(new);
        compressor.set_buffer(buffer);
        compressor
    }

    /// Keeps a compressor with the context of a connection, as far as the budget goes.
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

    /// Takes back a compressor that keeps no context.
    pub(super) fn release_compressor(&self, mut compressor: Compressor) {
        let buffer = compressor.take_buffer();
        let mut pool = self.pool();
        pool.store_buffer(buffer);
        pool.store_compressor(compressor);
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
            // The one that was not used for the longest time: windows that nobody else has must not stay in the way.
            self.idle_compressors.remove(0);
        }
        self.idle_compressors.push(compressor);
    }

    fn store_buffer(&mut self, buffer: Vec<u8>) {
        if self.buffers.len() < MAX_IDLE {
            self.buffers.push(buffer);
        }
    }

    /// Gives up the contexts that were not used for the longest time.
    fn evict_to(&mut self, budget: usize) {
        while self.history_bytes + self.context_bytes > budget
            && let Some((_, compressor)) = self.contexts.pop_first()
        {
            self.context_bytes -= Compressor::bytes(compressor.window_bits());
            self.store_compressor(compressor);
        }
    }
}

/// Compressors and inflaters that are kept while nobody uses them, of each so many.
const MAX_IDLE: usize = 4;
