//! Which texts show nothing.
//!
//! A character shows something by itself unless Unicode's properties say that it is white space, a control, ignorable,
//! a mark on another character, for private use, or not assigned. A few symbols and letters are blank by definition,
//! which no property says. The page has the same rule: `page/blank.js`.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

use super::precis::is_ignorable;

/// Returns whether a text shows nothing: whether no character of it is visible by itself.
pub(super) fn is_blank(text: &str) -> bool {
    !text.chars().any(is_visible)
}

/// Returns whether a character is a letter or symbol without a shape, which no property says.
pub(super) fn is_blank_glyph(c: char) -> bool {
    BLANK_GLYPHS.contains(&c)
}

fn is_visible(c: char) -> bool {
    use GeneralCategory as Is;
    match c.general_category() {
        Is::Control | Is::Surrogate | Is::SpaceSeparator | Is::LineSeparator | Is::ParagraphSeparator => false,
        Is::Format => PREPENDED_MARKS.contains(&c),
        Is::NonspacingMark | Is::EnclosingMark => false,
        Is::Unassigned => is_of_later_version(c),
        Is::LowercaseLetter | Is::UppercaseLetter | Is::TitlecaseLetter | Is::ModifierLetter => true,
        Is::DecimalNumber | Is::LetterNumber | Is::OtherNumber | Is::SpacingMark => true,
        Is::ConnectorPunctuation | Is::DashPunctuation | Is::OpenPunctuation | Is::ClosePunctuation => true,
        Is::InitialPunctuation | Is::FinalPunctuation | Is::OtherPunctuation => true,
        Is::MathSymbol | Is::CurrencySymbol | Is::ModifierSymbol => true,
        // A box at best. Fonts give it any shape, or none.
        Is::PrivateUse => false,
        Is::OtherLetter | Is::OtherSymbol => !is_blank_glyph(c) && !is_ignorable(c),
    }
}

/// Returns whether a character that is not assigned is likely to be in a later version of Unicode, which the devices of
/// users may know: it is among the emoji or the ideographs.
fn is_of_later_version(c: char) -> bool {
    let is_noncharacter = u32::from(c) & 0xFFFE == 0xFFFE;
    matches!(c, '\u{1F000}'..='\u{1FAFF}' | '\u{20000}'..='\u{3FFFF}') && !is_noncharacter
}

/// The property Prepended_Concatenation_Mark: format characters that are drawn, such as Arabic's number sign.
const PREPENDED_MARKS: &[char] = &[
    '\u{600}',
    '\u{601}',
    '\u{602}',
    '\u{603}',
    '\u{604}',
    '\u{605}',
    '\u{6DD}',
    '\u{70F}',
    '\u{890}',
    '\u{891}',
    '\u{8E2}',
    '\u{110BD}',
    '\u{110CD}',
];

/// Letters and symbols that are blank by their definition: the empty Braille pattern, an object's place, the blanks of
/// Egyptian writing, and the note without a head.
const BLANK_GLYPHS: &[char] = &['\u{2800}', '\u{FFFC}', '\u{13441}', '\u{13442}', '\u{1D159}'];

#[cfg(test)]
mod tests {
    use unicode_properties::GeneralCategoryGroup;

    use super::*;

    #[test]
    fn a_text_is_blank_if_none_of_its_characters_is_visible() {
        let blank = [
            "",
            " \t\n\u{A0}\u{3000}\u{2028}\u{2029}",
            // Zero width: spaces, joiners, a soft hyphen, directions.
            "\u{200B}\u{2060}\u{FEFF}",
            "\u{200D}\u{200C}\u{34F}\u{180E}",
            "\u{AD}",
            "\u{202E}\u{2066}\u{200E}\u{200F}\u{61C}",
            // Letters without a shape.
            "\u{3164}\u{115F}\u{1160}\u{FFA0}",
            // Variation selectors and tags.
            "\u{FE0F}\u{FE0E}\u{E0100}\u{180B}",
            "\u{E0001}\u{E0061}\u{E007F}",
            // Blank glyphs.
            "\u{2800}\u{2800}",
            "\u{1D159}",
            "\u{FFFC}",
            "\u{13441}\u{13442}",
            // Annotations, and controls of music, shorthand and hieroglyphs.
            "\u{FFF9}\u{FFFA}\u{FFFB}",
            "\u{1D173}\u{1BCA0}\u{13430}",
            // Marks with nothing below them.
            "\u{301}\u{307}",
            "\u{20E3}",
            "\u{2D7F}\u{16FE4}",
            // Never characters.
            "\u{FDD0}\u{FFFE}\u{1FFFF}",
            "\u{E0FFF}\u{2065}",
            "\u{2FFFF}\u{3FFFE}",
            // For private use, and not assigned.
            "\u{E000}\u{F8FF}\u{F0000}\u{10FFFD}",
            "\u{378}\u{38B}\u{1EFFD}\u{40000}",
        ];
        for text in blank {
            assert!(is_blank(text), "{}", text.escape_unicode());
        }
        let visible = [
            ".",
            "\u{200B}.",
            "\u{2801}",
            "\u{1D158}",
            "\u{FFFD}",
            // Emoji with a variation selector, a joiner, a tone, a keycap; a flag.
            "\u{2764}\u{FE0F}",
            "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            "\u{1F44B}\u{1F3FF}",
            "1\u{FE0F}\u{20E3}",
            "\u{1F1EB}\u{1F1F7}",
            "\u{1F3F4}\u{E0067}\u{E0062}\u{E007F}",
            // A mark on a space has a place of its own, as a vowel that takes space has.
            "\u{5D0}",
            "\u{4E2D}",
            "\u{93E}",
            // Perhaps an emoji and an ideograph of a later version.
            "\u{1F6D9}\u{FE0F}",
            "\u{3FFF0}",
        ];
        for text in visible {
            assert!(!is_blank(text), "{}", text.escape_unicode());
        }
        // Format characters that are drawn: Arabic, Syriac and Kaithi.
        for c in
            "\u{600}\u{601}\u{602}\u{603}\u{604}\u{605}\u{6DD}\u{70F}\u{890}\u{891}\u{8E2}\u{110BD}\u{110CD}".chars()
        {
            assert!(!is_blank(c.encode_utf8(&mut [0; 4])), "U+{:04X}", u32::from(c));
        }
    }

    /// Invisible characters are known by their properties; the others are a short list.
    #[test]
    fn of_all_characters_only_those_listed_are_blank_against_their_category() {
        use GeneralCategoryGroup as Group;
        for c in '\0'..=char::MAX {
            let group = c.general_category_group();
            let blank = is_blank(c.encode_utf8(&mut [0; 4]));
            let known = match group {
                Group::Separator => true,
                Group::Other => !PREPENDED_MARKS.contains(&c),
                Group::Mark => c.general_category() != GeneralCategory::SpacingMark,
                Group::Letter | Group::Number | Group::Punctuation | Group::Symbol => {
                    is_blank_glyph(c) || HANGUL_FILLERS.contains(&c)
                }
            };
            let is_later = c.general_category() == GeneralCategory::Unassigned;
            assert!(blank == known || is_later, "U+{:04X} is blank: {blank}", u32::from(c));
            assert!(blank || !(c.is_whitespace() || is_ignorable(c)), "U+{:04X} is not blank", u32::from(c));
        }
    }

    /// The only letters that are Default_Ignorable.
    const HANGUL_FILLERS: [char; 4] = ['\u{115F}', '\u{1160}', '\u{3164}', '\u{FFA0}'];
}
