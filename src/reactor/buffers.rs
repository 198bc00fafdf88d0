//! The buffers that a transport needs while it works, one pair for all connections of a worker.

/// Ciphertext on its way in and out. Plain TCP needs none, and allocates nothing here.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The bytes that are read, after those of a record that is not complete.
    #[cfg(feature = "tls")]
    pub(super) input: Vec<u8>,
    pub(super) output: Output,
}

impl Buffers {
    /// Returns what the transport wants to be sent, or has sent only in part: what the kernel did not take.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.output.bytes()
    }

    /// Forgets the bytes that were not sent: the caller has kept them.
    pub(crate) fn clear(&mut self) {
        self.output.clear();
    }
}

/// Bytes for the kernel. The memory is initialised once, not each time it is used.
#[derive(Debug, Default)]
pub(super) struct Output {
    buffer: Vec<u8>,
    /// The bytes in use: `buffer[sent..end]`.
    sent: usize,
    end: usize,
}

impl Output {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.sent..self.end]
    }

    pub(super) fn clear(&mut self) {
        (self.sent, self.end) = (0, 0);
    }
}

#[cfg(feature = "tls")]
impl Output {
    /// Appends what `write` puts into the space that it is given, at least `length` bytes. It returns how many it used,
    /// or how many it needs if that is more.
    pub(super) fn append<E>(
        &mut self,
        length: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<Result<usize, usize>, E>,
    ) -> Result<(), E> {
        let mut length = length;
        loop {
            if self.buffer.len() < self.end + length {
                self.buffer.resize(self.end + length, 0);
            }
            match write(&mut self.buffer[self.end..])? {
                Ok(used) => {
                    self.end += used;
                    return Ok(());
                }
                Err(needed) => length = needed,
            }
        }
    }

    /// Notes that the kernel took the first `count` bytes.
    pub(super) fn note_sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.end {
            self.clear();
        }
    }
}
