//! What of permessage-deflate the two halves of a connection hold: next to nothing, unless context takeover was agreed.

use std::{boxed::Box, mem, sync::OnceLock};

use super::{
    Deflate, DeflateParams,
    codec::{History, Inflater, Malformed, Step},
    params::WindowBits,
    pool::ContextId,
};
use crate::proto::Role;

/// permessage-deflate as it was agreed on for one connection. Holds the memory that was reserved for it.
#[derive(Debug)]
pub(in crate::proto) struct DeflateAgreement {
    params: DeflateParams,
    deflate: Deflate,
    history: Option<Reserved>,
}

impl DeflateAgreement {
    /// An agreement that was reached elsewhere; `role` is ours. `None` where the peer may take its context over and the
    /// budget is spent.
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

    /// What a server answers to an offer that it takes: `params`, and where there is no memory for windows, that they
    /// are not used.
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

/// What a client offers, with the memory for it: without a budget that neither end takes its context over, and in any
/// case that the server may limit our window.
#[derive(Debug)]
pub(in crate::proto) struct DeflateOffer {
    deflate: Deflate,
    history: Option<Reserved>,
}

impl DeflateOffer {
    pub(in crate::proto) fn new(deflate: &Deflate) -> Self {
        Self { deflate: deflate.clone(), history: Reserved::new(deflate) }
    }

    /// What is asked for: that windows are not used is to be confirmed.
    pub(in crate::proto) fn params(&self) -> DeflateParams {
        DeflateParams {
            server_no_context_takeover: self.history.is_none(),
            client_no_context_takeover: !self.deflate.allows_takeover(WindowBits::MAX),
            ..DeflateParams::default()
        }
    }

    /// The server accepted it with these parameters.
    pub(in crate::proto) fn agree(self, params: DeflateParams) -> DeflateAgreement {
        let history = self.history.filter(|_| !params.server_no_context_takeover);
        DeflateAgreement { params, deflate: self.deflate, history }
    }
}

/// The sending half's.
#[derive(Debug)]
pub(in crate::proto) struct Deflating {
    deflate: Deflate,
    window_bits: WindowBits,
    takeover: bool,
    /// Where the window lies that the next message may refer to.
    context: Option<ContextId>,
}

impl Deflating {
    /// Compresses a message and hands it to `write`; gives `None` where it is better sent as it is.
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
            // The peer has not seen what this compressor has.
            self.deflate.release_compressor(compressor);
        }
        written
    }

    /// Whether the next message may refer to the last ones.
    pub(in crate::proto) fn keeps_context(&self) -> bool {
        self.takeover
    }

    /// How long a message may be that was compressed elsewhere, without context and with a window of 15 bits, so that
    /// the peer can inflate it: no distance in it is longer than the message.
    pub(in crate::proto) fn max_shared_bytes(&self) -> usize {
        if self.window_bits == WindowBits::MAX { usize::MAX } else { 1 << self.window_bits.get() }
    }

    pub(in crate::proto) fn deflate(&self) -> &Deflate {
        &self.deflate
    }

    /// The peer's window has moved by a message that our compressor has not seen, so ours begins anew.
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

/// A message's frame with the message compressed: made for the first who asks, for all.
#[derive(Debug, Default)]
pub(in crate::proto) struct CompressedOnce(OnceLock<Option<Box<[u8]>>>);

impl CompressedOnce {
    /// The frame, which `frame` makes around the compressed message; `None` where compression gains nothing.
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

/// The receiving half's.
#[derive(Debug)]
pub(in crate::proto) struct Inflating {
    deflate: Deflate,
    takeover: Option<Box<Takeover>>,
}

#[derive(Debug)]
struct Takeover {
    /// What the peer's next message may refer to. While one is being inflated this is the inflater's spare.
    history: History,
    _reserved: Reserved,
}

impl Inflating {
    /// An inflater for the message that begins; `whole`: its last byte is here.
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

    /// A message is whole: what the next one may refer to is kept.
    pub(in crate::proto) fn take_history(&mut self, pooled: &mut PooledInflater) {
        if let (Some(takeover), Some(inflater)) = (&mut self.takeover, &mut pooled.inflater) {
            mem::swap(&mut inflater.history, &mut takeover.history);
        }
    }
}

/// An inflater in use by one message; goes back where it came from when dropped.
#[derive(Debug)]
pub(in crate::proto) struct PooledInflater {
    /// There until dropped.
    inflater: Option<Box<Inflater>>,
    /// Counts among those that there is a number of, for unfinished messages.
    counted: bool,
    /// Bytes that were moved to set its window up.
    setup_work: usize,
    /// It came to the end of its message. Another one is not used again, whatever state it is in.
    finished: bool,
    deflate: Deflate,
}

impl PooledInflater {
    /// Inflates from the front of `input`, `most` bytes at most; see [`output`](Self::output).
    pub(in crate::proto) fn inflate(&mut self, input: &[u8], max: usize) -> Step {
        self.inner().inflate(input, max)
    }

    /// What the last step gave.
    pub(in crate::proto) fn output(&self) -> &[u8] {
        self.inflater.as_deref().map_or(&[], Inflater::output)
    }

    /// Ends the message.
    pub(in crate::proto) fn finish(&mut self) -> Result<(), Malformed> {
        let finished = self.inner().finish();
        self.finished = finished.is_ok();
        finished
    }

    /// Bytes that it takes and that no limit counts: 0 for one of those that there is a number of.
    pub(in crate::proto) fn uncounted_bytes(&self) -> u64 {
        if self.counted { 0 } else { INFLATER_BYTES }
    }

    /// Bytes that were moved before anything was inflated.
    pub(in crate::proto) fn setup_work(&self) -> usize {
        self.setup_work
    }

    fn inner(&mut self) -> &mut Inflater {
        self.inflater.as_mut().expect("it is there until dropped")
    }
}

impl Drop for PooledInflater {
    fn drop(&mut self) {
        if let Some(inflater) = self.inflater.take() {
            self.deflate.release_inflater(self.finished.then_some(inflater), self.counted);
        }
    }
}

/// Memory of the budget, for one history.
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

/// What an inflater takes at most: zlib's state and window, the history, and room for output.
const INFLATER_BYTES: u64 = 100_000;
