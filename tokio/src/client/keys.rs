//! Masking keys ([§5.3]) and nonces, from the operating system's random number generator.
//!
//! The bytes are fetched 256 at a time, so that few messages need a system call for their key. Each byte is used once.
//!
//! [§5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3

use std::{fmt, io};

use switchboard::{KeySource, MaskingKey};

/// A client's source of masking keys.
pub struct Keys {
    pool: [u8; POOL_BYTES],
    /// `pool[..used]` has been used; `used <= POOL_BYTES`.
    used: usize,
}

impl Keys {
    /// Fetches the first bytes.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub fn new() -> io::Result<Self> {
        let mut keys = Self { pool: [0; POOL_BYTES], used: POOL_BYTES };
        keys.refill().map_err(io::Error::other)?;
        Ok(keys)
    }

    /// Returns the next `N` random bytes, `N <= 256`.
    ///
    /// # Panics
    /// If the operating system has no random bytes, although it had some for [`new`](Self::new). A predictable key must
    /// not be sent (§10.3).
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= POOL_BYTES) };
        if POOL_BYTES - self.used < N {
            self.refill().expect("the operating system still has random bytes");
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.pool[self.used..self.used + N]);
        self.used += N;
        bytes
    }

    fn refill(&mut self) -> Result<(), getrandom::Error> {
        getrandom::fill(&mut self.pool)?;
        self.used = 0;
        Ok(())
    }
}

impl KeySource for Keys {
    fn next_key(&mut self) -> MaskingKey {
        MaskingKey(self.take())
    }
}

/// Shows no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

const POOL_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_random_bytes_are_used_twice() {
        let mut keys = Keys::new().expect("there are random bytes");
        // 16 random bytes do not collide by chance. The pool is refilled many times, also with a few bytes left over.
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let _: [u8; 4] = keys.take();
            let bytes: [u8; 16] = keys.take();
            assert!(seen.insert(bytes));
        }
    }
}
