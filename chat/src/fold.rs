//! Texts as readers compare them: the search for names, and the order of names, ignore case, accents, and the kind of
//! quotation marks and dashes. Unlike the key of a name (`name.rs`), a folded text never takes one letter for another:
//! `i` is not `l`, and `rn` is not `m`.
//!
//! A folded text is compatibility-decomposed ([UAX #15]) and in lowercase, by way of uppercase, so that ß is ss.
//! Accents are left out, and the points of Hebrew, Arabic and Syriac. Marks of other scripts stay, since there they
//! make another letter: the vowels of Thai, the voicing of kana. What is left is composed again.
//!
//! Folded texts are compared by code points. So the scripts follow each other as in Unicode, and within Latin, Greek
//! and Cyrillic the alphabet is in order. A collation ([UTS #10]) would also sort letters that have no decomposition,
//! such as ø. But it depends on a language, and a chat has users of several. The crate `icu_collator` adds 1.2 MB to
//! the program, and its keys are of no use for a search. The page sorts what it has by the language of its user.
//!
//! [UAX #15]: https://www.unicode.org/reports/tr15/
//! [UTS #10]: https://www.unicode.org/reports/tr10/

use unicode_normalization::{UnicodeNormalization as _, char::canonical_combining_class};

use super::precis::is_ignorable;

/// Returns a text folded: the first [`MAX_CHARS`] characters of it, and as many at most. Spaces at both ends are
/// removed, and several spaces become one. The folded form of a folded text is that text.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let chars = text.trim().chars().take(MAX_CHARS);
    let letters = chars.nfkd().filter(|c| !is_left_out(*c)).map(|c| straight(c).unwrap_or(c));
    for c in letters.take(MAX_CHARS) {
        if c.is_whitespace() {
            if !folded.is_empty() && !folded.ends_with(' ') {
                folded.push(' ');
            }
        } else if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            // The capital ẞ is ss only by way of ß.
            folded.extend(c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
        }
    }
    folded.truncate(folded.trim_end().len());
    if folded.is_ascii() { folded } else { folded.nfc().collect() }
}

/// Returns the character of ASCII for which phones and word processors type this one: a quotation mark, an apostrophe,
/// or a dash. `None` for all other characters.
pub(super) fn straight(c: char) -> Option<char> {
    match c {
        '\u{201C}' | '\u{201D}' | '\u{201E}' | '\u{201F}' => Some('"'),
        '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2013}' | '\u{2014}' | '\u{2212}' => Some('-'),
        _ => straight_apostrophe(c),
    }
}

/// As [`straight`], for apostrophes and single quotation marks only.
pub(super) fn straight_apostrophe(c: char) -> Option<char> {
    matches!(c, '\u{2018}' | '\u{2019}' | '\u{201A}' | '\u{201B}' | '\u{2BC}').then_some('\'')
}

/// Returns whether a character does not count: it is invisible, or a mark on a letter that stays the same letter. The
/// combining classes say which: overlays, points of Hebrew, Arabic and Syriac, and marks at any side of a letter.
fn is_left_out(c: char) -> bool {
    !c.is_ascii() && (matches!(canonical_combining_class(c), 1 | 10..=36 | 200..=240) || is_ignorable(c))
}

/// Maximum characters that are folded. A name has at most 128, and a capital at most three small letters.
const MAX_CHARS: usize = 512;

/// The version of the rules above, for those who store folded texts.
pub(super) const RULES: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_read_the_same_are_folded_to_the_same() {
        let rows: &[(&str, &[&str])] = &[
            ("lena", &["Lena", "LENA", "Léna", "le\u{301}na", "Ｌｅｎａ", " Lena ", "L\u{336}ena"]),
            ("music", &["Music", "MUSIC", "𝓜usic"]),
            ("o'brien", &["O'Brien", "O’Brien", "O‘Brien", "OʼBrien", "O＇BRIEN"]),
            ("the \"kid\" - him", &["The “Kid” – him", "The  „KID“\u{A0}— him"]),
            ("strasse", &["Straße", "STRASSE", "straſſe"]),
            ("ipek", &["İpek", "ıpek", "Ipek", "i\u{307}pek"]),
            ("σισυφοσ", &["Σίσυφος", "ΣΊΣΥΦΟΣ"]),
            ("сергеи", &["Сергей", "СЕРГЕИ"]),
            ("שלום", &["שָׁלוֹם", "שלום"]),
            ("احمد", &["أحمد", "احمد", "اَحمد"]),
            ("می خواهم", &["می خواهم"]),
            ("میخواهم", &["می\u{200C}خواهم"]),
            ("한국", &["한국", "\u{1112}\u{1161}\u{11AB}\u{1100}\u{116E}\u{11A8}"]),
            ("i ❤ tea", &["I ❤\u{FE0F} Tea", "I ❤ tea"]),
            ("", &["", "  ", "\u{301}", "\u{200D}"]),
        ];
        for (expected, texts) in rows {
            for text in *texts {
                assert_eq!(fold(text), *expected, "{text:?}");
            }
        }
    }

    /// Pairs that the keys of `name.rs` may confuse, or that differ in a sign that is no accent.
    #[test]
    fn texts_that_read_differently_stay_different() {
        for (one, other) in [
            ("i", "l"),
            ("rn", "m"),
            ("0", "o"),
            ("1", "l"),
            ("Tom", "Том"),
            ("คน", "คุน"),
            ("か", "が"),
            ("कि", "की"),
            ("क", "क\u{93C}"),
            ("ø", "o"),
        ] {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn a_folded_text_is_folded_already_and_has_no_case() {
        // Other ideographs and syllables are alike.
        for c in ['\0'..'\u{AC10}', '\u{D7A4}'..'\u{20000}', '\u{2F800}'..'\u{2FA20}'].into_iter().flatten() {
            let folded = fold(&format!("a{c}b"));
            assert_eq!(fold(&folded), folded, "{c:?}");
            assert_eq!(fold(&folded.to_uppercase()), folded, "{c:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(fold(&"Ж".repeat(64 << 10)).chars().count(), MAX_CHARS);
        assert_eq!(fold(&"\u{301}".repeat(64 << 10)), "");
    }
}
