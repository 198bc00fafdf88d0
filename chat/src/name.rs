//! What the name of a person ([`Name`]) or of a room ([`RoomName`]) may be, and which names are the same.
//!
//! # Which names are the same
//!
//! Those with the same [key](Name::key): names that differ in case only, and names that look the same, as far as
//! [UTS #39] knows. Both want to be followed, and not one after the other: `I` looks like `l` and not like `L`, `i` not
//! like `l`, and yet `I` is `i`, so all of them are one. They cannot be followed to the end either: the Greek capital Ν
//! looks like N and the small ν like v, so that n would be v. Therefore a letter counts as what it looks like
//!
//! 1. when it is small, if that is in ASCII;
//! 2. else when it is capital, if that is in ASCII: в looks like nothing there, but В like B;
//! 3. else when it is small, whatever that is.
//!
//! What ASCII itself confuses comes last: it is made capital, drawn, and made small again, so `i`, `I`, `l`, `1` and `|`
//! become `l`, and `0` becomes `o`. All of it is done for each character alone, and until nothing changes, which is after
//! three times for every character there is; so the key of a key is the same key.
//!
//! Some names are thus the same that do not look it, such as Tom and Том, which do as TOM and ТОМ. A few are not the same
//! that do: those with capitals like the Greek Ν and Υ, all of whose letters are Greek.
//!
//! The tables grow with Unicode, and a key may become another one with them: keep names, and make keys anew.
//!
//! [UTS #39]: https://www.unicode.org/reports/tr39/

use std::{borrow::Cow, fmt};

use precis_profiles::{Nickname, UsernameCasePreserved, precis_core::profile::Rules as _};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_script::Script;
use unicode_security::{mixed_script::AugmentedScriptSet, skeleton};

use super::precis;

/// A person's name: words of letters, digits and ASCII's symbols, as RFC 8265 has them in usernames
/// ([UsernameCasePreserved]), with single spaces in between.
///
/// [UsernameCasePreserved]: https://www.rfc-editor.org/rfc/rfc8265#section-3.4
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Keyed);

/// A room's name: what people can read, emoji too, as RFC 8266 has it in [nicknames].
///
/// [nicknames]: https://www.rfc-editor.org/rfc/rfc8266#section-2
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomName(Keyed);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// Nothing but spaces.
    Empty,
    /// More characters than this.
    TooLong {
        /// As many as there may be.
        max: usize,
    },
    /// This character may not be in a name, or not where it is: most are invisible, or turn the text around.
    NotAllowed(char),
    /// Text from right to left beside other text, so that nobody can tell in which order to read it (RFC 5893 §2).
    Direction,
    /// Letters of scripts that are not written together, such as Latin and Cyrillic: of those that look the same one
    /// would pass for the other. It is UTS #39's restriction level "Highly Restrictive" that allows one script, and
    /// Latin with Chinese, Japanese or Korean.
    MixedScripts,
}

impl Name {
    /// The name that is meant by this text, of 1 to 32 characters: without spaces at its ends and with one only where
    /// there are several, letters composed with their marks, full-width ones as wide as all others.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(text: &str) -> Result<Self, BadName> {
        Self::at_most(Self::MAX_CHARS, text)
    }

    /// The same with another limit.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn at_most(max: usize, text: &str) -> Result<Self, BadName> {
        check_bytes(max, text)?;
        let profile = UsernameCasePreserved::new();
        // None of the profile's mappings refuses anything; an ideographic space is wide and becomes one that separates.
        let text = profile.width_mapping_rule(text).unwrap_or(Cow::Borrowed(text));
        let mut name = String::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            precis::check_identifier(word).map_err(BadName::NotAllowed)?;
            let word = profile.normalization_rule(word).unwrap_or(Cow::Borrowed(word));
            let word = profile.directionality_rule(word).map_err(|_| BadName::Direction)?;
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(&word);
        }
        if mixes_scripts(&name) { Err(BadName::MixedScripts) } else { Keyed::new(max, name).map(Self) }
    }

    /// As its owner writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// What is unique: the same for all names that differ in case only or look the same. It is not for people to read.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Characters in a name unless another limit is set.
    pub const MAX_CHARS: usize = 32;

    /// No limit is higher.
    pub const HIGHEST_LIMIT: usize = 128;
}

impl RoomName {
    /// The name that is meant by this text, of 1 to 40 characters: without spaces at its ends and with one only where
    /// there are several, letters composed with their marks, and letters that are drawn in another way (full-width,
    /// script, circled) as plain ones.
    ///
    /// # Errors
    /// [`BadName`], but neither `Direction` nor `MixedScripts`.
    pub fn new(text: &str) -> Result<Self, BadName> {
        Self::at_most(Self::MAX_CHARS, text)
    }

