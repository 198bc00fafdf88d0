//! Buffers that the connections of a thread share. A connection has one only while bytes are in it: an idle connection
//! has none, and a buffer is used again while it is still in the processor's cache.

use std::{cell::RefCell, fmt, mem, thread::LocalKey};

/// Input that was read and is not processed.
#[derive(Default)]
pub(crate) struct Input {
    /// Empty if all is processed. The bytes outside of `start..end` may be another connection's.
    buffer: Vec<u8>,
    /// `start <= end <= buffer.len()`.
    start: usize,
    end: usize,
}

impl Input {
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Returns the bytes that are not processed.
    pub(crate) fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// All bytes are processed but the last `count`.
    pub(crate) fn keep_last(&mut self, count: usize) {
        self.start = self.end.saturating_sub(count).max(self.start);
        if self.is_empty() {
            give_input(mem::take(self).buffer);
        }
    }

    /// Lets `read` fill a buffer; `filled` returns the number of bytes that are in it then. The input was empty before.
    pub(crate) fn fill<R>(&mut self, read: impl FnOnce(&mut [u8]) -> R, filled: impl FnOnce(&R) -> usize) -> R {
        let mut buffer = take(&INPUT).unwrap_or_else(|| vec![0; READ_BYTES]);
        let result = read(&mut buffer);
        let end = filled(&result).min(buffer.len());
        *self = Self { buffer, start: 0, end };
        self.keep_last(end);
        result
    }
}

impl From<Vec<u8>> for Input {
    fn from(buffer: Vec<u8>) -> Self {
        Self { start: 0, end: buffer.len(), buffer }
    }
}

/// Without the bytes, as some may be another connection's.
impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("unread", &(self.end - self.start)).finish_non_exhaustive()
    }
}

/// Returns an empty buffer for output.
pub(crate) fn take_output() -> Vec<u8> {
    take(&OUTPUT).unwrap_or_default()
}

/// Takes back a buffer for output. One that has grown much is freed.
pub(crate) fn give_output(mut buffer: Vec<u8>) {
    buffer.clear();
    if (1..=MAX_OUTPUT_BYTES).contains(&buffer.capacity()) {
        give(&OUTPUT, buffer);
    }
}

/// Takes back a buffer for input, unless it comes from elsewhere.
fn give_input(buffer: Vec<u8>) {
    if buffer.len() == READ_BYTES {
        give(&INPUT, buffer);
    }
}

type Pool = LocalKey<RefCell<Vec<Vec<u8>>>>;

fn take(pool: &'static Pool) -> Option<Vec<u8>> {
    pool.try_with(|free| free.borrow_mut().pop()).ok().flatten()
}

/// A thread that ends takes no buffer back.
fn give(pool: &'static Pool, buffer: Vec<u8>) {
    let _ = pool.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < MAX_FREE {
            free.push(buffer);
        }
    });
}

thread_local! {
    static INPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The most that one read returns, in bytes.
const READ_BYTES: usize = 128 << 10;
/// The capacity of a buffer for output that is used again, in bytes.
const MAX_OUTPUT_BYTES: usize = 128 << 10;
/// The number of free buffers that a thread keeps of each kind.
const MAX_FREE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_has_a_buffer_only_while_it_has_bytes() {
        let mut input = Input::default();
        let read = input.fill(
            |buffer| {
                buffer[..3].copy_from_slice(b"abc");
                3
            },
            |count| *count,
        );
        assert_eq!((read, input.unread().to_vec(), input.is_empty()), (3, b"abc".to_vec(), false));
        input.keep_last(2);
        assert_eq!((input.unread().to_vec(), input.buffer.len()), (b"bc".to_vec(), READ_BYTES));
        input.keep_last(0);
        assert_eq!((input.unread().to_vec(), input.buffer.capacity(), input.is_empty()), (Vec::new(), 0, true));
        assert_eq!(INPUT.with_borrow(Vec::len), 1, "the thread has it back");
        input.fill(|_| (), |()| 0);
        assert_eq!((input.buffer.capacity(), INPUT.with_borrow(Vec::len)), (0, 1), "nothing came");
        input = b"leftover".to_vec().into();
        input.keep_last(0);
        assert_eq!((input.buffer.capacity(), INPUT.with_borrow(Vec::len)), (0, 1), "another buffer is freed");
    }

    #[test]
    fn a_thread_keeps_few_buffers_and_no_large_ones() {
        for _ in 0..9 {
            give_input(vec![0; READ_BYTES]);
            give_output(Vec::with_capacity(MAX_OUTPUT_BYTES));
        }
        assert_eq!((INPUT.with_borrow(Vec::len), OUTPUT.with_borrow(Vec::len)), (MAX_FREE, MAX_FREE));
        OUTPUT.with_borrow_mut(Vec::clear);
        give_output(Vec::with_capacity(MAX_OUTPUT_BYTES + 1));
        give_output(Vec::new());
        assert_eq!(OUTPUT.with_borrow(Vec::len), 0);
        give_output(vec![1; 10]);
        assert_eq!((take_output(), OUTPUT.with_borrow(Vec::len)), (Vec::new(), 0), "an empty one");
    }

    #[test]
    fn debug_output_has_no_bytes() {
        assert_eq!(format!("{:?}", Input::from(b"secret".to_vec())), "Input { unread: 6, .. }");
    }
}
