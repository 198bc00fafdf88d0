//! The state of permessage-deflate in the two halves of a connection: almost none without context takeover.

use std::{boxed::Box, mem, sync::OnceLock};

use super::{
    Deflate, DeflateParams,
    codec::{History, Inflater, Malformed, Step},
    params::WindowBits,
    pool::ContextId,
};
use crate::proto::Role;

/// The negotiated permessage-deflate of one connection, with the memory that is reserved for it.
#[derive(Debug)]
pub(in crate::proto) struct DeflateAgreement {
    params: DeflateParams,
    deflate: Deflate,
    history: Option<Reserved>,
}

impl DeflateAgreement {
    /// Returns an agreement negotiated outside of this crate; `role` is ours. `None` if the peer may use context
    /// takeover and the budget is spent.
    pub(in crate::proto) fn new(deflate: &Deflate, role: Role, params: DeflateParams) -> Option<Self> {
        let peer_keeps_no_context = match role {
            Role::Server => params.client_no_context_takeover,
            Role::Client => params.server_no_context_takeover,
        };
        let history = if peer_keeps_no_context { None } else { Some(Reserved::new(deflate)?) };
        Some(Self { params, deflate: deflate.clone(), history })
    }

    pub(in crate::proto) fn params(&self) -> &DeflateParams {
        &self.params
    }

    /// Accepts an offer as a server. The result has the offered `params`, without context takeover where the budget
    /// does not allow it.
    pub(in crate::proto) fn accept_offer(deflate: &Deflate, mut params: DeflateParams) -> Self {
        let bits = params.server_max_window_bits.unwrap_or(WindowBits::MAX);
        params.server_no_context_takeover |= !deflate.allows_takeover(bits);
        let history = if params.client_no_context_takeover { None } else { Reserved::new(deflate) };
        params.client_no_context_takeover = history.is_none();
        Self { params, deflate: deflate.clone(), history }
    }

    pub(in crate::proto) fn halves(self, role: Role) -> (Inflating, Deflating) {
        let Self { params, deflate, history } = self;
        let (no_takeover, window_bits) = match role {
            Role::Server => (params.server_no_context_takeover, params.server_max_window_bits),
            Role::Client => (params.client_no_context_takeover, params.client_max_window_bits),
        };
        let takeover = history.map(|reserved| Box::new(Takeover { history: History::default(), _reserved: reserved }));
        let window_bits = window_bits.unwrap_or(WindowBits::MAX);
        let deflating = Deflating {
            takeover: !no_takeover && deflate.allows_takeover(window_bits),
            window_bits,
            context: None,
            deflate: deflate.clone(),
        };
        (Inflating { deflate, takeover }, deflating)
    }
}

/// A client's offer, with the memory that is reserved for it. Without a budget it asks for no context takeover.
#[derive(Debug)]
pub(in crate::proto) struct DeflateOffer {
    deflate: Deflate,
    history: Option<Reserved>,
}

impl DeflateOffer {
    pub(in crate::proto) fn new(deflate: &Deflate) -> Self {
        Self { deflate: deflate.clone(), history: Reserved::new(deflate) }
    }

    /// Returns the parameters of the offer. A server must confirm `server_no_context_takeover`.
    pub(in crate::proto) fn params(&self) -> DeflateParams {
        DeflateParams {
            server_no_context_takeover: self.history.is_none(),
            client_no_context_takeover: !self.deflate.allows_takeover(WindowBits::MAX),
            ..DeflateParams::default()
        }
    }

    /// Returns the agreement, after the server has accepted the offer with these parameters.
    pub(in crate::proto) fn agree(self, params: DeflateParams) -> DeflateAgreement {
        let history = self.history.filter(|_| !params.server_no_context_takeover);
        DeflateAgreement { params, deflate: self.deflate, history }
    }
}

/// The state of the sending half.
#[derive(Debug)]
pub(in crate::proto) struct Deflating {
    deflate: Deflate,
    window_bits: WindowBits,
    takeover: bool,
    /// The compressor's context that the next message may refer to.
    context: Option<ContextId>,
}

impl Deflating {
    /// Compresses a message and passes it to `write`. Returns `None` if the message is to be sent uncompressed.
    pub(in crate::proto) fn compress<E>(
        &mut self,
        message: &[u8],
        write: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        // zlib has no window of 8 bits.
        if !self.deflate.should_compress(message.len()) || self.window_bits.get() < 9 {
            return None;
        }
        let mut compressor = self.deflate.acquire_compressor(self.context.take(), self.window_bits.get());
        let written = compressor.compress(message).map(write);
        if self.takeover && matches!(written, Some(Ok(()))) {
            self.context = Some(self.deflate.keep_context(compressor));
        } else {
            // The peer does not receive this output, or this connection keeps no context.
            self.deflate.release_compressor(compressor);
        }
        written
    }

    /// Returns whether messages may refer to earlier ones.
    pub(in crate::proto) fn keeps_context(&self) -> bool {
        self.takeover
    }

    /// Returns the longest message that the peer can inflate if it was compressed without context and with a window of
    /// 15 bits. No distance in it exceeds the length of the message.
    pub(in crate::proto) fn max_shared_bytes(&self) -> usize {
        if self.window_bits == WindowBits::MAX { usize::MAX } else { 1 << self.window_bits.get() }
    }

