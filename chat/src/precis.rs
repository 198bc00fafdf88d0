//! The characters that names and passwords may contain: the string classes of PRECIS ([RFC 8264]), for current Unicode.
//!
//! The crate `precis-profiles` knows the characters of Unicode 6.3, as IANA's registry lists them. It treats later ones
//! as unassigned: most emoji, and letters of some users' names. RFC 8264 defines its rules for every
//! version of Unicode ([§8]), so this module applies them to later characters.
//!
//! [RFC 8264]: https://www.rfc-editor.org/rfc/rfc8264
//! [§8]: https://www.rfc-editor.org/rfc/rfc8264#section-8

use std::ops::RangeInclusive;

use precis_profiles::precis_core::{
    DerivedPropertyValue as Value, FreeformClass, IdentifierClass, StringClass,
    stringclasses::SpecificDerivedPropertyValue as Class,
};
use unicode_normalization::{
    char::{canonical_combining_class, is_combining_mark},
    is_nfkc,
};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use unicode_script::{Script, UnicodeScript as _};
use unicode_security::skeleton;

/// Checks a text against the IdentifierClass (§4.2), for users' names: letters, digits and ASCII's visible characters.
///
/// # Errors
/// The first character that is not allowed.
pub(super) fn check_identifier(text: &str) -> Result<(), char> {
    check(&CurrentUnicode(IdentifierClass::default()), text)
}

/// Checks a text against the FreeformClass (§4.3), which also allows spaces, symbols and punctuation.
///
/// # Errors
/// The first character that is not allowed.
pub(super) fn check_freeform(text: &str) -> Result<(), char> {
    check(&CurrentUnicode(FreeformClass::default()), text)
}

fn check<C: StringClass + Class>(class: &CurrentUnicode<C>, text: &str) -> Result<(), char> {
    let chars: Vec<char> = text.chars().collect();
    let whole = Whole::of(&chars);
    for (position, &c) in chars.iter().enumerate() {
        let is_allowed = match class.get_value_from_char(c) {
            Value::PValid | Value::SpecClassPval => true,
            Value::SpecClassDis | Value::Disallowed | Value::Unassigned => false,
            Value::ContextJ | Value::ContextO => fits_context(&chars, position, &whole),
        };
        if !is_allowed {
            return Err(c);
        }
    }
    Ok(())
}

/// What a rule about the whole text needs to know. Found once: a text may consist of characters with such a rule.
struct Whole {
    has_kana_or_han: bool,
    has_arabic_digits: bool,
    has_extended_arabic_digits: bool,
}

impl Whole {
    fn of(chars: &[char]) -> Self {
        let is_kana_or_han = |c: &char| matches!(c.script(), Script::Hiragana | Script::Katakana | Script::Han);
        Self {
            has_kana_or_han: chars.iter().any(is_kana_or_han),
            has_arabic_digits: chars.iter().any(|c| ARABIC_DIGITS.contains(c)),
            has_extended_arabic_digits: chars.iter().any(|c| EXTENDED_ARABIC_DIGITS.contains(c)),
        }
    }
}

/// Applies a character's contextual rule (RFC 5892, appendix A). The crate's own functions collect the text anew for
/// each such character, which takes quadratic time.
fn fits_context(chars: &[char], position: usize, whole: &Whole) -> bool {
    let before = position.checked_sub(1).and_then(|before| chars.get(before)).copied();
    let after = chars.get(position + 1).copied();
    match chars[position] {
        // A.1 and A.2.
        ZERO_WIDTH_NON_JOINER | ZERO_WIDTH_JOINER if before.is_some_and(is_virama) => true,
        ZERO_WIDTH_NON_JOINER => joins_around(chars, position),
        // A.3.
        '\u{B7}' => (before, after) == (Some('l'), Some('l')),
        // A.4: Greek's numeral sign.
        '\u{375}' => after.is_some_and(|c| c.script() == Script::Greek),
        // A.5 and A.6: Hebrew's geresh and gershayim.
        '\u{5F3}' | '\u{5F4}' => before.is_some_and(|c| c.script() == Script::Hebrew),
        // A.7: the katakana middle dot.
        '\u{30FB}' => whole.has_kana_or_han,
        // A.8 and A.9.
        c if ARABIC_DIGITS.contains(&c) => !whole.has_extended_arabic_digits,
        c if EXTENDED_ARABIC_DIGITS.contains(&c) => !whole.has_arabic_digits,
        _ => false,
    }
}

