//! The rules for texts.

use super::{
    call::{Failure, refuse},
    data::Text,
};

/// Returns a text.
///
/// # Errors
/// If it has more than `max_chars` characters.
pub(super) fn within(text: &Text, max_chars: usize) -> Result<&str, Failure> {
    if text.chars() > max_chars {
        return refuse("too_long", format!("This is too long; use at most {max_chars} characters."));
    }
    Ok(text.as_str())
}
