//! The layers of the library. Each layer uses only the layers below it. The engine at the bottom uses no I/O, no clock,
//! no randomness and no threads. The tests read the sources without their comments and strings.

use std::{env, fs, path::PathBuf, process};

use switchboard_tests::sources::{Package, circles, mentions, sources, without_comments_and_strings};

/// Each module of the library, and the paths that no file in it may name.
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
    ("keys", &["std::net", "std::time", "crate::reactor", "crate::server", "crate::client", "crate::apps"]),
    ("url", &["Instant::now", "std::io", "std::time", "crate::reactor", "crate::server", "crate::apps"]),
    ("keepalive", &["Instant::now", "std::net", "std::io", "std::thread", "crate::"]),
    ("reactor", &["crate::proto", "crate::server", "crate::client", "crate::apps"]),
    ("server", &["crate::apps", "crate::client"]),
    ("client", &["crate::server", "crate::apps"]),
    ("setters", &["crate::", "std::"]),
    ("apps", &["crate::client", "crate::reactor", "crate::events", "mio"]),
    ("events", &["crate::client", "crate::reactor", "crate::apps", "mio"]),
];

#[test]
fn no_layer_names_a_layer_above_it_or_an_api_outside_it() {
    let library = library();
    let layers = library.modules();
    assert_eq!(layers.len(), LAYERS.len(), "each layer has a rule: {layers:?}");
    for layer in layers {
        let (_, forbidden) = LAYERS.iter().find(|(name, _)| *name == layer).expect("the layer has a rule");
        for (file, source) in library.files_of(&layer) {
            for path in library.paths(&file, &source) {
                let violation = forbidden.iter().find(|name| mentions(&path, name));
                assert_eq!(violation, None, "{} names {path}", file.display());
            }
        }
    }
}

/// The crate's root re-exports the engine's types, so the reactor, which knows no WebSocket, must not use the root.
#[test]
fn the_reactor_names_no_other_module_of_the_crate() {
    let library = library();
    for (file, source) in library.files_of("reactor") {
        for path in library.paths(&file, &source).iter().filter(|path| path.starts_with("crate::")) {
            assert!(mentions(path, "crate::reactor"), "{} names {path}", file.display());
        }
    }
}

/// The rest of the library knows TLS by this crate's own types, so that another version of rustls, or another library,
/// changes one folder.
#[test]
fn one_folder_of_the_server_names_the_library_of_tls() {
    let library = library();
    let mut names_it = 0;
    for layer in ["reactor", "server", "apps", "events", "proto", "keepalive"] {
        for (file, source) in library.files_of(layer) {
            let is_its_place =
                ["reactor/tls", "server/simulation"].iter().any(|place| file.starts_with(library.src().join(place)));
            let path = library
                .paths(&file, &source)
                .into_iter()
                .find(|path| mentions(path, "rustls") || mentions(path, "webpki"));
            names_it += usize::from(path.is_some());
            assert!(is_its_place || path.is_none(), "{} names {path:?}", file.display());
        }
    }
    assert!(names_it >= 3, "only {names_it} files name it");
}

/// The table is in `proto/mod.rs`.
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
        let module = inside.iter().next().expect("a file name").to_string_lossy().into_owned();
        let Some(own) = place(&module) else { continue };
        for path in library.paths(&file, &source) {
            let Some(first) = path.strip_prefix("crate::proto::").and_then(|rest| rest.split("::").next()) else {
                continue;
            };
            let owner = exports.iter().find(|(name, _)| name == first).map_or(first, |(_, module)| module);
            if let Some(used) = place(owner) {
                seen += 1;
                assert!(used <= own, "{module} uses {first} of {owner}, which is below it in the table");
            }
        }
    }
    assert!(seen > 50, "only {seen} uses were found");
}

/// All that a peer is sent passes one place, where a transport such as TLS can come in between.
#[test]
fn one_file_of_the_server_reads_from_sockets_and_writes_to_them() {
    let files_with = |calls: &[&str]| -> Vec<String> {
        let mut files = Vec::new();
        for (file, source) in library().files_of("server") {
            if file.parent().is_some_and(|folder| folder.ends_with("simulation") || folder.ends_with("testing")) {
                continue; // their clients have ends of their own
            }
            let code: String = without_comments_and_strings(&source).split_whitespace().collect();
            if calls.iter().any(|call| code.contains(call)) {
                files.push(file.file_name().expect("a file").to_string_lossy().into_owned());
            }
        }
        files
    };
    assert_eq!(files_with(&["socket.write", "socket.send(", "shutdown_write("]), ["links.rs"]);
    assert_eq!(files_with(&["socket.read(", "socket.skip("]), ["links.rs"]);
}

/// The same in the client.
#[test]
fn one_folder_of_the_client_names_the_library_of_tls() {
    let library = library();
    let mut names_it = 0;
    for (file, source) in library.files_of("client") {
        let is_its_place = file.starts_with(library.src().join("client/tls"));
        let names = ["rustls", "rustls_platform_verifier", "webpki_roots"];
        let path = library.paths(&file, &source).into_iter().find(|path| names.iter().any(|name| mentions(path, name)));
        names_it += usize::from(path.is_some());
        assert!(is_its_place || path.is_none(), "{} names {path:?}", file.display());
    }
    assert_eq!(names_it, 3);
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

#[test]
fn imports_lead_to_the_defining_file_and_tests_are_left_out() {
    let package = TemporaryPackage::new(&[
        ("lib.rs", "mod app;\nmod core;\npub use core::Room;\n"),
        ("app.rs", "use crate::core::{\n    Room,\n    users,\n};\nfn open(room: Room) -> users::User {}\n"),
        ("core/mod.rs", "mod rooms;\npub(crate) mod users;\npub(crate) use rooms::Room;\n"),
        ("core/rooms.rs", "use super::users::User;\npub(super) struct Room(Vec<User>);\n"),
        ("core/users.rs", "struct User(super::Room);\n#[cfg(test)]\nmod tests {\n    use crate::app;\n}\n"),
        ("core/tests/mod.rs", "use crate::app;\n"),
    ]);
    let imports = Package::new(&package.folder).imports();
    let expected: &[(&str, &[&str])] = &[
        ("", &[]), // only a re-export
        ("app", &["core::rooms", "core::users"]),
        ("core", &[]), // only a re-export
        ("core::rooms", &["core::users"]),
        ("core::users", &["core::rooms"]), // through `core/mod.rs`
    ];
    assert_eq!(imports.len(), expected.len(), "{imports:?}");
    for (module, imported) in expected {
        let found: Vec<&str> = imports[*module].iter().map(String::as_str).collect();
        assert_eq!(found, *imported, "{module:?}");
    }
    assert_eq!(circles(&imports), [["core::rooms", "core::users"]]);
}

/// A package in a folder of its own, which is removed when this is dropped.
struct TemporaryPackage {
    folder: PathBuf,
}

impl TemporaryPackage {
    /// Writes the files, each a path under `src` and its contents.
    fn new(files: &[(&str, &str)]) -> Self {
        let package = Self { folder: env::temp_dir().join(format!("switchboard-layering-{}", process::id())) };
        for (path, source) in files {
            let file = package.folder.join("src").join(path);
            fs::create_dir_all(file.parent().expect("a file in a folder")).expect("the folder can be created");
            fs::write(file, source).expect("the file can be written");
        }
        package
    }
}

impl Drop for TemporaryPackage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn library() -> Package {
    Package::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
