//! The rules for users' names ([`Name`]) and rooms' names ([`RoomName`]), and which names count as the same.
//!
//! # Which names are the same
//!
//! Two names are the same if they have the same [key](Name::key). That holds for names that differ in case only, and
//! for names that look the same according to [UTS #39]. The two rules must be combined: `I` looks like `l`, and `I` is
//! the capital of `i`, so all three are the same. But they cannot be combined without limit: the Greek capital Ν looks
//! like N and its small letter ν like v, so n and v would be the same. Therefore a letter counts as the first of these:
//!
//! 1. what its small form looks like, if that is ASCII;
//! 2. what its capital form looks like, if that is ASCII: в looks like no ASCII letter, but В looks like B;
//! 3. what its small form looks like.
//!
//! The last step handles what ASCII itself confuses: the result is made capital, replaced by what it looks like, and
//! made small again. So `i`, `I`, `l`, `1` and `|` become `l`, and `0` becomes `o`. All of it is done for each
//! character alone, and repeated until nothing changes, which takes at most three rounds for every character. So the
//! key of a key is that key.
//!
//! Some names are thus the same although they look different, such as Tom and Том: TOM and ТОМ look the same. A few
//! names that look the same are different: those with capitals like the Greek Ν and Υ, if all their letters are Greek.
//!
//! A key is for uniqueness alone. The search for names and their order go by what readers compare: `fold.rs`.
//!
//! The tables grow with each version of Unicode, which may change a key. So the store keeps names, and recomputes their
//! keys after an update.
//!
//! [UTS #39]: https://www.unicode.org/reports/tr39/

use std::{borrow::Cow, fmt, sync::LazyLock};

use precis_profiles::{Nickname, UsernameCasePreserved, precis_core::profile::Rules as _};
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_script::Script;
use unicode_security::{mixed_script::AugmentedScriptSet, skeleton};

use super::{blank::is_blank_glyph, fold, precis};

/// A user's name: words of letters, digits and ASCII's symbols, separated by single spaces. Each word is a
/// [UsernameCasePreserved] of RFC 8265.
///
/// [UsernameCasePreserved]: https://www.rfc-editor.org/rfc/rfc8265#section-3.4
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Keyed);

/// A room's name: any visible text, emoji included. It is a [nickname] of RFC 8266.
///
/// [nickname]: https://www.rfc-editor.org/rfc/rfc8266#section-2
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomName(Keyed);

/// Why a text is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// The text is empty or has only spaces.
    Empty,
    /// The text has more characters than the limit.
    TooLong {
        /// The limit.
        max: usize,
    },
    /// This character is not allowed in a name, or not at its position. Most such characters are invisible, or change
    /// the text's direction.
    NotAllowed(char),
    /// The text mixes right-to-left with left-to-right writing, so that its reading order is ambiguous (RFC 5893 §2).
    Direction,
    /// The text mixes letters of different scripts, such as Latin and Cyrillic, which may look the same. A name may use
    /// one script, or Latin with Chinese, Japanese or Korean: UTS #39's restriction level "Highly Restrictive".
    MixedScripts,
}

impl Name {
    /// Parses a name of 1 to 32 characters.
    ///
    /// Removes spaces at both ends, reduces several spaces to one, composes letters with their marks, and replaces
    /// full-width and half-width characters by normal ones, and the quotation marks, apostrophes and dashes that phones
    /// type by those of ASCII.
    ///
    /// # Errors
    /// [`BadName`] if the text breaks a rule.
    pub fn new(text: &str) -> Result<Self, BadName> {
        Self::at_most(Self::MAX_CHARS, text)
    }

    /// Parses a name of at most `max` characters. Otherwise as [`new`](Self::new).
    ///
    /// # Errors
    /// [`BadName`] if the text breaks a rule.
    pub fn at_most(max: usize, text: &str) -> Result<Self, BadName> {
        check_bytes(max, text)?;
        let profile = UsernameCasePreserved::new();
        // A mapping before those of the profile: keyboards of phones type ’ for the key of '.
        let text: String = text.chars().map(|c| fold::straight(c).unwrap_or(c)).collect();
        // The profile's mappings never fail. The width mapping turns an ideographic space into a plain one.
        let text = profile.width_mapping_rule(&*text).unwrap_or(Cow::Borrowed(&text));
        check_length(max, text.nfc())?;
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
        if mixes_scripts(&name) {
            return Err(BadName::MixedScripts);
        }
        Keyed::new(max, name).map(Self)
    }

