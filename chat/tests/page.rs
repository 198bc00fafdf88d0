//! The table of elements at the top of the page, on which scripts and tests rely.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn the_table_of_elements_names_elements_of_the_page_and_all_that_its_tests_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("page/index.html")).expect("the page");
    let (head, body) = page.split_once("-->").expect("a comment at the top");
    let (_, table) = head.split_once("Elements that scripts and tests may use").expect("the table");

    let ids: BTreeSet<&str> = body.split(" id=\"").skip(1).map(word).collect();
    let named: BTreeSet<&str> = table.split('#').skip(1).map(word).collect();
    let unknown: Vec<_> = named.difference(&ids).collect();
    assert!(unknown.is_empty(), "the page has no {unknown:?}");

    let mut tests = Vec::new();
    for folder in ["tests/browser/src", "tests/browser/tests/scenarios"] {
        for entry in fs::read_dir(root.join(folder)).expect("a folder of the browser tests") {
            tests.push(fs::read_to_string(entry.expect("an entry").path()).expect("a source"));
        }
    }
    let used: BTreeSet<&str> = tests.iter().flat_map(|test| test.split('#').skip(1).map(word)).collect();
    assert!(used.contains("room-name"), "the tests use {used:?}");
    let missing: Vec<_> = used.intersection(&ids).filter(|id| !named.contains(**id)).collect();
    assert!(missing.is_empty(), "the table lacks {missing:?}");

    // The lines of a log, and the states of messages.
    for attribute in ["[data-kind=", "[data-state="] {
        let values = tests.iter().flat_map(|test| test.split(attribute).skip(1).map(word));
        for value in values.filter(|value| !value.is_empty()) {
            assert!(table.contains(&format!("\"{value}\"")), "the table lacks {attribute}{value}]");
        }
    }
}

/// Returns the letters, digits and hyphens at the beginning of a text.
fn word(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    &text[..end.unwrap_or(text.len())]
}