fn is_virama(c: char) -> bool {
    canonical_combining_class(c) == 9
}

/// Returns whether letters that join stand on both sides of a zero-width non-joiner (A.1). Asks the crate, which knows
/// the joining types, about the characters around it: the next ones that are no marks, and the marks between.
fn joins_around(chars: &[char], position: usize) -> bool {
    /// A class in which only the non-joiner has a rule.
    struct NonJoiner;
    impl StringClass for NonJoiner {
        fn get_value_from_char(&self, c: char) -> Value {
            if c == ZERO_WIDTH_NON_JOINER { Value::ContextJ } else { Value::PValid }
        }

        fn get_value_from_codepoint(&self, code_point: u32) -> Value {
            if code_point == u32::from(ZERO_WIDTH_NON_JOINER) { Value::ContextJ } else { Value::PValid }
        }
    }

    let marks = |chars: &mut dyn Iterator<Item = &char>| chars.take_while(|c| is_combining_mark(**c)).count();
    let before = marks(&mut chars[..position].iter().rev());
    let after = marks(&mut chars[position + 1..].iter());
    let (from, to) = (position.saturating_sub(before + 1), chars.len().min(position + after + 2));
    let around = (from..to).map(|other| match chars[other] {
        // Another one joins nothing, as this letter.
        ZERO_WIDTH_NON_JOINER if other != position => 'a',
        c => c,
    });
    NonJoiner.allows(around.collect::<String>()).is_ok()
}

/// Describes a character for an error message: the character itself, or its code point if it is invisible.
pub(super) fn describe(c: char) -> String {
    let is_printable = c != ' ' && c.escape_debug().count() == 1;
    if is_printable { format!("\u{201C}{c}\u{201D}") } else { format!("the character U+{:04X}", u32::from(c)) }
}

/// Returns whether a character is Default_Ignorable: a skeleton leaves it out.
pub(super) fn is_ignorable(c: char) -> bool {
    skeleton(c.encode_utf8(&mut [0; 4])).next().is_none()
}

/// A string class that also knows the characters of current Unicode.
struct CurrentUnicode<C>(C);

impl<C: StringClass + Class> StringClass for CurrentUnicode<C> {
    fn get_value_from_char(&self, c: char) -> Value {
        match self.0.get_value_from_char(c) {
            Value::Unassigned => derived_property(&self.0, c),
            known => known,
        }
    }

    fn get_value_from_codepoint(&self, code_point: u32) -> Value {
        char::from_u32(code_point).map_or(Value::Disallowed, |c| self.get_value_from_char(c))
    }
}

/// Applies the algorithm of §8 to a character later than Unicode 6.3. Its steps about exceptions, ASCII, joiners and
/// old Hangul are left out: they concern older characters only.
fn derived_property(class: &impl Class, c: char) -> Value {
    use GeneralCategory as Is;
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    match c.general_category() {
        Is::Unassigned => Value::Unassigned,
        // PrecisIgnorableProperties (§9.13).
        _ if is_ignorable(c) => Value::Disallowed,
        Is::Control | Is::Format | Is::Surrogate | Is::PrivateUse => Value::Disallowed,
        Is::LineSeparator | Is::ParagraphSeparator => Value::Disallowed,
        // HasCompat (§9.17).
        _ if !is_nfkc(text) => class.on_has_compat(),
        // LetterDigits (§9.1).
        Is::LowercaseLetter | Is::UppercaseLetter | Is::OtherLetter | Is::ModifierLetter => Value::PValid,
        Is::DecimalNumber | Is::NonspacingMark | Is::SpacingMark => Value::PValid,
        // OtherLetterDigits (§9.18).
        Is::TitlecaseLetter | Is::LetterNumber | Is::OtherNumber | Is::EnclosingMark => class.on_other_letter_digits(),
        Is::SpaceSeparator => class.on_spaces(),
        Is::MathSymbol | Is::CurrencySymbol | Is::ModifierSymbol | Is::OtherSymbol => class.on_symbols(),
        Is::ConnectorPunctuation | Is::DashPunctuation | Is::OpenPunctuation | Is::ClosePunctuation => {
            class.on_punctuation()
        }
        Is::InitialPunctuation | Is::FinalPunctuation | Is::OtherPunctuation => class.on_punctuation(),
    }
}

