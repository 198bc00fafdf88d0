//! Finds the end of a head as it arrives (RFC 9112 §2.2, §5).
//!
//! [`HeadScanner`] reads each byte once. It refuses bare LF, bare CR, control characters and folded lines at once,
//! because request smuggling is made of these.

use alloc::vec::Vec;
use core::fmt;

use super::HeadError;

/// The limits of the head of a request or a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct HeadLimits {
    /// The length of the head in bytes, with the empty line at its end. Default 16 KiB. The status for a longer one is
    /// 431, or 414 if the first line alone is longer.
    pub max_bytes: usize,
    /// The number of header fields. Default 64. The status for more is 431.
    pub max_headers: usize,
}

setters! {
    HeadLimits {
        max_bytes: usize,
        max_headers: usize,
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { max_bytes: 16 << 10, max_headers: 64 }
    }
}

/// Collects a head up to its empty line, and refuses forbidden bytes at once.
pub(super) struct HeadScanner {
    limits: HeadLimits,
    head: Vec<u8>,
    /// The number of bytes of the current line so far.
    line: usize,
    /// The number of whole lines, including the first one.
    lines: usize,
    after_cr: bool,
    /// Whether the first line must begin with [`RESPONSE_START`].
    is_response: bool,
}

/// Numbers alone: a head may hold cookies and tokens.
impl fmt::Debug for HeadScanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadScanner").field("bytes", &self.head.len()).finish_non_exhaustive()
    }
}

impl HeadScanner {
    /// Makes a scanner for the head of a request.
    pub(super) fn of_request(limits: HeadLimits) -> Self {
        Self { limits, head: Vec::new(), line: 0, lines: 0, after_cr: false, is_response: false }
    }

    /// Makes a scanner for the head of a response. It refuses another protocol at the byte that shows it.
    pub(super) fn of_response(limits: HeadLimits) -> Self {
        Self { is_response: true, ..Self::of_request(limits) }
    }

    /// Reads the next bytes. Once the head is whole, returns the number of these bytes that belong to it.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.head.len() + i >= self.limits.max_bytes {
                let limit = self.limits.max_bytes;
                let in_first_line = self.lines == 0;
                return Err(if in_first_line {
                    HeadError::FirstLineTooLong { limit }
                } else {
                    HeadError::TooLong { limit }
                });
            }
            if self.scan_byte(byte)? {
                self.append(&bytes[..=i]);
                return Ok(Some(i + 1));
            }
        }
        self.append(bytes);
        Ok(None)
    }

    /// Returns whether no byte of a head has been read.
    pub(super) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Returns the heap memory of the part of a head that has been read, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.head.capacity()
    }

    /// Appends to the head. The capacity doubles, up to the limit of a head.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.head.len() + bytes.len();
        if needed > self.head.capacity() {
            let room = (2 * self.head.capacity()).max(INITIAL_HEAD_BYTES).min(self.limits.max_bytes).max(needed);
            self.head.reserve_exact(room - self.head.len());
        }
        self.head.extend_from_slice(bytes);
    }

    /// Checks the next byte, and returns whether it ends the head.
    fn scan_byte(&mut self, byte: u8) -> Result<bool, HeadError> {
        match byte {
            b'\n' if self.after_cr => {
                self.after_cr = false;
                let empty = self.line == 0;
                self.line = 0;
                // RFC 9112 §2.2: empty lines before the first one are skipped.
                if empty {
                    return Ok(self.lines > 0);
                }
                self.lines += 1;
                if self.header_count() > self.limits.max_headers {
                    return Err(HeadError::TooManyHeaders { limit: self.limits.max_headers });
                }
                Ok(false)
            }
            _ if self.after_cr || byte == b'\n' => Err(HeadError::BareLineEnd),
            b'\r' => {
                self.after_cr = true;
                Ok(false)
            }
            b' ' | b'\t' if self.line == 0 => {
                Err(if self.lines == 0 { HeadError::Malformed } else { HeadError::FoldedLine })
            }
            0x00..=0x08 | 0x0B..=0x1F | 0x7F => Err(HeadError::ControlCharacter),
            _ if self.is_response
                && self.lines == 0
                && RESPONSE_START.get(self.line).is_some_and(|expected| *expected != byte) =>
            {
                Err(HeadError::Malformed)
            }
            _ => {
                self.line += 1;
                Ok(false)
            }
        }
    }

    /// Returns the number of whole lines after the first one. Each is a header field, since none may be folded.
    fn header_count(&self) -> usize {
        self.lines.saturating_sub(1)
    }

    /// Returns the whole head with the number of its header fields, and resets the scanner.
    pub(super) fn take_head(&mut self) -> (Vec<u8>, usize) {
        let count = self.header_count();
        let next = Self { is_response: self.is_response, ..Self::of_request(self.limits) };
        (core::mem::replace(self, next).head, count)
    }
}

/// How a response begins (RFC 9112 §2.3).
const RESPONSE_START: &[u8] = b"HTTP/";

/// The first capacity, enough for most requests of browsers.
const INITIAL_HEAD_BYTES: usize = 512;
