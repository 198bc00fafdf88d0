//! Hexadecimal.

/// Returns a message in hexadecimal.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses hexadecimal, in which white space has no meaning. `None` if it is not.
pub(super) fn from_hex(line: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = line
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| u8::try_from(character.to_digit(16)?).ok())
        .collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_pairs_of_digits_with_white_space_anywhere() {
        let rows: [(&str, Option<&[u8]>); 8] = [
            ("", Some(b"")),
            ("00ff", Some(b"\x00\xff")),
            ("DE ad\tbe EF\r", Some(b"\xde\xad\xbe\xef")),
            ("0 0", Some(b"\0")),
            ("0", None),
            ("0g", None),
            ("0x00", None),
            ("٠٠", None),
        ];
        for (line, expected) in rows {
            assert_eq!(from_hex(line).as_deref(), expected, "{line:?}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&all)), Some(all));
    }
}
