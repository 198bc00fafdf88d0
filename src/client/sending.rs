//! The sending half of a client.

use std::{fmt, sync::Arc, time::Duration};

use super::{ClientError, Message, Stage, deadline::Deadline, link::Link};
use crate::{CloseCode, CloseFrame, Masked, RandomKeys, SendError, Sender};

/// The sending half of a [`Client`](super::Client), from [`Client::split`](super::Client::split).
///
/// Its methods are those of the client. A send that waits for the server does not keep the [`ReceivingHalf`] from
/// receiving.
///
/// [`ReceivingHalf`]: super::ReceivingHalf
pub struct SendingHalf {
    link: Arc<Link>,
    write_timeout: Option<Duration>,
}

impl SendingHalf {
    pub(super) fn new(link: Arc<Link>, write_timeout: Option<Duration>) -> Self {
        Self { link, write_timeout }
    }

    /// Sends a message or a control frame: see [`Client::send`](super::Client::send).
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn send(&mut self, message: &Message) -> Result<(), ClientError> {
        self.send_with(|sender, out| match message {
            Message::Text(text) => sender.text(text, out),
            Message::Binary(payload) => sender.binary(payload, out),
            Message::Ping(payload) => sender.ping(payload, out),
            Message::Pong(payload) => sender.pong(payload, out),
            Message::Close(frame) => {
                let frame = frame.as_ref().map(|(code, reason)| CloseFrame { code: *code, reason });
                sender.close(frame, out)
            }
        })
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn send_text(&mut self, text: &str) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.text(text, out))
    }

    /// Sends a binary message.
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.binary(payload, out))
    }

    /// Sends the next fragment of a text message: see
    /// [`Client::send_text_fragment`](super::Client::send_text_fragment).
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn send_text_fragment(&mut self, text: &str, fin: bool) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.text_fragment(text, fin, out))
    }

    /// Sends the next fragment of a binary message: see
    /// [`Client::send_binary_fragment`](super::Client::send_binary_fragment).
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn send_binary_fragment(&mut self, payload: &[u8], fin: bool) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.binary_fragment(payload, fin, out))
    }

    /// Sends a Ping with a payload of at most 125 bytes. The receiving half returns the server's Pong.
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.ping(payload, out))
    }

    /// Sends a Close, after which nothing more can be sent. Does not wait for the server's Close, which the receiving
    /// half returns after the messages before it.
    ///
    /// # Errors
    /// See [`Client::send`](super::Client::send).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), ClientError> {
        self.send_with(|sender, out| sender.close(Some(CloseFrame { code, reason }), out))
    }

    /// Returns whether messages can be sent: no send has failed, no Close was sent, and the connection has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        // While the receiving half writes a Pong, a send would wait for it.
        self.link.is_sending().unwrap_or(true)
    }

    /// Lets `send` append frames, and writes them. If the receiving half is writing a reply, waits for that first.
    pub(super) fn send_with(
        &mut self,
        send: impl FnOnce(&mut Sender<Masked<RandomKeys>>, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), ClientError> {
        let mut turn = self.link.turn(Deadline::after(self.write_timeout)).ok_or(ClientError::Timeout(Stage::Send))?;
        turn.send(send, Deadline::PerCall(self.write_timeout), Stage::Send)
    }
}

impl fmt::Debug for SendingHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendingHalf").field("link", &self.link).finish_non_exhaustive()
    }
}
