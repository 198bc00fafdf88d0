//! The layers of the chat: no file imports a module of a layer above its own, and no files import each other in a
//! circle. The tests read the sources without their comments, strings, and tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use switchboard_tests::sources::{Package, circles, mentions, sources};

/// The modules of `chat/src` by layer, from the bottom. A module may import its own layer and those below.
const LAYERS: &[&[&str]] = &[
    // Values, and the formats in which they are sent.
    &["fold", "origin", "precis", "rate", "token", "user_agent", "wire", "proxy", "files"],
    &["blank", "device", "hash_queue", "name", "password"],
    &["store"],
    // The configuration, and the interface between connections and the core.
    &["backlog", "config", "interface"],
    &["core"],
    // Connections and requests.
    &["site", "credentials", "attempts", "peer", "api", "app"],
    &["front"],
    &["service", "accounts"],
    // The program. The empty name is the root of a crate.
    &["cli", "main", ""],
];

/// Names of sockets and frames, which only the library and the program may use.
const SOCKETS_AND_FRAMES: &[&str] =
    &["crate::reactor", "mio", "std::net::Tcp", "FrameHeader", "HeaderRules", "Opcode", "MaskingKey"];

#[test]
fn no_file_imports_a_module_of_a_layer_above_its_own() {
    let layer_of = |module: &str| {
        let first = module.split("::").next().unwrap_or_default();
        let layer = LAYERS.iter().position(|layer| layer.contains(&first));
        layer.unwrap_or_else(|| panic!("{module:?} has no layer"))
    };
    for (module, imported) in imports() {
        for other in imported {
            assert!(layer_of(&other) <= layer_of(&module), "{module} imports {other}, which is in a layer above");
        }
    }
}

/// All other files reach the core through the traits of `interface`.
#[test]
fn only_the_front_imports_the_core() {
    let is_core = |module: &str| module == "core" || module.starts_with("core::");
    for (module, imported) in imports() {
        let allowed = is_core(&module) || module == "front";
        assert!(allowed || !imported.iter().any(|other| is_core(other)), "{module} imports the core");
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    assert_eq!(circles(&imports()), [[""; 0]; 0]);
}

/// The module doc of `core/mod.rs` says so.
#[test]
fn each_file_of_the_core_imports_only_those_above_it_in_its_table() {
    let table = fs::read_to_string(chat().src().join("core/mod.rs")).expect("the core has a table");
    let order: Vec<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split_once(".rs`"))
        .map(|(file, _)| format!("core::{file}"))
        .collect();
    let place = |module: &str| order.iter().position(|file| file == module);
    let mut seen = 0;
    for (module, imported) in imports().iter().filter(|(module, _)| module.starts_with("core::")) {
        assert!(place(module).is_some(), "{module} is not in the table");
        for other in imported.iter().filter(|other| other.starts_with("core::")) {
            assert!(place(other) < place(module), "{module} imports {other}, which is not above it in the table");
            seen += 1;
        }
    }
    assert!(seen > 30, "only {seen} imports were read");
}

/// The rules are the same for every wire format and every store.
#[test]
fn the_core_names_no_format_no_database_and_no_sockets() {
    let chat = chat();
    let tests = chat.src().join("core/tests");
    let rules: Vec<_> = chat.files_of("core").into_iter().filter(|(file, _)| !file.starts_with(&tests)).collect();
    assert!(rules.len() > 20, "only {} files were read", rules.len());
    for (file, source) in rules {
        for path in chat.paths(&file, &source) {
            let breach = ["serde_json", "rusqlite", "mio"].iter().find(|name| mentions(&path, name));
            assert_eq!(breach, None, "{} names {path}", file.display());
        }
    }
}

#[test]
fn the_chat_names_no_sockets_and_no_frames() {
    let chat = chat();
    let program = |file: &std::path::Path| file.starts_with(chat.src().join("cli")) || file.ends_with("main.rs");
    let files: Vec<_> = sources(chat.src()).into_iter().filter(|(file, _)| !program(file)).collect();
    assert!(files.len() > 30, "only {} files were read", files.len());
    for (file, source) in files {
        for path in chat.paths(&file, &source) {
            let breach = SOCKETS_AND_FRAMES.iter().find(|name| mentions(&path, name));
            assert_eq!(breach, None, "{} names {path}", file.display());
        }
    }
}

fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let imports = chat().imports();
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 100, "the imports were read: {imports:?}");
    imports
}

fn chat() -> Package {
    Package::new(env!("CARGO_MANIFEST_DIR"))
}
