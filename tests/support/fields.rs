//! The fields of a configuration, so that a test can list all of them.

use std::fmt::Debug;

/// Returns the path of each field that has no fields itself, such as `limits.max_frame_bytes`, read from the derived
/// `Debug` form.
pub fn fields_of(value: &impl Debug) -> Vec<String> {
    let text = format!("{value:#?}");
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut fields = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        path.retain(|(outer, _)| *outer < indent);
        let Some((name, _)) = content.split_once(": ") else { continue };
        path.push((indent, name));
        fields.push(path.iter().map(|(_, name)| *name).collect::<Vec<_>>().join("."));
    }
    let has_fields = |field: &str| fields.iter().any(|other| other.starts_with(&format!("{field}.")));
    fields.iter().filter(|field| !has_fields(field)).cloned().collect()
}

/// Asserts that the two lists have the same elements, in any order, and each once.
///
/// # Panics
/// With the elements that only one of them has.
#[track_caller]
pub fn assert_complete(listed: &[&str], fields: &[String]) {
    let missing: Vec<_> = fields.iter().filter(|field| !listed.contains(&&***field)).collect();
    let unknown: Vec<_> = listed.iter().filter(|name| !fields.iter().any(|field| field == *name)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in the table: {missing:?}; no fields: {unknown:?}");
    assert_eq!(listed.len(), fields.len(), "a field is listed twice: {listed:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only their names are read")]
    struct Outer {
        plain: u8,
        none: Option<Inner>,
        some: Option<Inner>,
        number: Option<u8>,
        list: Vec<u8>,
        last: &'static str,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its name is read")]
    struct Inner {
        inside: u8,
    }

    #[test]
    fn fields_are_named_by_their_paths() {
        let value = Outer {
            plain: 1,
            none: None,
            some: Some(Inner { inside: 2 }),
            number: Some(3),
            list: Vec::new(),
            last: "a: b",
        };
        assert_eq!(fields_of(&value), ["plain", "none", "some.inside", "number", "list", "last"]);
    }
}
