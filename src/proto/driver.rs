//! The loop around a connection ([§6.2], [§7]): events out, and every reply, failure and Close that the RFC requires in
//! the output.
//!
//! [§6.2]: https://www.rfc-editor.org/rfc/rfc6455#section-6.2
//! [§7]: https://www.rfc-editor.org/rfc/rfc6455#section-7

use alloc::vec::Vec;
use core::fmt;

use super::{
    CloseFrame, Connection, Event, Events, Masking, Message, Prepared, ProtocolError, Receiver, Room, SendError,
    Sender, SpareBuffer, State, Unmasked,
};

/// An open [`Connection`] with its output, without I/O.
///
/// The driver sends what the RFC requires: a Pong for each Ping, the Close that answers the peer's, and after a
/// violation the Close with the code that fits. The caller reads, writes, and handles messages:
///
/// ```
/// use switchboard::{Connection, Delivery, Driver, Event, Limits, Next, SendError};
///
/// # fn main() -> Result<(), SendError> {
/// let mut driver = Driver::new(Connection::server(Limits::default(), Delivery::Messages), Vec::new());
/// # let mut network = vec![0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
/// loop {
///     match driver.next() {
///         Next::Write => {
///             let written = driver.output().len(); // as many as the network takes
///             # assert_eq!(driver.output(), b"\x81\x02hi");
///             driver.wrote(written);
///             # break;
///         }
///         Next::Read => {
///             let (mut events, mut outgoing) = driver.receive(&mut network);
///             // An error is answered with a Close already, and no event follows it.
///             while let Ok(Some(event)) = events.next_event(&mut outgoing) {
///                 if let Event::Text(text) = event {
///                     outgoing.text(text)?;
///                 }
///             }
///         }
///         Next::End => break, // TCP, the server first
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// - From the network: [`receive`](Self::receive), and [`room`](Self::room) for large messages. To the network:
///   [`output`](Self::output), [`wrote`](Self::wrote).
/// - To send at any other time: [`outgoing`](Self::outgoing).
/// - What to do now: [`next`](Self::next). Getters: [`state`](Self::state), [`receiver`](Self::receiver),
///   [`sender`](Self::sender).
///
/// **Memory.** The output grows with what the caller sends, and with what the peer makes it send: after each Ping a
/// Pong of the same length, so at most three times the bytes that are received. As long as there is output,
/// [`next`](Self::next) does not ask for more input. After a longer output at most 64 KiB are kept.
///
/// **Deadlines** are the caller's; with the feature `std`, `Keepalive` computes them. To receive and
/// send in two tasks, take a [`Connection`] apart and pass an [`OwnedReply`](crate::OwnedReply) from one to the other.
pub struct Driver<M = Unmasked> {
    connection: Connection<M>,
    out: Vec<u8>,
    /// `out[..written]` is written; `written <= out.len()`, and both are 0 if all is.
    written: usize,
}

/// Numbers alone: what the two ends say may be secret.
impl<M: fmt::Debug> fmt::Debug for Driver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("connection", &self.connection)
            .field("output_bytes", &(self.out.len() - self.written))
            .finish()
    }
}

/// What the caller of a [`Driver`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Write the [output](Driver::output).
    Write,
    /// Read, and give the bytes to [`Driver::receive`].
    Read,
    /// End TCP: the closing handshake is done, or the connection has failed, and all output is written.
    ///
    /// A server ends its side first, and reads and drops what still comes for a moment: a socket that is closed with
    /// unread input sends a reset, which may overtake the last output
    /// ([§7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)). A client waits for the server's end.
    End,
}

impl<M: Masking> Driver<M> {
    /// `out` is written first, such as the response of a handshake.
    #[must_use]
    pub const fn new(connection: Connection<M>, out: Vec<u8>) -> Self {
        Self { connection, out, written: 0 }
    }

    /// Returns the events in bytes from the peer, which are unmasked in place, and what is needed to answer them.
    ///
    /// The bytes may be cut anywhere; the events are the same. Take all events: see [`Receiver::receive`].
    pub fn receive<'d, 'b>(&'d mut self, bytes: &'b mut [u8]) -> (Incoming<'d, 'b>, Outgoing<'d, M>) {
        let Connection { receiver, sender } = &mut self.connection;
        (Incoming { events: receiver.receive(bytes) }, Outgoing { sender, out: &mut self.out })
    }

    /// Returns room for the rest of a large message, for the next read; see [`Receiver::room`]. After the read call
    /// [`Room::finish`], and give [`receive`](Self::receive) the bytes after the frame, even if there are none.
    pub fn room<'d, 'b>(&'d mut self, buffer: &'b mut [u8]) -> Option<Room<'d, 'b>> {
        self.connection.receiver.room(buffer)
    }

    /// Returns what is needed to send.
    pub fn outgoing(&mut self) -> Outgoing<'_, M> {
        Outgoing { sender: &mut self.connection.sender, out: &mut self.out }
    }

    /// _Fails the connection_ for a reason outside of the protocol, such as a deadline (§7.1.7): sends this Close, and
    /// drops later input. Does nothing to a direction that has ended already.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`]. Nothing has changed.
    pub fn fail(&mut self, frame: CloseFrame<'_>) -> Result<(), SendError> {
        match self.outgoing().close(Some(frame)) {
            Ok(()) | Err(SendError::Closed) => {
                self.connection.receiver.fail();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the frames that are not written yet.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// Removes the first `count` bytes from the output, because they are written.
    pub fn wrote(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.out.len() {
            self.written = 0;
            self.out.clear();
            self.out.shrink_to(MAX_KEPT_BYTES);
        }
    }

    /// Returns what to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        match self.state() {
            _ if !self.output().is_empty() => Next::Write,
            State::Open | State::Closing => Next::Read,
            State::Closed => Next::End,
        }
    }

    /// Returns the state of the connection.
    #[must_use]
    pub fn state(&self) -> State {
        self.connection.state()
    }

    /// Returns the receiving half, for its getters.
    #[must_use]
    pub const fn receiver(&self) -> &Receiver {
        &self.connection.receiver
    }

    /// Returns the sending half, for its getters.
    #[must_use]
    pub const fn sender(&self) -> &Sender<M> {
        &self.connection.sender
    }

    /// Returns the connection, and the output that is not written.
    #[must_use]
    pub fn into_parts(mut self) -> (Connection<M>, Vec<u8>) {
        self.out.drain(..self.written);
        (self.connection, self.out)
    }
}

