//! Pointers from C as slices and strings. The `unsafe` blocks of this package are here, and where a function passes on
//! what its caller has promised.

use std::{
    ffi::{CStr, c_char},
    ptr, slice,
};

use crate::outcome::Failure;

/// Bytes that the library owns, without a NUL at their end. `data` is NULL if there is no value at all; an empty value
/// has a pointer that must not be read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// The first byte, or NULL.
    pub data: *const u8,
    /// The number of bytes.
    pub length: usize,
}

impl Bytes {
    pub(crate) const NONE: Self = Self { data: ptr::null(), length: 0 };
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), length: bytes.len() }
    }
}

impl From<Option<&str>> for Bytes {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::NONE, |text| text.as_bytes().into())
    }
}

/// Returns the bytes at `data`, which may be null if there are none.
///
/// # Safety
/// If `data` is not null, `length` bytes there are initialised, and nothing changes them for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const u8, length: usize) -> Result<&'a [u8], Failure> {
    check(data, length)?;
    if length == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null and not longer than an object can be, by `check`; a byte is always aligned. The caller vouches
    // for the rest.
    Ok(unsafe { slice::from_raw_parts(data, length) })
}

/// Returns the bytes at `data` to be changed; it may be null if there are none.
///
/// # Safety
/// If `data` is not null, `length` bytes there are initialised, and nothing else reads or changes them for `'a`.
pub(crate) unsafe fn bytes_mut<'a>(data: *mut u8, length: usize) -> Result<&'a mut [u8], Failure> {
    check(data, length)?;
    if length == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as in `bytes`, and the caller vouches that nothing else uses them.
    Ok(unsafe { slice::from_raw_parts_mut(data, length) })
}

/// Returns the text at `data`, which may be null if it is empty.
///
/// # Safety
/// As of [`bytes`].
pub(crate) unsafe fn text<'a>(data: *const u8, length: usize) -> Result<&'a str, Failure> {
    // SAFETY: the caller vouches for what `bytes` asks.
    let bytes = unsafe { bytes(data, length) }?;
    simdutf8::basic::from_utf8(bytes).map_err(|_| Failure::argument("the text is not UTF-8"))
}

/// Returns the string at `pointer`, without its NUL; `None` for a null pointer.
///
/// # Safety
/// If `pointer` is not null, a NUL ends the string there, and nothing changes it for `'a`.
pub(crate) unsafe fn optional_string<'a>(pointer: *const c_char) -> Result<Option<&'a str>, Failure> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not null; the caller vouches for the rest.
    let string = unsafe { CStr::from_ptr(pointer) };
    string.to_str().map(Some).map_err(|_| Failure::argument("a string is not UTF-8"))
}

/// Returns the string at `pointer`, without its NUL.
///
/// # Safety
/// As of [`optional_string`].
pub(crate) unsafe fn string<'a>(pointer: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: the caller vouches for what `optional_string` asks.
    unsafe { optional_string(pointer) }?.ok_or(Failure::NULL)
}

/// Refuses what no slice can have: a null pointer to some bytes, or more bytes than an object can have.
fn check(data: *const u8, length: usize) -> Result<(), Failure> {
    if length > isize::MAX.unsigned_abs() {
        return Err(Failure::argument("the length is larger than any object"));
    }
    if data.is_null() && length > 0 { Err(Failure::NULL) } else { Ok(()) }
}