    /// Returns the name if a new user may take it: it does not end in a colon, or in what looks like one. What follows
    /// such a name reads as the user's words. Users who have such a name keep it.
    ///
    /// # Errors
    /// [`BadName::NotAllowed`].
    pub(super) fn for_a_new_user(self) -> Result<Self, BadName> {
        match self.0.name.chars().next_back() {
            // A key has what looks like a colon as a colon.
            Some(last) if self.0.key.ends_with(':') => Err(BadName::NotAllowed(last)),
            _ => Ok(self),
        }
    }

    /// Returns the name for display.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// Returns the key that must be unique: the same for names that differ in case only or look the same. It is not for
    /// display.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The default maximum of characters.
    pub const MAX_CHARS: usize = 32;

    /// The highest maximum of characters that can be configured.
    pub const HIGHEST_LIMIT: usize = 128;
}

impl RoomName {
    /// Parses a name of 1 to 40 characters.
    ///
    /// Removes spaces at both ends, reduces several spaces to one, composes letters with their marks, and replaces
    /// styled letters (full-width, script, circled) by plain ones, and the apostrophe that phones type by that of
    /// ASCII.
    ///
    /// # Errors
    /// [`BadName`] if the text breaks a rule; never `Direction` or `MixedScripts`.
    pub fn new(text: &str) -> Result<Self, BadName> {
        Self::at_most(Self::MAX_CHARS, text)
    }

    /// Parses a name of at most `max` characters. Otherwise as [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn at_most(max: usize, text: &str) -> Result<Self, BadName> {
        check_bytes(max, text)?;
        let to_straight = |c| fold::straight_apostrophe(c).unwrap_or(c);
        // Keyboards add variation selectors to emoji, and the profile does not allow them.
        let name = text.chars().filter(|c| !matches!(c, '\u{FE0E}' | '\u{FE0F}'));
        let mut name: String = name.map(to_straight).collect();
        check_length(max, name.nfkc())?;
        // RFC 8266 §2.3: repeat until the output is stable. Three rounds are enough: normalization may only add a space
        // at the start, which the next round removes.
        for _ in 0..3 {
            precis::check_freeform(&name).map_err(BadName::NotAllowed)?;
            let profile = Nickname::new();
            let mapped = profile.additional_mapping_rule(&*name).and_then(|name| profile.normalization_rule(name));
            match mapped {
                Ok(mapped) if mapped != name => name = mapped.chars().map(to_straight).collect(),
                _ => break,
            }
        }
        Keyed::new(max, name).map(Self)
    }

    /// Returns the name if it has at most `max` characters.
    ///
    /// # Errors
    /// [`BadName::TooLong`].
    pub(super) fn within(&self, max: usize) -> Result<&Self, BadName> {
        if self.0.name.chars().count() > max { Err(BadName::TooLong { max }) } else { Ok(self) }
    }

    /// Returns the name for display.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.name
    }

    /// Returns the key that must be unique: see [`Name::key`].
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The default maximum of characters.
    pub const MAX_CHARS: usize = 40;
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Please enter a name."),
            Self::TooLong { max } => write!(f, "A name has at most {max} characters."),
            Self::NotAllowed(c) => write!(f, "A name must not contain {}.", precis::describe(*c)),
            Self::Direction => f.write_str("A name must not mix right-to-left with left-to-right writing."),
            Self::MixedScripts => f.write_str("A name must not mix letters of different scripts."),
        }
    }
}

impl std::error::Error for BadName {}

/// A valid name with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keyed {
    name: String,
    key: String,
}

