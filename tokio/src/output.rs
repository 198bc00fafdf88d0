//! What waits to be written: frames in one buffer, and large payloads, which stay where they are.

use std::{collections::VecDeque, io::IoSlice, ptr};

use switchboard::{Masking, SendError, Sender};

use crate::{Message, buffers};

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Frames without the payloads in `payloads`.
    bytes: Vec<u8>,
    /// `bytes[..written]` is written. Once all is, there is no buffer.
    written: usize,
    /// Large payloads, each with the number of `bytes` before it, which is never less than that of the one before.
    payloads: VecDeque<(usize, Vec<u8>)>,
    /// The number of bytes of the first payload that are written.
    payload_written: usize,
    /// The number of bytes of all payloads that are not written.
    payload_bytes: usize,
}

impl Output {
    /// Returns the number of bytes that are not written.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.payload_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets `encode` append frames.
    pub(crate) fn append<R>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers::take_output();
        }
        let result = encode(&mut self.bytes);
        if self.is_empty() {
            self.clear();
        }
        result
    }

    /// Appends a server's message, whose payload is not copied unless it is compressed.
    pub(crate) fn append_owned<M: Masking>(
        &mut self,
        sender: &mut Sender<M>,
        message: Message,
    ) -> Result<(), SendError> {
        let is_owned = self.append(|bytes| {
            let mut frame = Unowned { bytes, payload: message.payload(), is_left_out: false };
            message.encode(sender, &mut frame)?;
            Ok(frame.is_left_out)
        })?;
        if is_owned {
            let payload = message.into_payload();
            self.payload_bytes += payload.len();
            self.payloads.push_back((self.bytes.len(), payload));
        }
        Ok(())
    }

    /// Returns all bytes if they are in one buffer.
    pub(crate) fn contiguous(&self) -> Option<&[u8]> {
        self.payloads.is_empty().then(|| &self.bytes[self.written..])
    }

    /// Fills `slices` with the first bytes to write. Returns the number of slices that have some.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut add = |bytes: &'a [u8]| {
            if let (Some(slice), false) = (slices.get_mut(count), bytes.is_empty()) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
        };
        let (mut start, mut skipped) = (self.written, self.payload_written);
        for (before, payload) in self.payloads.iter().take(MAX_SLICES) {
            add(&self.bytes[start..*before]);
            add(&payload[skipped..]);
            (start, skipped) = (*before, 0);
        }
        if self.payloads.len() <= MAX_SLICES {
            add(&self.bytes[start..]);
        }
        count
    }

    /// Removes the first `count` bytes, which are written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while let Some((before, payload)) = self.payloads.front() {
            let of_bytes = count.min(before - self.written);
            self.written += of_bytes;
            count -= of_bytes;
            let of_payload = count.min(payload.len() - self.payload_written);
            self.payload_written += of_payload;
            self.payload_bytes -= of_payload;
            count -= of_payload;
            if self.payload_written < payload.len() {
                break;
            }
            self.payloads.pop_front();
            self.payload_written = 0;
        }
        self.written = self.bytes.len().min(self.written + count);
        if self.is_empty() {
            self.clear();
        } else if self.written > self.bytes.len() - self.written {
            // Each byte is moved at most once for one that was written.
            self.bytes.drain(..self.written);
            for (before, _) in &mut self.payloads {
                *before -= self.written;
            }
            self.written = 0;
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        let Self { bytes, .. } = std::mem::take(self);
        buffers::give_output(bytes);
    }
}

/// Takes frames, but leaves out the payload that is `payload`. Of a server's frame nobody changes the payload.
struct Unowned<'a> {
    bytes: &'a mut Vec<u8>,
    payload: &'a [u8],
    is_left_out: bool,
}

impl switchboard::Output for Unowned<'_> {
    fn append_frame(&mut self, header: &[u8], payload: &[u8]) -> Result<&mut [u8], SendError> {
        if !ptr::eq(payload, self.payload) {
            return self.bytes.append_frame(header, payload); // compressed
        }
        self.bytes.extend_from_slice(header);
        self.is_left_out = true;
        Ok(&mut [])
    }
}

/// The number of slices that one write has at most.
pub(crate) const MAX_SLICES: usize = 16;

#[cfg(test)]
mod tests {
    use switchboard::{Connection, Delivery, Limits};

    use super::*;

    /// Frames, payloads and frames, and the bytes that they are.
    fn mixed() -> (Output, Vec<u8>) {
        let mut sender = Connection::server(Limits::default(), Delivery::Messages).sender;
        let (mut output, mut expected) = (Output::default(), Vec::new());
        for length in [3_usize, 5000, 4097, 7, 70_000, 0, 1, 9000] {
            let message = Message::Binary((0..length).map(|at| (at * length) as u8).collect());
            message.encode(&mut sender, &mut expected).expect("a Vec has room");
            if length > 4000 {
                output.append_owned(&mut sender, message).expect("a Vec has room");
            } else {
                output.append(|bytes| message.encode(&mut sender, bytes)).expect("a Vec has room");
            }
        }
        (output, expected)
    }

    #[test]
    fn all_bytes_are_written_once_and_in_order_however_they_are_cut() {
        for (at_once, max_slices) in [(1, 1), (2, 16), (7, 2), (4095, 3), (5000, 16), (65_536, 16), (usize::MAX, 16)] {
            let (mut output, expected) = mixed();
            assert_eq!(output.len(), expected.len());
            let mut written = Vec::new();
            while !output.is_empty() {
                let before = written.len();
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = output.slices(&mut slices[..max_slices]);
                assert!(slices[..count].iter().all(|slice| !slice.is_empty()));
                for slice in &slices[..count] {
                    let left = at_once.saturating_sub(written.len() - before);
                    written.extend_from_slice(&slice[..slice.len().min(left)]);
                }
                let count = written.len() - before;
                output.advance(count);
                assert_eq!(output.len(), expected.len() - written.len());
            }
            assert!(written == expected, "{at_once} bytes at once, {max_slices} slices");
            assert_eq!((output.bytes.capacity(), output.payloads.capacity()), (0, 0), "nothing is kept");
        }
    }

    #[test]
    fn a_large_payload_stays_where_it_is() {
        let mut sender = Connection::server(Limits::default(), Delivery::Messages).sender;
        let payload = vec![7; 5000];
        let place = payload.as_ptr();
        let mut output = Output::default();
        output.append_owned(&mut sender, Message::Binary(payload)).expect("a Vec has room");
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        assert_eq!(output.slices(&mut slices), 2);
        assert_eq!((&*slices[0], slices[1].as_ptr()), ([0x82, 126, 0x13, 0x88].as_slice(), place));
    }
}
