//! The engine's [`Driver`] in either role.

use switchboard::{CloseCode, CloseFrame, Driver, Masking, Next, Prepared, ProtocolError, SendError, State};

use crate::{Event, EventKind};

/// An open connection, whichever end of it.
pub(crate) trait Open: Send {
    /// Returns the next event in `bytes`, with the number of them that are read; on an error all of them are. A payload
    /// that is not in `bytes` is in `buffer` then.
    fn receive(&mut self, bytes: &mut [u8], buffer: &mut Vec<u8>) -> Result<(Event, usize), ProtocolError>;
    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), SendError>;
    fn fail(&mut self, frame: CloseFrame<'_>) -> Result<(), SendError>;
    fn output(&self) -> &[u8];
    fn wrote(&mut self, count: usize);
    fn next(&self) -> Next;
    fn state(&self) -> State;
    fn has_unfinished(&self) -> bool;
    fn allocated_bytes(&self) -> u64;
}

/// A frame or a message to send.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outgoing<'a> {
    Text { text: &'a str, may_compress: bool },
    Binary { payload: &'a [u8], may_compress: bool },
    TextFragment { text: &'a str, fin: bool },
    BinaryFragment { payload: &'a [u8], fin: bool },
    Ping(&'a [u8]),
    Pong(&'a [u8]),
    Prepared(&'a Prepared),
    Close(Option<CloseFrame<'a>>),
}

impl<M: Masking + Send> Open for Driver<M> {
    fn receive(&mut self, bytes: &mut [u8], buffer: &mut Vec<u8>) -> Result<(Event, usize), ProtocolError> {
        let (length, input) = (bytes.len(), bytes.as_ptr_range());
        let (mut events, mut outgoing) = Self::receive(self, bytes);
        let (kind, close_code, payload) = match events.next_event(&mut outgoing)? {
            Some(switchboard::Event::Text(text)) => (EventKind::Text, 0, text.as_bytes()),
            Some(switchboard::Event::Binary(payload)) => (EventKind::Binary, 0, payload),
            Some(switchboard::Event::Ping(payload)) => (EventKind::Ping, 0, payload),
            Some(switchboard::Event::Pong(payload)) => (EventKind::Pong, 0, payload),
            Some(switchboard::Event::Close(frame)) => {
                let code = frame.map_or(CloseCode::NO_STATUS_RECEIVED, |frame| frame.code);
                (EventKind::Close, code.get(), frame.map_or("", |frame| frame.reason).as_bytes())
            }
            // Pieces, which are delivered to those alone who ask for them, and no event: then all bytes are read.
            Some(_) | None => return Ok((Event::NONE, length)),
        };
        let own = payload.as_ptr_range();
        let mut event = Event { kind, close_code, data: payload.into() };
        let used = length - events.unread();
        // A payload in the input is the caller's. Any other is the end of a buffer, which is kept.
        if own.start < input.start || own.end > input.end {
            *buffer = events.into_buffer();
            let start = buffer.len().saturating_sub(event.data.length);
            event.data = buffer[start..].into();
        }
        Ok((event, used))
    }

    fn send(&mut self, outgoing: Outgoing<'_>) -> Result<(), SendError> {
        let mut sender = self.outgoing();
        match outgoing {
            Outgoing::Text { text, may_compress: true } => sender.text(text),
            Outgoing::Text { text, may_compress: false } => sender.text_uncompressed(text),
            Outgoing::Binary { payload, may_compress: true } => sender.binary(payload),
            Outgoing::Binary { payload, may_compress: false } => sender.binary_uncompressed(payload),
            Outgoing::TextFragment { text, fin } => sender.text_fragment(text, fin),
            Outgoing::BinaryFragment { payload, fin } => sender.binary_fragment(payload, fin),
            Outgoing::Ping(payload) => sender.ping(payload),
            Outgoing::Pong(payload) => sender.pong(payload),
            Outgoing::Prepared(message) => sender.prepared(message),
            Outgoing::Close(frame) => sender.close(frame),
        }
    }

    fn fail(&mut self, frame: CloseFrame<'_>) -> Result<(), SendError> {
        Self::fail(self, frame)
    }

    fn output(&self) -> &[u8] {
        Self::output(self)
    }

    fn wrote(&mut self, count: usize) {
        Self::wrote(self, count);
    }

    fn next(&self) -> Next {
        Self::next(self)
    }

    fn state(&self) -> State {
        Self::state(self)
    }

    fn has_unfinished(&self) -> bool {
        self.receiver().has_unfinished()
    }

    fn allocated_bytes(&self) -> u64 {
        self.receiver().allocated_bytes()
    }
}