    pub(in crate::proto) fn deflate(&self) -> &Deflate {
        &self.deflate
    }

    /// Drops the context, because the peer's window contains a message that our compressor has not seen.
    pub(in crate::proto) fn reset_context(&mut self) {
        if let Some(context) = self.context.take() {
            self.deflate.drop_context(context);
        }
    }
}

impl Drop for Deflating {
    fn drop(&mut self) {
        self.reset_context();
    }
}

/// The compressed frame of a message, made by the first caller for all.
#[derive(Debug, Default)]
pub(in crate::proto) struct CompressedOnce(OnceLock<Option<Box<[u8]>>>);

impl CompressedOnce {
    /// Returns the frame that `frame` makes of the compressed message; `None` if compression does not make it shorter.
    pub(in crate::proto) fn get_or_compress(
        &self,
        deflate: &Deflate,
        message: &[u8],
        frame: impl FnOnce(&[u8]) -> Box<[u8]>,
    ) -> Option<&[u8]> {
        let made = self.0.get_or_init(|| {
            if !deflate.should_compress(message.len()) {
                return None;
            }
            let mut compressor = deflate.acquire_compressor(None, WindowBits::MAX.get());
            let compressed = compressor.compress(message).map(frame);
            deflate.release_compressor(compressor);
            compressed
        });
        made.as_deref()
    }
}

/// The state of the receiving half.
#[derive(Debug)]
pub(in crate::proto) struct Inflating {
    deflate: Deflate,
    takeover: Option<Box<Takeover>>,
}

#[derive(Debug)]
struct Takeover {
    /// The output that the peer's next message may refer to. While a message is inflated, the inflater holds it, and
    /// the inflater's own, unused history is here.
    history: History,
    _reserved: Reserved,
}

impl Inflating {
    /// Acquires an inflater for a new message; `None` if none is free. With `whole` there is always one.
    pub(in crate::proto) fn acquire(&mut self, whole: bool) -> Option<PooledInflater> {
        let (mut inflater, counted) = match self.deflate.try_acquire_inflater() {
            Some(inflater) => (inflater, true),
            None if whole => (self.deflate.acquire_inflater(), false),
            None => return None,
        };
        match &mut self.takeover {
            Some(takeover) => mem::swap(&mut inflater.history, &mut takeover.history),
            None => inflater.history.clear(),
        }
        let setup_work = inflater.begin();
        let deflate = self.deflate.clone();
        Some(PooledInflater { inflater: Some(inflater), counted, setup_work, finished: false, deflate })
    }

    /// Takes the history back after a whole message, for the next one.
    pub(in crate::proto) fn take_history(&mut self, pooled: &mut PooledInflater) {
        if let (Some(takeover), Some(inflater)) = (&mut self.takeover, &mut pooled.inflater) {
            mem::swap(&mut inflater.history, &mut takeover.history);
        }
    }
}

/// An inflater in use by one message. It returns to the pool when dropped.
#[derive(Debug)]
pub(in crate::proto) struct PooledInflater {
    /// `Some` until dropped.
    inflater: Option<Box<Inflater>>,
    /// Whether it counts towards `max_unfinished`.
    counted: bool,
    /// The number of bytes that were moved to set up its window.
    setup_work: usize,
    /// Whether it reached the end of its message. Otherwise it is not used again.
    finished: bool,
    deflate: Deflate,
}

impl PooledInflater {
    /// Inflates from the start of `input` at most `max` bytes into [`output`](Self::output).
    pub(in crate::proto) fn inflate(&mut self, input: &[u8], max: usize) -> Step {
        self.inner().inflate(input, max)
    }

    /// Returns the output of the last step.
    pub(in crate::proto) fn output(&self) -> &[u8] {
        self.inflater.as_deref().map_or(&[], Inflater::output)
    }

    /// Ends the message.
    pub(in crate::proto) fn finish(&mut self) -> Result<(), Malformed> {
        let finished = self.inner().finish();
        self.finished = finished.is_ok();
        finished
    }

    /// Returns the memory that it takes beyond `max_unfinished`: 0 if it is counted.
    pub(in crate::proto) fn uncounted_bytes(&self) -> u64 {
        if self.counted { 0 } else { INFLATER_BYTES }
    }

    /// Returns the number of bytes that were moved before anything was inflated.
    pub(in crate::proto) fn setup_work(&self) -> usize {
        self.setup_work
    }

    fn inner(&mut self) -> &mut Inflater {
        self.inflater.as_mut().expect("the inflater is there until dropped")
    }
}

impl Drop for PooledInflater {
    fn drop(&mut self) {
        if let Some(inflater) = self.inflater.take() {
            self.deflate.release_inflater(self.finished.then_some(inflater), self.counted);
        }
    }
}

/// A reservation of the budget for one history.
#[derive(Debug)]
struct Reserved(Deflate);

impl Reserved {
    fn new(deflate: &Deflate) -> Option<Self> {
        deflate.reserve_history().then(|| Self(deflate.clone()))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.release_history();
    }
}

/// The most that an inflater takes: zlib's state and window, the history, and the output buffer.
const INFLATER_BYTES: u64 = 100_000;
