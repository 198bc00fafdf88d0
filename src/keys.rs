//! Masking keys ([§5.3]): four bytes per frame from the operating system's random number generator.
//!
//! The bytes are fetched 1 KiB at a time, enough for 256 keys, so that few messages need a system call for their key.
//! Each byte is used once.
//!
//! [§5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3

use std::{fmt, io};

use crate::{KeySource, MaskingKey};

/// Masking keys and handshake nonces from the operating system's random number generator, for clients.
///
/// ```rust
/// use switchboard::{
///     ClientHandshake, ClientRequest, Connection, Delivery, HeadLimits, Limits, Masked, RandomKeys,
/// };
///
/// let mut keys = RandomKeys::new()?;
/// let mut out = Vec::new();
/// let request = ClientRequest::new("example.com", "/chat");
/// let handshake = ClientHandshake::new(&request, keys.nonce(), HeadLimits::default(), &mut out)?;
/// // Once the server has accepted, `into_connection` takes the keys, as this does:
/// let connection: Connection<Masked<RandomKeys>> = Connection::client(keys, Limits::default(), Delivery::Messages);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RandomKeys {
    pool: [u8; POOL_BYTES],
    /// `pool[..used]` has been used; `used <= POOL_BYTES`.
    used: usize,
}

impl RandomKeys {
    /// Fetches the first bytes.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub fn new() -> io::Result<Self> {
        let mut keys = Self { pool: [0; POOL_BYTES], used: POOL_BYTES };
        keys.refill().map_err(io::Error::other)?;
        Ok(keys)
    }

    /// Returns 16 fresh random bytes for a [`ClientHandshake`](crate::ClientHandshake).
    ///
    /// # Panics
    /// If the operating system has no random bytes, although it had some for [`new`](Self::new).
    #[must_use]
    pub fn nonce(&mut self) -> [u8; 16] {
        self.take()
    }

    /// Returns the next `N` random bytes, `N <= 1024`.
    ///
    /// # Panics
    /// If the operating system has no random bytes, although it had some for [`new`](Self::new). A predictable key must
    /// not be sent (§10.3).
    fn take<const N: usize>(&mut self) -> [u8; N] {
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

impl KeySource for RandomKeys {
    fn next_key(&mut self) -> MaskingKey {
        MaskingKey(self.take())
    }
}

/// Shows no key.
impl fmt::Debug for RandomKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RandomKeys").finish_non_exhaustive()
    }
}

const POOL_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_random_bytes_are_used_twice() {
        let mut keys = RandomKeys::new().unwrap();
        // 16 random bytes do not collide by chance. The pool is refilled many times, also with a few bytes left over.
        let mut seen = HashSet::new();
        for _ in 0..1000 {
            let _: [u8; 4] = keys.take();
            let bytes: [u8; 16] = keys.take();
            assert!(seen.insert(bytes));
        }
    }
}