    /// The same with another limit.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn at_most(max: usize, text: &str) -> Result<Self, BadName> {
        check_bytes(max, text)?;
        // Keyboards add them to emoji. They only say how to draw, and the profile has no place for them.
        let name = text.chars().filter(|c| !matches!(c, '\u{FE0E}' | '\u{FE0F}')).collect();
        // RFC 8266 §2.3: until the output is stable. Normalization may put a space in front, for the next round to take
        // away, and that is all.
        let name = (0..3).try_fold(name, |name: String, _| {
            precis::check_freeform(&name).map_err(BadName::NotAllowed)?;
            let profile = Nickname::new();
            let mapped = profile.additional_mapping_rule(&*name).and_then(|name| profile.normalization_rule(name));
            Ok(mapped.map_or_else(|_| name.clone(), Cow::into_owned))
        })?;
        Keyed::new(max, name).map(Self)
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// What is unique, as [`Name::key`].
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// Characters in a name unless another limit is set.
    pub const MAX_CHARS: usize = 40;
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Please choose a name."),
            Self::TooLong { max } => write!(f, "A name has at most {max} characters."),
            Self::NotAllowed(c) => write!(f, "A name must not contain {}.", precis::describe(*c)),
            Self::Direction => f.write_str("A name must not mix writing from right to left with other writing."),
            Self::MixedScripts => f.write_str("A name must not mix letters of different scripts."),
        }
    }
}

impl std::error::Error for BadName {}

/// A name that keeps the rules of its kind, with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keyed {
    name: String,
    key: String,
}

impl Keyed {
    /// Checks what is the same for every kind of name.
    fn new(max: usize, name: String) -> Result<Self, BadName> {
        if name.is_empty() {
            Err(BadName::Empty)
        } else if name.chars().count() > max {
            Err(BadName::TooLong { max })
        } else if let Some(mark) = misplaced_mark(&name) {
            Err(BadName::NotAllowed(mark))
        } else {
            Ok(Self { key: key_of(&name), name })
        }
    }
}

/// Refuses what is far too long before anything else looks at it. Marks that are composed with their letters make a text
/// shorter, but not by that much.
fn check_bytes(max: usize, text: &str) -> Result<(), BadName> {
    // The rules take time with the square of the length.
    let is_too_long = text.len() > max.saturating_mul(MAX_BYTES_PER_CHAR)
        || text.chars().count() > max.saturating_mul(MAX_COMPOSED).saturating_add(SPACES_AROUND);
    if is_too_long { Err(BadName::TooLong { max }) } else { Ok(()) }
}

/// A mark at the start of a word, which would be drawn over what stands in front of it, or more of them on one letter
/// than any language writes (UTS #39 §5.4), which would be drawn over other lines.
fn misplaced_mark(name: &str) -> Option<char> {
    let mut marks = MAX_MARKS;
    name.nfd().find(|c| {
        marks = match *c {
            ' ' => MAX_MARKS,
            c if is_combining_mark(c) => marks + 1,
            _ => 0,
        };
        marks > MAX_MARKS
    })
}

/// Whether a name is of several scripts that are not written together: the definition of "Highly Restrictive" in UTS #39
/// §5.2, but for its list of characters. Which ones a name may have the profile says, and the list leaves out scripts
/// that are written today, such as Cherokee.
fn mixes_scripts(name: &str) -> bool {
    let mut all = AugmentedScriptSet::default();
    let mut beside_latin = AugmentedScriptSet::default();
    for scripts in name.chars().map(AugmentedScriptSet::for_char) {
        all.intersect_with(scripts);
        if !scripts.base.contains_script(Script::Latin) {
            beside_latin.intersect_with(scripts);
        }
    }
    all.is_empty() && !(beside_latin.hanb || beside_latin.jpan || beside_latin.kore)
}

/// See the top of this file.
fn key_of(name: &str) -> String {
    (0..KEY_ROUNDS).fold(name.to_owned(), |key, _| {
        let drawn: String = key.nfd().map(|c| key_of_char(&c.to_string())).collect();
        drawn.nfd().collect()
    })
}

/// What a character looks like, in any case.
fn key_of_char(character: &str) -> String {
    let small = skeleton_of(&lowercase(character));
    let capital = skeleton_of(&uppercase(character));
    let look = if !small.is_ascii() && capital.is_ascii() { capital } else { small };
    lowercase(&skeleton_of(&uppercase(&look)))
}