const ZERO_WIDTH_NON_JOINER: char = '\u{200C}';
const ZERO_WIDTH_JOINER: char = '\u{200D}';
const ARABIC_DIGITS: RangeInclusive<char> = '\u{660}'..='\u{669}';
const EXTENDED_ARABIC_DIGITS: RangeInclusive<char> = '\u{6F0}'..='\u{6F9}';

#[cfg(test)]
mod tests {
    use precis_profiles::precis_core::Error;
    use switchboard_tests::random::for_each_seed;

    use super::*;

    /// Each row: characters of one rule and its neighbourhood.
    const ALPHABETS: [&[char]; 7] = [
        &['・', 'ア', 'の', '明', 'a', ' '],
        &['٣', '٤', '۴', '۵', 'ب', '3'],
        &['\u{200C}', '\u{200D}', 'ن', 'ا', '\u{64E}', 'م', 'a', '\u{301}'],
        &['\u{200C}', '\u{200D}', 'क', '\u{94D}', 'ष', '\u{941}'],
        &['·', 'l', 'L', 'a'],
        &['\u{375}', 'α', 'Ω', 'a', '\u{5F3}', '\u{5F4}', 'ש', 'ה'],
        &['・', '٣', '\u{200C}', '·', '\u{375}', '\u{5F4}', '🦀', '\u{1100}', '\u{7}', 'é', 'ｱ'],
    ];

    #[test]
    fn texts_are_allowed_that_the_crate_allows() {
        for_each_seed(20_000, |mut random| {
            let alphabet = ALPHABETS[random.below(ALPHABETS.len())];
            let text: String = (0..1 + random.below(8)).map(|_| alphabet[random.below(alphabet.len())]).collect();
            let classes: [(Result<(), char>, Result<(), Error>); 2] = [
                (check_identifier(&text), CurrentUnicode(IdentifierClass::default()).allows(&text)),
                (check_freeform(&text), CurrentUnicode(FreeformClass::default()).allows(&text)),
            ];
            for (ours, theirs) in classes {
                let theirs = theirs.map_err(|error| match error {
                    Error::BadCodepoint(info) => text.chars().nth(info.position),
                    // It does not say which character lacks its neighbours.
                    Error::Invalid | Error::Unexpected(_) => None,
                });
                match theirs {
                    Err(None) => assert!(ours.is_err(), "{text:?}"),
                    theirs => assert_eq!(ours.map_err(Some), theirs, "{text:?}"),
                }
            }
        });
    }

    /// Each row: a character, whether an identifier may contain it, and whether a free text may.
    #[test]
    fn characters_on_both_sides_of_each_rule() {
        let rows = [
            ("a letter", 'a', true, true),
            ("ASCII's symbols", '<', true, true),
            ("a letter of another script", 'ж', true, true),
            ("an ideograph", '明', true, true),
            ("a space", ' ', false, true),
            ("a symbol", '☠', false, true),
            ("punctuation", '“', false, true),
            ("an emoji of Unicode 6", '🚀', false, true),
            ("an old ligature", 'ﬁ', false, true),
            ("a number that is not a digit", '½', false, true),
            ("a control character", '\u{7}', false, false),
            ("a line feed", '\n', false, false),
            ("a right-to-left override", '\u{202E}', false, false),
            ("a direction isolate", '\u{2066}', false, false),
            ("a zero-width space", '\u{200B}', false, false),
            ("a soft hyphen", '\u{AD}', false, false),
            ("a variation selector", '\u{FE0F}', false, false),
            ("a tag character", '\u{E0041}', false, false),
            ("a Hangul filler", '\u{3164}', false, false),
            ("a private-use character", '\u{E000}', false, false),
            ("a noncharacter", '\u{FFFF}', false, false),
            ("an emoji of Unicode 8", '🦀', false, true),
            ("an emoji of Unicode 15", '🫨', false, true),
            ("an ideograph of Unicode 13", '\u{30000}', true, true),
            ("a letter of Unicode 9", '\u{1E900}', true, true),
            ("a digit of Unicode 9", '\u{1E950}', true, true),
            ("a mark of Unicode 7", '\u{1AB0}', true, true),
            ("punctuation of Unicode 14", '\u{2E53}', false, true),
            ("a currency of Unicode 8", '\u{20BE}', false, true),
            ("a number of Unicode 11", '\u{1EC71}', false, true),
            ("a compatibility letter of Unicode 14", '\u{107A5}', false, true),
            ("a format control of Unicode 7", '\u{1BCA0}', false, false),
            ("an invisible mark of Unicode 14", '\u{180F}', false, false),
            ("an unassigned code point", '\u{378}', false, false),
        ];
        for (name, c, in_identifier, in_freeform) in rows {
            let text = c.to_string();
            let expected = |allowed: bool| if allowed { Ok(()) } else { Err(c) };
            assert_eq!(check_identifier(&text), expected(in_identifier), "{name}");
            assert_eq!(check_freeform(&text), expected(in_freeform), "{name}");
        }
    }