impl Keyed {
    /// Checks the rules that all kinds of names share.
    fn new(max: usize, name: String) -> Result<Self, BadName> {
        if name.is_empty() {
            Err(BadName::Empty)
        } else if name.chars().count() > max {
            Err(BadName::TooLong { max })
        } else if let Some(mark) = misplaced_mark(&name) {
            Err(BadName::NotAllowed(mark))
        } else if let Some(glyph) = name.chars().find(|c| is_blank_glyph(*c)) {
            Err(BadName::NotAllowed(glyph))
        } else {
            Ok(Self { key: key_of(&name), name })
        }
    }
}

/// Refuses a text that is far too long, before any other check. Composing letters with their marks shortens a text, but
/// by no more than this.
fn check_bytes(max: usize, text: &str) -> Result<(), BadName> {
    let is_too_long = text.len() > max.saturating_mul(MAX_BYTES_PER_CHAR)
        || text.chars().count() > max.saturating_mul(MAX_COMPOSED).saturating_add(SPACES_AROUND);
    if is_too_long { Err(BadName::TooLong { max }) } else { Ok(()) }
}

/// Refuses a text that stays too long when it is composed, before the checks of its characters, which take longer.
/// Spaces may be removed later, so they do not count.
fn check_length(max: usize, composed: impl Iterator<Item = char>) -> Result<(), BadName> {
    if composed.filter(|c| !c.is_whitespace()).nth(max).is_some() { Err(BadName::TooLong { max }) } else { Ok(()) }
}

/// Returns a combining mark that must not be shown: one at the start of a word, which would be drawn over the character
/// before it, or one above the limit on a letter (UTS #39 §5.4), which would be drawn over other lines.
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

/// Returns whether a name mixes scripts: the definition of "Highly Restrictive" in UTS #39 §5.2, without its list of
/// characters. The PRECIS profile decides about characters, and the list excludes scripts in use, such as Cherokee.
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

/// Returns the key of a name. See the top of this file.
pub(super) fn key_of(name: &str) -> String {
    let mut key = name.to_owned();
    for _ in 0..KEY_ROUNDS {
        let mut next = String::with_capacity(key.len());
        for c in key.nfd() {
            match u8::try_from(c).ok().and_then(|byte| ASCII_KEYS.get(usize::from(byte))) {
                Some(key) => next.push_str(key),
                None => next.push_str(&key_of_char(c.encode_utf8(&mut [0; 4]))),
            }
        }
        let next = next.nfd().collect();
        if next == key {
            break;
        }
        key = next;
    }
    key
}

/// The keys of ASCII's characters, of which most names consist.
static ASCII_KEYS: LazyLock<Vec<String>> =
    LazyLock::new(|| (0..128_u8).map(|byte| key_of_char(&char::from(byte).to_string())).collect());

/// Returns what a character looks like, independent of its case.
fn key_of_char(character: &str) -> String {
    let small = skeleton_of(&lowercase(character));
    let capital = skeleton_of(&uppercase(character));
    let look = if !small.is_ascii() && capital.is_ascii() { capital } else { small };
    lowercase(&skeleton_of(&uppercase(&look)))
}

/// Replaces each character by what it looks like, the skeleton of UTS #39.
fn skeleton_of(text: &str) -> String {
    skeleton(text).collect()
}

/// Converts to lowercase by way of uppercase, which unifies variants: σ and ς have the same capital, as have s and ſ.
fn lowercase(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

fn uppercase(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).collect()
}

/// Bytes of the longest text that composes to one character: three characters of four bytes. A Korean syllable from
/// compatibility letters has nine.
const MAX_BYTES_PER_CHAR: usize = 12;
/// Maximum characters that compose to one.
const MAX_COMPOSED: usize = 4;
/// Maximum spaces at both ends, which are removed.
const SPACES_AROUND: usize = 32;
/// Maximum combining marks on one letter.
const MAX_MARKS: usize = 4;
/// Rounds after which the key of no character changes.
const KEY_ROUNDS: usize = 3;

/// Returns the version of the rules and tables that keys and folded names depend on. The store recomputes those of
/// another version.
pub(super) fn keys_version() -> String {
    let (security, normalization) = (unicode_security::UNICODE_VERSION, unicode_normalization::UNICODE_VERSION);
    format!("{RULES} {} {security:?} {normalization:?} {:?}", fold::RULES, char::UNICODE_VERSION)
}