fn skeleton_of(text: &str) -> String {
    skeleton(text).collect()
}

/// Through the capital, of which there are fewer: σ and ς have the same, and so has the long s.
fn lowercase(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn uppercase(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).collect()
}

/// A Greek letter with three marks.
const MAX_BYTES_PER_CHAR: usize = 8;
/// A letter and its marks become one character, of so many at most.
const MAX_COMPOSED: usize = 4;
/// Spaces that somebody types in front of a name and behind it.
const SPACES_AROUND: usize = 32;
const MAX_MARKS: usize = 4;
const KEY_ROUNDS: usize = 3;

/// Says by which rules and tables keys are made: those of another version are made anew.
pub(super) fn keys_version() -> String {
    let (security, normalization) = (unicode_security::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION);
    format!("{RULES} {security:?} {normalization:?}")
}

/// Goes up when the rules above change.
const RULES: u32 = 1;

#[cfg(test)]
mod tests {
    use super::{
        BadName::{Direction, Empty, MixedScripts, NotAllowed, TooLong},
        *,
    };

    #[test]
    fn peoples_names_on_both_sides_of_each_rule() {
        let longest = "é".repeat(32);
        let decomposed = "e\u{301}".repeat(32);
        let too_long = "é".repeat(33);
        let huge = "\u{7}".repeat(64 << 10);
        let rows: &[(&str, &str, Result<&str, BadName>)] = &[
            ("a word", "Ada", Ok("Ada")),
            ("one character", "A", Ok("A")),
            ("spaces at the ends and in between", "  Ada   Lovelace ", Ok("Ada Lovelace")),
            ("an ideographic space", "山田\u{3000}太郎", Ok("山田 太郎")),
            ("ASCII's symbols", "<b>&\"'", Ok("<b>&\"'")),
            ("full width", "Ａｄａ", Ok("Ada")),
            ("half width", "ｱﾀﾞ", Ok("アダ")),
            ("decomposed", "Ame\u{301}lie", Ok("Amélie")),
            ("the longest", &longest, Ok(&longest)),
            ("the longest, decomposed", &decomposed, Ok(&longest)),
            ("one too many", &too_long, Err(TooLong { max: 32 })),
            ("64 KiB, not looked at", &huge, Err(TooLong { max: 32 })),
            ("nothing", "", Err(Empty)),
            ("spaces", "  ", Err(Empty)),
            ("ideographic spaces", "\u{3000}\u{3000}", Err(Empty)),
            ("a line's end", "a\nb", Err(NotAllowed('\n'))),
            ("a tab", "a\tb", Err(NotAllowed('\t'))),
            ("a bell", "a\u{7}", Err(NotAllowed('\u{7}'))),
            ("a space that does not break", "a\u{A0}b", Err(NotAllowed('\u{A0}'))),
            ("no width", "a\u{200B}b", Err(NotAllowed('\u{200B}'))),
            ("a joiner", "a\u{200D}b", Err(NotAllowed('\u{200D}'))),
            ("a soft hyphen", "a\u{AD}b", Err(NotAllowed('\u{AD}'))),
            ("turned around", "a\u{202E}b", Err(NotAllowed('\u{202E}'))),
            ("isolated", "\u{2067}ab\u{2069}", Err(NotAllowed('\u{2067}'))),
            ("a style", "a\u{FE0F}", Err(NotAllowed('\u{FE0F}'))),
            ("braille without dots", "\u{2800}", Err(NotAllowed('\u{2800}'))),
            ("a Hangul filler", "\u{3164}", Err(NotAllowed('\u{3164}'))),
            ("half of one", "\u{FFA0}", Err(NotAllowed('\u{3164}'))),
            ("a symbol", "☠", Err(NotAllowed('☠'))),
            ("an emoji", "Ada🦀", Err(NotAllowed('🦀'))),
            ("a letter in another style", "𝓐da", Err(NotAllowed('𝓐'))),
            ("four marks", "a\u{323}\u{301}\u{302}\u{303}", Ok("ạ\u{301}\u{302}\u{303}")),
            ("five marks", "a\u{323}\u{301}\u{302}\u{303}\u{304}", Err(NotAllowed('\u{304}'))),
            ("a mark at the start", "\u{338}ab", Err(NotAllowed('\u{338}'))),
            ("a mark behind a space", "a \u{338}b", Err(NotAllowed('\u{338}'))),
            ("Hebrew", "שרה", Ok("שרה")),
            ("Hebrew and digits", "שרה2", Ok("שרה2")),
            ("digits and Hebrew", "2שרה", Err(Direction)),
            ("Hebrew that ends in a symbol", "שרה-", Err(Direction)),
            ("Arabic", "عمر خيام", Ok("عمر خيام")),
            ("Cyrillic", "Анна", Ok("Анна")),
            ("Greek", "Σωκράτης", Ok("Σωκράτης")),
            ("Cherokee", "ᏎᏉᏯ", Ok("ᏎᏉᏯ")),
            ("Devanagari", "शान्ति", Ok("शान्ति")),
            ("an ideograph of Unicode 13", "\u{30000}", Ok("\u{30000}")),
            ("Han", "中文", Ok("中文")),
            ("Han and Latin", "王Wang", Ok("王Wang")),
            ("Han, kana and Latin", "東京タワーからHi", Ok("東京タワーからHi")),
            ("Han, Hangul and Latin", "김金Kim", Ok("김金Kim")),
            ("Han and Bopomofo", "王ㄨㄤ", Ok("王ㄨㄤ")),
            ("Hangul and kana", "김か", Err(MixedScripts)),
            ("Latin and Cyrillic", "аda", Err(MixedScripts)),
            ("Latin and Cyrillic in two words", "Ада Ada", Err(MixedScripts)),
            ("Latin and Greek", "Adα", Err(MixedScripts)),
            ("Latin and Cherokee", "AᎠ", Err(MixedScripts)),
            ("Cyrillic and Han", "Ж中", Err(MixedScripts)),
        ];
        for (name, text, expected) in rows {
            let made = Name::new(text);
            assert_eq!(made.as_ref().map(Name::as_str).map_err(|error| *error), *expected, "{name}");
        }
    }