    #[test]
    fn some_characters_are_allowed_only_between_certain_neighbours() {
        let rows = [
            ("a dot between two l", "col·lega", Ok(())),
            ("a dot elsewhere", "a·b", Err('·')),
            ("a dot at the end", "l·", Err('·')),
            (
                "many marks around a non-joiner",
                "ن\u{64E}\u{64E}\u{64E}\u{64E}\u{64E}\u{64E}\u{64E}\u{64E}\u{64E}\u{200C}\u{64E}ا",
                Ok(()),
            ),
            ("a joiner after a virama", "क्\u{200D}ष", Ok(())),
            ("a joiner between letters", "a\u{200D}b", Err('\u{200D}')),
            ("a joiner at the start", "\u{200D}a", Err('\u{200D}')),
            ("a non-joiner between joining letters", "نامه\u{200C}ای", Ok(())),
            ("a katakana dot among katakana", "ジョン・ドウ", Ok(())),
            ("a katakana dot elsewhere", "a・b", Err('・')),
            ("Arabic digits of one kind", "٣٤", Ok(())),
            ("Arabic digits of two kinds", "٣۴", Err('٣')),
        ];
        for (name, text, expected) in rows {
            assert_eq!(check_identifier(text), expected, "{name}");
            assert_eq!(check_freeform(text), expected, "{name}");
        }
    }

    #[test]
    fn a_visible_character_is_shown_and_others_by_their_code_point() {
        let rows = [
            ('☠', "“☠”"),
            ('ж', "“ж”"),
            (' ', "the character U+0020"),
            ('\t', "the character U+0009"),
            ('\u{A0}', "the character U+00A0"),
            ('\u{301}', "the character U+0301"),
            ('\u{202E}', "the character U+202E"),
            ('\u{E0041}', "the character U+E0041"),
        ];
        for (c, expected) in rows {
            assert_eq!(describe(c), expected);
        }
    }

    /// For the registry's own characters the rules give the registry's result, except for characters with their own
    /// rule.
    #[test]
    fn the_rules_for_later_characters_agree_with_the_registry() {
        fn differing(class: &(impl StringClass + Class)) -> String {
            let differs = |c: &char| match class.get_value_from_char(*c) {
                Value::Unassigned | Value::ContextJ | Value::ContextO => false,
                registered => !has_a_rule_of_its_own(*c) && registered != derived_property(class, *c),
            };
            ('\u{80}'..=char::MAX).filter(differs).collect()
        }
        assert_eq!(differing(&IdentifierClass::default()), "");
        assert_eq!(differing(&FreeformClass::default()), "");
    }

    /// Exceptions (§9.6), OldHangulJamo (§9.9), and what Unicode promises never to assign.
    fn has_a_rule_of_its_own(c: char) -> bool {
        matches!(c, 'ß' | 'ς' | '་' | '〇' | '\u{640}' | '\u{7FA}' | '\u{302E}' | '\u{302F}' | '\u{303B}')
            || matches!(c, '\u{6FD}' | '\u{6FE}' | '\u{3031}'..='\u{3035}')
            || matches!(c, '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97F}' | '\u{D7B0}'..='\u{D7FF}')
            || matches!(c, '\u{FDD0}'..='\u{FDEF}')
            || u32::from(c) & 0xFFFE == 0xFFFE
    }
}
