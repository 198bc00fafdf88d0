//! The layers of the library: each uses only those below it, and the engine at the bottom knows no I/O, no clock, no
//! randomness and no threads. Read from the sources, their comments and strings left out.

use std::fs;

use switchboard_tests::sources::{Package, mentions, sources};

/// A folder under `src`, and what no file in it may name.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "proto",
        &[
            "std::net",
            "std::io",
            "std::time",
            "std::thread",
            "std::fs",
            "mio",
            "Instant::now",
            "SystemTime::now",
            "getrandom",
            "crate::reactor",
            "crate::server",
            "crate::client",
            "crate::apps",
        ],
    ),
    ("reactor", &["crate::proto", "crate::server", "crate::client", "crate::apps"]),
    ("server", &["crate::apps", "crate::client"]),
    ("client", &["crate::server", "crate::apps"]),
    ("apps", &["crate::client", "crate::reactor", "mio"]),
];

#[test]
fn no_layer_names_a_layer_above_it_or_an_api_outside_it() {
    let library = library();
    let layers = library.modules();
    assert_eq!(layers.len(), LAYERS.len(), "a rule for every layer: {layers:?}");
    for layer in layers {
        let (_, forbidden) = LAYERS.iter().find(|(name, _)| *name == layer).expect("a rule for every layer");
        for (file, source) in library.files_of(&layer) {
            for path in library.paths(&file, &source) {
                let breach = forbidden.iter().find(|name| mentions(&path, name));
                assert_eq!(breach, None, "{} names {path}", file.display());
            }
        }
    }
}

/// The engine's types stand at the crate's root, so the layer without WebSocket must not look there at all.
#[test]
fn the_reactor_names_nothing_of_the_crate_but_itself() {
    let library = library();
    for (file, source) in library.files_of("reactor") {
        for path in library.paths(&file, &source).iter().filter(|path| path.starts_with("crate::")) {
            assert!(mentions(path, "crate::reactor"), "{} names {path}", file.display());
        }
    }
}

/// The table in `proto/mod.rs` promises that each file uses only those above it.
#[test]
fn each_file_of_the_engine_uses_only_those_above_it_in_its_table() {
    let library = library();
    let folder = library.src().join("proto");
    let contents = fs::read_to_string(folder.join("mod.rs")).expect("the layer has a table");
    let order: Vec<&str> = contents
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .map(|file| file.trim_end_matches('/').trim_end_matches(".rs"))
        .collect();
    assert!(order.len() >= 14, "the table was read: {order:?}");
    let exports: Vec<(String, String)> = library
        .paths(&folder.join("mod.rs"), &contents)
        .iter()
        .filter_map(|path| path.split_once("::"))
        .map(|(module, name)| (name.into(), module.into()))
        .collect();
    let place = |module: &str| order.iter().position(|known| *known == module);

    let mut seen = 0;
    for (file, source) in sources(&folder) {
        let inside = file.strip_prefix(&folder).expect("a file of the layer").with_extension("");
        let module = inside.iter().next().expect("a name").to_string_lossy().into_owned();
        let Some(own) = place(&module) else { continue };
        for path in library.paths(&file, &source) {
            let Some(first) = path.strip_prefix("crate::proto::").and_then(|rest| rest.split("::").next()) else {
                continue;
            };
            let owner = exports.iter().find(|(name, _)| name == first).map_or(first, |(_, module)| module);
            if let Some(used) = place(owner) {
                seen += 1;
                assert!(used <= own, "{module} uses {first} of {owner}, which stands below it in the table");
            }
        }
    }
    assert!(seen > 50, "only {seen} uses were found");
}

#[test]
fn the_reader_finds_paths_and_skips_comments_and_strings() {
    let source = r##"
        //! Not here: crate::chat.
        use crate::{
            proto::{Event, frame::{self, FrameHeader}}, // nor crate::chat here
            server as upstairs,
        };
        use super::super::client;
        /* and /* not */ std::io here */
        fn f<'a>(x: &'a str) { let c = '"'; std :: net::TcpStream::connect("std::time", '\'', r#"mio "quoted""#); }
    "##;
    let found = library().paths(&library().src().join("proto/example.rs"), source);
    for expected in [
        "crate::proto::Event",
        "crate::proto::frame::self",
        "crate::proto::frame::FrameHeader",
        "crate::server",
        "crate::client",
        "std::net::TcpStream::connect",
    ] {
        assert!(found.iter().any(|path| path == expected), "{expected} is not among {found:?}");
    }
    for absent in ["crate::chat", "std::io", "std::time", "mio"] {
        assert!(!found.iter().any(|path| mentions(path, absent)), "{absent} is among {found:?}");
    }
    assert!(mentions("std::net::TcpStream", "std::net") && mentions("std::net::TcpStream", "std::net::Tcp"));
    assert!(mentions("mio::net::TcpStream", "mio") && mentions("::mio::Poll", "mio"));
    assert!(mentions("std::time::Instant::now", "Instant::now"));
    assert!(!mentions("crate::server_name", "crate::server") && !mentions("permission", "mio"));
}

fn library() -> Package {
    Package::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