/// The version of the rules above.
const RULES: u32 = 1;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    use super::{
        BadName::{Direction, Empty, MixedScripts, NotAllowed, TooLong},
        *,
    };

    #[test]
    fn user_names_on_both_sides_of_each_rule() {
        let longest = "é".repeat(32);
        let decomposed = "e\u{301}".repeat(32);
        let too_long = "é".repeat(33);
        let huge = "\u{7}".repeat(64 << 10);
        let (spaced, spaces) = (format!("  {longest}  "), " ".repeat(64 << 10));
        let rows: &[(&str, &str, Result<&str, BadName>)] = &[
            ("a word", "Ada", Ok("Ada")),
            ("one character", "A", Ok("A")),
            ("spaces at the ends and in between", "  Ada   Lovelace ", Ok("Ada Lovelace")),
            ("an ideographic space", "山田\u{3000}太郎", Ok("山田 太郎")),
            ("ASCII's symbols", "<b>&\"'", Ok("<b>&\"'")),
            ("full width", "Ａｄａ", Ok("Ada")),
            ("half width", "ｱﾀﾞ", Ok("アダ")),
            ("an apostrophe as phones type it", "O’Brien", Ok("O'Brien")),
            ("other apostrophes", "OʼBrien ‘t ＇", Ok("O'Brien 't '")),
            ("quotation marks and dashes", "Jean–Luc “JL” „X“ A‑B", Ok("Jean-Luc \"JL\" \"X\" A-B")),
            ("decomposed", "Ame\u{301}lie", Ok("Amélie")),
            ("the longest", &longest, Ok(&longest)),
            ("the longest, decomposed", &decomposed, Ok(&longest)),
            ("the longest, between spaces", &spaced, Ok(&longest)),
            ("one too many", &too_long, Err(TooLong { max: 32 })),
            ("64 KiB of spaces", &spaces, Err(TooLong { max: 32 })),
            ("64 KiB, refused by its length", &huge, Err(TooLong { max: 32 })),
            ("the empty text", "", Err(Empty)),
            ("spaces", "  ", Err(Empty)),
            ("ideographic spaces", "\u{3000}\u{3000}", Err(Empty)),
            ("a line feed", "a\nb", Err(NotAllowed('\n'))),
            ("a tab", "a\tb", Err(NotAllowed('\t'))),
            ("a bell", "a\u{7}", Err(NotAllowed('\u{7}'))),
            ("a no-break space", "a\u{A0}b", Err(NotAllowed('\u{A0}'))),
            ("a zero-width space", "a\u{200B}b", Err(NotAllowed('\u{200B}'))),
            ("a zero-width joiner", "a\u{200D}b", Err(NotAllowed('\u{200D}'))),
            ("a soft hyphen", "a\u{AD}b", Err(NotAllowed('\u{AD}'))),
            ("a right-to-left override", "a\u{202E}b", Err(NotAllowed('\u{202E}'))),
            ("a direction isolate", "\u{2067}ab\u{2069}", Err(NotAllowed('\u{2067}'))),
            ("a variation selector", "a\u{FE0F}", Err(NotAllowed('\u{FE0F}'))),
            ("a blank braille pattern", "\u{2800}", Err(NotAllowed('\u{2800}'))),
            ("a blank hieroglyph", "\u{13441}", Err(NotAllowed('\u{13441}'))),
            ("a Hangul filler", "\u{3164}", Err(NotAllowed('\u{3164}'))),
            ("a half-width Hangul filler", "\u{FFA0}", Err(NotAllowed('\u{3164}'))),
            ("a symbol", "☠", Err(NotAllowed('☠'))),
            ("an emoji", "Ada🦀", Err(NotAllowed('🦀'))),
            ("a letter in another style", "𝓐da", Err(NotAllowed('𝓐'))),
            ("four marks", "a\u{323}\u{301}\u{302}\u{303}", Ok("ạ\u{301}\u{302}\u{303}")),
            ("five marks", "a\u{323}\u{301}\u{302}\u{303}\u{304}", Err(NotAllowed('\u{304}'))),
            ("a mark at the start", "\u{338}ab", Err(NotAllowed('\u{338}'))),
            ("a mark after a space", "a \u{338}b", Err(NotAllowed('\u{338}'))),
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
            ("Han, Bopomofo and Latin", "王ㄨㄤWang", Ok("王ㄨㄤWang")),
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
    fn room_names_on_both_sides_of_each_rule() {
        let longest = "é".repeat(40);
        let too_long = "é".repeat(41);
        let expanded = "ﷺ".repeat(3);
        let huge = "\u{7}".repeat(64 << 10);
        let rows: &[(&str, &str, Result<&str, BadName>)] = &[
            ("words", "Rust & friends", Ok("Rust & friends")),
            ("spaces of all kinds", "\u{3000} Tea \u{A0} room\u{2003}", Ok("Tea room")),
            ("an emoji of Unicode 8", "Rust 🦀", Ok("Rust 🦀")),
            ("an emoji with a variation selector", "I \u{2764}\u{FE0F} tea", Ok("I \u{2764} tea")),
            ("a symbol with the other one", "I \u{2764}\u{FE0E} tea", Ok("I \u{2764} tea")),
            ("an emoji with a skin tone", "👍🏽", Ok("👍🏽")),
            ("a flag", "🇪🇺", Ok("🇪🇺")),
            ("an emoji sequence", "👩\u{200D}💻", Err(NotAllowed('\u{200D}'))),
            ("full width", "Ｒｕｓｔ", Ok("Rust")),
            ("letters in another style", "𝓡𝓾𝓼𝓽", Ok("Rust")),
            ("an apostrophe as phones type it", "Rock ’n’ Roll – “live”", Ok("Rock 'n' Roll – “live”")),
            ("an accent alone", "´", Err(NotAllowed('\u{301}'))),
            ("scripts mixed", "Привет Rust", Ok("Привет Rust")),
            ("directions mixed", "שלום 2 all", Ok("שלום 2 all")),
            ("the longest", &longest, Ok(&longest)),
            ("one too many", &too_long, Err(TooLong { max: 40 })),
            ("three characters that become 54", &expanded, Err(TooLong { max: 40 })),
            ("64 KiB, refused by its length", &huge, Err(TooLong { max: 40 })),
            ("the empty text", "", Err(Empty)),
            ("spaces", " \u{A0}\u{3000}", Err(Empty)),
            ("a variation selector alone", "\u{FE0F}", Err(Empty)),
            ("a blank braille pattern", "Lobby\u{2800}", Err(NotAllowed('\u{2800}'))),
            ("a note without a head", "\u{1D159}", Err(NotAllowed('\u{1D159}'))),
            ("an object's place", "\u{FFFC}", Err(NotAllowed('\u{FFFC}'))),
            ("a line feed", "a\nb", Err(NotAllowed('\n'))),
            ("a line separator", "a\u{2028}b", Err(NotAllowed('\u{2028}'))),
            ("a zero-width space", "a\u{200B}b", Err(NotAllowed('\u{200B}'))),
            ("a right-to-left override", "a\u{202E}b", Err(NotAllowed('\u{202E}'))),
            ("five marks", "a\u{323}\u{301}\u{302}\u{303}\u{304}", Err(NotAllowed('\u{304}'))),
        ];
        for (name, text, expected) in rows {
            let made = RoomName::new(text);
            assert_eq!(made.as_ref().map(RoomName::as_str).map_err(|error| *error), *expected, "{name}");
        }
    }

    #[test]
    fn a_new_user_takes_no_name_that_ends_like_a_colon() {
        for (name, refused) in [
            ("Ada", None),
            (":Ada:a", None),
            ("Ada:", Some(':')),
            ("Ada :", Some(':')),
            ("Ada：", Some(':')),
            ("Ada\u{2D0}", Some('\u{2D0}')),
        ] {
            let known = Name::new(name).unwrap();
            let new = known.clone().for_a_new_user();
            assert_eq!(new, refused.map_or(Ok(known), |last| Err(NotAllowed(last))), "{name}");
        }
    }

    #[test]
    fn another_limit_can_be_set() {
        assert_eq!(Name::at_most(3, "Ada").map(|name| name.as_str().to_owned()), Ok("Ada".to_owned()));
        assert_eq!(Name::at_most(2, "Ada"), Err(TooLong { max: 2 }));
        assert_eq!(RoomName::at_most(2, "Tea"), Err(TooLong { max: 2 }));
        let name = RoomName::new("Thé").unwrap();
        assert_eq!((name.within(3), name.within(2)), (Ok(&name), Err(TooLong { max: 2 })));
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

    /// Among ASCII's letters and digits, exactly those that look the same have the same key.
    #[test]
    fn only_ascii_characters_that_look_the_same_share_a_key() {
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

    /// Returns all characters that a mapping may change. Of Hangul's syllables, which are all composed alike, only the
    /// first ones; other ideographs outside the ranges have no mapping.
    fn mapped_characters() -> impl Iterator<Item = char> {
        let is_mapped = |c: &char| {
            let text = c.to_string();
            let mapped = [uppercase(&text), lowercase(&text), skeleton_of(&text), text.nfkd().collect()];
            mapped.iter().any(|mapped| *mapped != text) || is_combining_mark(*c)
        };
        let ranges = ['\0'..'\u{AC10}', '\u{D7A4}'..'\u{20000}', '\u{2F800}'..'\u{2FA20}'];
        ranges.into_iter().flatten().filter(is_mapped)
    }

    /// A name's key is made of its characters' keys, so this then holds for all names.
    #[test]
    fn the_key_of_every_character_is_its_own_key_and_has_no_case() {
        for c in mapped_characters() {
            let text = c.to_string();
            let key = key_of(&text);
            assert_eq!(key_of(&key), key, "{c:?}: the key of the key");
            // No allowed name has an empty key.
            assert!(!key.is_empty() || precis::check_freeform(&text).is_err(), "{c:?}");
            for other in [text.to_uppercase(), text.to_lowercase(), text.nfd().collect(), text.nfc().collect()] {
                assert_eq!(key_of(&other), key, "{c:?}: {other:?}");
            }
        }
    }

    #[test]
    fn parsing_a_parsed_name_changes_nothing() {
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

    /// Texts of each kind eight times as long: linear rules take eight times as long, quadratic ones 64 times.
    #[test]
    fn the_longest_names_that_are_composed_are_not_too_long() {
        for syllable in ["\u{3131}\u{314F}\u{3133}", "\u{1D6C2}\u{313}\u{300}\u{345}"] {
            let name = RoomName::new(&syllable.repeat(RoomName::MAX_CHARS)).unwrap();
            assert_eq!(name.as_str().chars().count(), RoomName::MAX_CHARS, "{name:?}");
        }
    }

    #[test]
    fn the_rules_take_linear_time() {
        let kinds = [
            "a",
            "m",
            "Ж",
            "é",
            "e\u{301}",
            "・ア",
            "ｱﾞ",
            "明",
            "٣",
            "ن\u{200C}",
            "क\u{94D}\u{200D}",
            "l·l",
            "α\u{375}",
            "ש\u{5F3}",
            "🦀",
            "𝓐",
            "a ",
            "\u{1112}\u{1161}\u{11AB}",
        ];
        for kind in kinds {
            for (rules, max) in [("no limit", usize::MAX), ("the highest limit", Name::HIGHEST_LIMIT)] {
                let time_of = |count| {
                    let text = kind.repeat(count);
                    let once = || {
                        let _ = (Name::at_most(max, &text), RoomName::at_most(max, &text));
                    };
                    (0..5).map(|_| cpu_time_of(once)).min().expect("five times")
                };
                let (short, long) = (time_of(250), time_of(2_000));
                assert!(long < short * 20 + SLACK, "{kind:?}, {rules}: {short:?}, {long:?}");
            }
        }
    }

    fn cpu_time_of(work: impl FnOnce()) -> Duration {
        let now = || clock_gettime(ClockId::ThreadCPUTime);
        let start = now();
        work();
        Duration::try_from(now() - start).unwrap()
    }

    const SLACK: Duration = Duration::from_micros(200);
}
