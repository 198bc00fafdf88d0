//! What a name may be: something that people can read, and tell from the others.

use std::fmt;

/// A person's name: 1 to 32 characters, without control and invisible characters, without spaces at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// Nothing but spaces.
    Empty,
    /// More than 32 characters.
    TooLong,
    /// A control or an invisible character: names must not look like other names or turn the text around.
    Invisible,
}

impl Name {
    /// Takes the spaces off both ends, makes one of several in a row, and checks the rest.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        if text.trim().is_empty() {
            Err(BadName::Empty)
        } else if text.trim().chars().any(is_invisible) {
            Err(BadName::Invisible)
        } else {
            let name = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if name.chars().count() > MAX_CHARS { Err(BadName::TooLong) } else { Ok(Self(name)) }
        }
    }

    /// The name as its owner writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same for two names that differ in case, or in how their emoji are drawn, only: nobody else may have it.
    /// Letters of different scripts that look alike are told apart.
    pub(super) fn folded(&self) -> String {
        self.0.chars().filter(|c| !matches!(c, '\u{FE00}'..='\u{FE0F}')).flat_map(char::to_lowercase).collect()
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Please choose a name."),
            Self::TooLong => write!(f, "A name has at most {MAX_CHARS} characters."),
            Self::Invisible => f.write_str("A name must not contain invisible characters."),
        }
    }
}

/// Controls, spaces other than the plain one, and the characters that have no width or turn the direction of text.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

const MAX_CHARS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_both_sides_of_each_rule() {
        let long = "ab".repeat(16);
        let rows: &[(&str, Result<&str, BadName>)] = &[
            ("Ada", Ok("Ada")),
            ("  Ada   Lovelace ", Ok("Ada Lovelace")),
            ("\u{5c0f}\u{660e}", Ok("\u{5c0f}\u{660e}")),
            ("<b>", Ok("<b>")),
            (&long, Ok(&long)),
            ("", Err(BadName::Empty)),
            (" \t\n", Err(BadName::Empty)),
            ("abababababababababababababababab.", Err(BadName::TooLong)),
            ("a\nb", Err(BadName::Invisible)),
            ("a\u{7}", Err(BadName::Invisible)),
            ("a\u{202e}b", Err(BadName::Invisible)),
            ("a\u{200b}b", Err(BadName::Invisible)),
            ("a\u{a0}b", Err(BadName::Invisible)),
            ("\u{2800}", Err(BadName::Invisible)),
        ];
        for (text, expected) in rows {
            assert_eq!(Name::new(text).as_ref().map(Name::as_str).map_err(|error| *error), *expected, "{text:?}");
        }
    }

    #[test]
    fn names_that_look_the_same_fold_to_the_same() {
        let folded = |text| Name::new(text).unwrap().folded();
        for alike in ["ADA", "ada", "aDa\u{fe0f}", "\u{fe00}Ada"] {
            assert_eq!(folded(alike), folded("Ada"), "{alike:?}");
        }
        assert_ne!(folded("Ada B"), folded("AdaB"));
    }
}