    #[test]
    fn rooms_names_on_both_sides_of_each_rule() {
        let longest = "é".repeat(40);
        let too_long = "é".repeat(41);
        let expanded = "ﷺ".repeat(3);
        let huge = "\u{7}".repeat(64 << 10);
        let rows: &[(&str, &str, Result<&str, BadName>)] = &[
            ("words", "Rust & friends", Ok("Rust & friends")),
            ("spaces of all kinds", "\u{3000} Tea \u{A0} room\u{2003}", Ok("Tea room")),
            ("an emoji of Unicode 8", "Rust 🦀", Ok("Rust 🦀")),
            ("an emoji with its style", "I \u{2764}\u{FE0F} tea", Ok("I \u{2764} tea")),
            ("an emoji with a colour", "👍🏽", Ok("👍🏽")),
            ("a flag", "🇪🇺", Ok("🇪🇺")),
            ("an emoji out of several", "👩\u{200D}💻", Err(NotAllowed('\u{200D}'))),
            ("full width", "Ｒｕｓｔ", Ok("Rust")),
            ("letters in another style", "𝓡𝓾𝓼𝓽", Ok("Rust")),
            ("an accent alone", "´", Err(NotAllowed('\u{301}'))),
            ("scripts mixed", "Привет Rust", Ok("Привет Rust")),
            ("directions mixed", "שלום 2 all", Ok("שלום 2 all")),
            ("the longest", &longest, Ok(&longest)),
            ("one too many", &too_long, Err(TooLong { max: 40 })),
            ("three that become 54", &expanded, Err(TooLong { max: 40 })),
            ("64 KiB, not looked at", &huge, Err(TooLong { max: 40 })),
            ("nothing", "", Err(Empty)),
            ("spaces", " \u{A0}\u{3000}", Err(Empty)),
            ("a style of nothing", "\u{FE0F}", Err(Empty)),
            ("a line's end", "a\nb", Err(NotAllowed('\n'))),
            ("another line's end", "a\u{2028}b", Err(NotAllowed('\u{2028}'))),
            ("no width", "a\u{200B}b", Err(NotAllowed('\u{200B}'))),
            ("turned around", "a\u{202E}b", Err(NotAllowed('\u{202E}'))),
            ("five marks", "a\u{323}\u{301}\u{302}\u{303}\u{304}", Err(NotAllowed('\u{304}'))),
        ];
        for (name, text, expected) in rows {
            let made = RoomName::new(text);
            assert_eq!(made.as_ref().map(RoomName::as_str).map_err(|error| *error), *expected, "{name}");
        }
    }

    #[test]
    fn a_limit_may_be_another_one() {
        assert_eq!(Name::at_most(3, "Ada").map(|name| name.as_str().to_owned()), Ok("Ada".to_owned()));
        assert_eq!(Name::at_most(2, "Ada"), Err(TooLong { max: 2 }));
        assert_eq!(RoomName::at_most(2, "Tea"), Err(TooLong { max: 2 }));
        assert_eq!(Name::at_most(usize::MAX, &"a".repeat(1000)).unwrap().as_str().len(), 1000);
    }

