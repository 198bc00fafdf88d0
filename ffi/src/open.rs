//! The engine's [`Driver`] in either role.

use switchboard::{CloseCode, CloseFrame, Driver, Masking, Next, ProtocolError, SendError, State};

use crate::{Event, EventKind};

/// An open connection, whichever end of it.
pub(crate) trait Open: Send {
    /// Returns the next event in `bytes`, with the number of them that are read. A payload that is not in `bytes` is in
    /// `buffer` then.
    fn receive(&mut self, bytes: &mut [u8], buffer: &mut Vec<u8>) -> (Result<Event, ProtocolError>, usize);
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
    Close(Option<CloseFrame<'a>>),
}

impl<M: Masking + Send> Open for Driver<M> {
    fn receive(&mut self, bytes: &mut [u8], buffer: &mut Vec<u8>) -> (Result<Event, ProtocolError>, usize) {
        let (length, input) = (bytes.len(), bytes.as_ptr_range());
        let (mut events, mut outgoing) = Self::receive(self, bytes);
        let found = match events.next_event(&mut outgoing) {
            Ok(None) => Ok((Event::NONE, None)),
            Ok(Some(event)) => Ok(match event {
                switchboard::Event::Text(text) => (Event::of(EventKind::Text), Some(text.as_bytes())),
                switchboard::Event::Binary(payload) => (Event::of(EventKind::Binary), Some(payload)),
                switchboard::Event::Ping(payload) => (Event::of(EventKind::Ping), Some(payload)),
                switchboard::Event::Pong(payload) => (Event::of(EventKind::Pong), Some(payload)),
                switchboard::Event::Close(frame) => {
                    let code = frame.map_or(CloseCode::NO_STATUS_RECEIVED, |frame| frame.code).get();
                    let reason = frame.map_or("", |frame| frame.reason);
                    (Event { close_code: code, ..Event::of(EventKind::Close) }, Some(reason.as_bytes()))
                }
                // Pieces, which are delivered to those alone who ask for them.
                _ => (Event::NONE, None),
            }),
            Err(error) => Err(error),
        };
        // A payload in the input is the caller's. Any other is the end of a buffer, which is kept.
        let found = found.map(|(event, payload)| match payload {
            None => (event, 0),
            Some(payload) => {
                let own = payload.as_ptr_range();
                let is_in_input = input.start <= own.start && own.end <= input.end;
                (Event { data: payload.into(), ..event }, if is_in_input { 0 } else { payload.len() })
            }
        });
        let used = length - events.unread();
        *buffer = events.into_buffer();
        let event = found.map(|(event, kept)| match buffer.len().checked_sub(kept) {
            Some(start) if kept > 0 => Event { data: buffer[start..].into(), ..event },
            _ => event,
        });
        (event, used)
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