/// The events in one piece of input; see [`Driver::receive`].
#[derive(Debug)]
pub struct Incoming<'d, 'b> {
    events: Events<'d, 'b>,
}

impl<'d, 'b> Incoming<'d, 'b> {
    /// Pauses after about `bytes` have been inflated; see [`Events::with_inflate_budget`].
    #[must_use]
    pub fn with_inflate_budget(self, bytes: usize) -> Self {
        Self { events: self.events.with_inflate_budget(bytes) }
    }

    /// Keeps the buffer of a large message for the next one; see [`SpareBuffer`].
    #[must_use]
    pub fn with_spare(self, spare: &'d mut SpareBuffer) -> Self {
        Self { events: self.events.with_spare(spare) }
    }

    /// Returns the next event, or `None` if there is none in this input. The reply that the RFC requires is in the
    /// output already.
    ///
    /// # Errors
    /// The rule that the peer has broken. The Close for it is in the output, and no event follows.
    pub fn next_event<M: Masking>(
        &mut self,
        outgoing: &mut Outgoing<'_, M>,
    ) -> Result<Option<Event<'_>>, ProtocolError> {
        match self.events.next_event() {
            Ok(Some(event)) => {
                if let Some(reply) = event.reply() {
                    let sent = outgoing.sender.reply(reply, outgoing.out);
                    debug_assert_eq!(sent, Ok(()), "a Vec has room, and an event has a valid reply");
                }
                Ok(Some(event))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                let sent = outgoing.sender.fail(&error, outgoing.out);
                debug_assert_eq!(sent, Ok(()), "a Vec has room, and an error has a valid code");
                Err(error)
            }
        }
    }

    /// Returns how many bytes of the input are not read; see [`Events::unread`].
    #[must_use]
    pub fn unread(&self) -> usize {
        self.events.unread()
    }

    /// Returns the buffer of the last event, to keep its payload without a copy; see [`Events::into_buffer`].
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.events.into_buffer()
    }
}

/// The sending half of a [`Driver`], which appends to its output.
///
/// Each method sends one whole frame, or returns an error and changes nothing. [`Sender`] describes them.
#[derive(Debug)]
pub struct Outgoing<'d, M = Unmasked> {
    sender: &'d mut Sender<M>,
    out: &'d mut Vec<u8>,
}

impl<M: Masking> Outgoing<'_, M> {
    /// Sends a whole message: [`Sender::message`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn message(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.sender.message(message, self.out)
    }

    /// Sends a text message: [`Sender::text`].
    ///
    /// # Errors
    /// [`SendError::Closed`], [`SendError::MessageUnfinished`].
    pub fn text(&mut self, text: &str) -> Result<(), SendError> {
        self.sender.text(text, self.out)
    }

    /// Sends a binary message: [`Sender::binary`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.binary(payload, self.out)
    }

    /// Sends a text message that is never compressed: [`Sender::text_uncompressed`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn text_uncompressed(&mut self, text: &str) -> Result<(), SendError> {
        self.sender.text_uncompressed(text, self.out)
    }

    /// Sends a binary message that is never compressed: [`Sender::binary_uncompressed`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary_uncompressed(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.binary_uncompressed(payload, self.out)
    }

    /// Sends the next fragment of a text message: [`Sender::text_fragment`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn text_fragment(&mut self, text: &str, fin: bool) -> Result<(), SendError> {
        self.sender.text_fragment(text, fin, self.out)
    }

    /// Sends the next fragment of a binary message: [`Sender::binary_fragment`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn binary_fragment(&mut self, payload: &[u8], fin: bool) -> Result<(), SendError> {
        self.sender.binary_fragment(payload, fin, self.out)
    }

    /// Sends a message that was encoded once for many connections: [`Sender::prepared`].
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn prepared(&mut self, message: &Prepared) -> Result<(), SendError> {
        self.sender.prepared(message, self.out)
    }

    /// Sends a Ping with a payload of at most 125 bytes: [`Sender::ping`].
    ///
    /// # Errors
    /// [`SendError::ControlTooLong`], [`SendError::Closed`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.ping(payload, self.out)
    }

    /// Sends an unsolicited Pong with a payload of at most 125 bytes: [`Sender::pong`].
    ///
    /// # Errors
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.sender.pong(payload, self.out)
    }

    /// Starts the closing handshake: [`Sender::close`]. Messages of the peer may still arrive, up to its Close.
    ///
    /// # Errors
    /// [`SendError::InvalidCloseCode`], [`SendError::ReasonTooLong`], [`SendError::Closed`].
    pub fn close(&mut self, frame: Option<CloseFrame<'_>>) -> Result<(), SendError> {
        self.sender.close(frame, self.out)
    }
}

/// The capacity of the output that is kept once all of it is written, in bytes.
const MAX_KEPT_BYTES: usize = 64 << 10;