    #[test]
    fn names_that_look_the_same_have_the_same_key() {
        let rows: &[&[&str]] = &[
            &["Ada", "ada", "ADA", "aDa", "Ａｄａ", " Ada "],
            &["Bill", "BiII", "bi11", "B|LL", "bIlI"],
            &["Bob", "B0b", "bOB"],
            &["Tom", "Torn", "TOM", "ТОМ", "Том"],
            &["rope", "горе", "ROPE"],
            &["BOB", "ВОВ", "вов", "ΒΟΒ"],
            &["Straße", "STRASSE", "strasse"],
            &["Amélie", "AME\u{301}LIE"],
            &["Σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ"],
            &["İpek", "i\u{307}pek"],
            &["ıpek", "Ipek", "ipek", "lpek"],
            &["工口", "エロ"],
            &["Ada Lovelace", "ada  lovelace", "ADA LOVELACE"],
        ];
        for names in rows {
            let keys: Vec<_> = names.iter().map(|name| Name::new(name).unwrap().key().to_owned()).collect();
            assert!(keys.iter().all(|key| *key == keys[0]), "{names:?}: {keys:?}");
        }
        let room = |name| RoomName::new(name).unwrap().key().to_owned();
        for same in ["rust 🦀", "RUST 🦀\u{FE0F}", "Ｒｕｓｔ\u{3000}🦀", "ruѕt 🦀"] {
            assert_eq!(room(same), room("Rust 🦀"), "{same:?}");
        }
    }

    #[test]
    fn names_that_look_different_have_different_keys() {
        let names =
            ["Ada", "Adam", "A da", "Ida", "Áda", "Oda", "Анна", "Ирина", "Юлия", "Яна", "明", "朋", "עדה", "عدا"];
        for (index, one) in names.iter().enumerate() {
            for other in &names[index + 1..] {
                assert_ne!(Name::new(one).unwrap().key(), Name::new(other).unwrap().key(), "{one} and {other}");
            }
        }
        assert_ne!(RoomName::new("🦀").unwrap().key(), RoomName::new("🐚").unwrap().key());
    }

    /// What is confused among ASCII's letters and digits is confused by eyes; nothing else there is.
    #[test]
    fn in_ascii_only_what_looks_the_same_has_the_same_key() {
        for c in ('0'..='9').chain('a'..='z').chain('A'..='Z') {
            let expected = match c.to_ascii_lowercase() {
                'i' | '1' => "l".to_owned(),
                '0' => "o".to_owned(),
                'm' => "rn".to_owned(),
                other => other.to_string(),
            };
            assert_eq!(key_of(&c.to_string()), expected, "{c}");
        }
    }

    /// Those that any mapping could change, but of Hangul's syllables, which are all made alike, the first ones only.
    /// Beyond them there are ideographs that are as they are, and nothing.
    fn mapped_characters() -> impl Iterator<Item = char> {
        let is_mapped = |c: &char| {
            let text = c.to_string();
            let mapped = [uppercase(&text), lowercase(&text), skeleton_of(&text), text.nfkd().collect()];
            mapped.iter().any(|mapped| *mapped != text) || is_combining_mark(*c)
        };
        let ranges = ['\0'..'\u{AC10}', '\u{D7A4}'..'\u{20000}', '\u{2F800}'..'\u{2FA20}'];
        ranges.into_iter().flatten().filter(is_mapped)
    }

    /// As a name's key is made of each character's alone, what holds for all of them holds for all names.
    #[test]
    fn the_key_of_every_character_is_its_own_key_and_has_no_case() {
        for c in mapped_characters() {
            let text = c.to_string();
            let key = key_of(&text);
            assert_eq!(key_of(&key), key, "{c:?}: again");
            // Nobody's name is empty to others.
            assert!(!key.is_empty() || precis::check_freeform(&text).is_err(), "{c:?}");
            for other in [text.to_uppercase(), text.to_lowercase(), text.nfd().collect(), text.nfc().collect()] {
                assert_eq!(key_of(&other), key, "{c:?}: {other:?}");
            }
        }
    }

    #[test]
    fn a_name_with_any_character_is_the_same_when_it_is_read_again() {
        for c in mapped_characters() {
            let text = format!("{c}a");
            if let Ok(name) = Name::new(&text) {
                assert_eq!(Name::new(name.as_str()), Ok(name), "{c:?}");
            }
            if let Ok(name) = RoomName::new(&text) {
                assert_eq!(RoomName::new(name.as_str()), Ok(name), "{c:?}");
            }
        }
    }
}
