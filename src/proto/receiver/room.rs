//! Room for the rest of a frame, in the buffer of its message.
//!
//! Bytes that are read into the caller's buffer and belong to an unfinished message are copied into that message's own
//! buffer. Of a large message that is most of the cost. So a caller can read the rest where it belongs.

use alloc::vec::Vec;

use super::{Events, Receiver, Unfinished};
use crate::proto::message::{Coding, MessageAssembler, PartialMessage};

/// Room for more of an unfinished binary message, in the message's own buffer; from [`Receiver::room`].
///
/// Read once into the spare capacity of [`vec`](Self::vec), then take the events with [`receive`](Self::receive).
/// Nothing needs to be initialised first: `rustix::buffer::spare_capacity` and tokio's `read_buf` append to a `Vec`.
///
/// ```
/// use switchboard::{Connection, Delivery, Event, Limits};
///
/// let mut receiver = Connection::server(Limits::default(), Delivery::Messages).receiver;
/// let mut buffer = vec![0; 16 << 10];
/// # let key = [1, 2, 3, 4];
/// # let payload = vec![7; 40_000];
/// # let mut wire = vec![0x82, 0x80 | 126, 0x9C, 0x40, 1, 2, 3, 4];
/// # wire.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
/// # let mut network = wire.as_slice();
/// # let mut received = 0;
/// # while !network.is_empty() {
/// let mut events = match receiver.room(&mut buffer) {
///     Some(mut room) => {
///         let vec = room.vec();
///         let (now, later) = network.split_at(network.len().min(vec.capacity() - vec.len()));
///         vec.extend_from_slice(now); // a read
///         network = later;
///         room.receive()
///     }
///     None => {
///         let (now, later) = network.split_at(network.len().min(buffer.len()));
///         buffer[..now.len()].copy_from_slice(now); // a read
///         network = later;
///         receiver.receive(&mut buffer[..now.len()])
///     }
/// };
/// while let Some(event) = events.next_event()? {
///     # received += 1;
///     # assert_eq!(event, Event::Binary(&payload));
/// }
/// # }
/// # assert_eq!(received, 1);
/// # Ok::<(), switchboard::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Room<'r, 'b> {
    receiver: &'r mut Receiver,
    /// Takes the bytes after the frame's end.
    buffer: &'b mut [u8],
}

impl Receiver {
    /// Returns room for the rest of an unfinished frame, in the buffer of its message; or `None` if the next read goes
    /// to a buffer of the caller's, and from there to [`receive`](Self::receive).
    ///
    /// There is room while a binary message is neither compressed nor returned in [pieces](crate::Delivery::Pieces),
    /// and at least 4 KiB of its frame are missing. The buffer has at most as much room as bytes have arrived. What a
    /// header claims is not allocated.
    ///
    /// The room may be longer than the frame: for the last frame of a message by a byte, so that a read that does not
    /// fill it has read everything; for others by the length of `buffer` at most. `buffer` takes the bytes after the
    /// frame's end: use the one that other reads go to.
    pub fn room<'r, 'b>(&'r mut self, buffer: &'b mut [u8]) -> Option<Room<'r, 'b>> {
        let message = self.lendable()?;
        let frame = message.frame.filter(|frame| frame.remaining >= MIN_LENT_BYTES)?;
        let has_room = message.assembler.make_lent_room(frame.remaining, frame.fin, buffer.len());
        has_room.then_some(Room { receiver: self, buffer })
    }

    /// Returns the unfinished message if it is one whose buffer is lent.
    fn lendable(&mut self) -> Option<&mut PartialMessage> {
        match &mut self.unfinished {
            Unfinished::Message(message) if matches!(message.coding, Coding::Plain) => Some(message),
            Unfinished::Message(_) | Unfinished::Control(_) | Unfinished::Nothing => None,
        }
    }
}

impl<'r, 'b> Room<'r, 'b> {
    /// Returns the message's buffer. Its spare capacity, at least 4 KiB, is the room.
    ///
    /// Only append to it, and not more than that: what is in it is the message so far.
    ///
    /// # Panics
    /// Never: a room is only made for a message with such a buffer.
    pub fn vec(&mut self) -> &mut Vec<u8> {
        let message = self.receiver.lendable();
        message.and_then(|message| message.assembler.lent_mut()).expect("the message of a room has a buffer")
    }

    /// Returns the events in the bytes that were appended to [`vec`](Self::vec), as [`Receiver::receive`] does. Without
    /// this call, or [`finish`](Self::finish), these bytes are dropped.
    ///
    /// The unread bytes, of which [`Events::unread`] is the number, come from behind the frame: see `finish`.
    ///
    /// # Panics
    /// If more was appended than there was room.
    pub fn receive(mut self) -> Events<'r, 'b> {
        let after = self.take();
        Events::new(self.receiver, &mut self.buffer[..after])
    }

    /// Takes the bytes that were appended to [`vec`](Self::vec). Returns the number of those after the frame's end,
    /// which are now at the start of the buffer that was given to [`Receiver::room`].
    ///
    /// Give these to [`Receiver::receive`] next, even if there are none: it returns the message if that is whole.
    ///
    /// # Panics
    /// If more was appended than there was room.
    pub fn finish(mut self) -> usize {
        self.take()
    }

    fn take(&mut self) -> usize {
        let Some(message) = self.receiver.lendable() else { return 0 };
        let Some(frame) = message.frame else { return 0 };
        let (taken, rest) = message.assembler.take_lent(frame.remaining, frame.mask);
        let after = rest.len();
        self.buffer[..after].copy_from_slice(rest);
        message.assembler.drop_lent();
        message.wire_bytes += taken as u64;
        message.frame = Some(frame.after(taken));
        after
    }
}

/// For less than this a read into the caller's buffer is better: it takes the frames that follow, too.
const MIN_LENT_BYTES: u64 = MessageAssembler::MIN_LENT_BYTES as u64;
