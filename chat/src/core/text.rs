//! The rules for texts.

use super::call::{Failure, refuse};

/// Returns a text without control characters (each takes six bytes as JSON), except line breaks and tabs, and without
/// white space at its end.
///
/// # Errors
/// If more than `max_chars` characters are left.
pub(super) fn clean(text: &str, max_chars: usize) -> Result<String, Failure> {
    let text: String = text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = text.trim_end();
    if text.chars().count() > max_chars {
        return refuse("too_long", format!("This is too long; use at most {max_chars} characters."));
    }
    Ok(text.to_owned())
}
