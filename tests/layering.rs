//! The floors of the crate: each uses only those below it, and the engine at the bottom knows no I/O, no clock, no
//! randomness and no threads. Read from the sources, their comments and strings left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder under `src`, and what is not named in it.
const FLOORS: &[(&str, &[&str])] = &[
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
            "crate::chat",
        ],
    ),
    ("reactor", &["crate::proto", "crate::server", "crate::client", "crate::apps", "crate::chat"]),
    ("server", &["crate::apps", "crate::chat", "crate::client"]),
    ("client", &["crate::server", "crate::apps", "crate::chat"]),
    ("apps", &["crate::chat"]),
    ("chat", &["crate::reactor", "mio", "std::net::Tcp", "FrameHeader", "HeaderRules", "Opcode", "MaskingKey"]),
];

#[test]
fn no_floor_names_what_is_above_or_outside_of_it() {
    for floor in floors() {
        let (_, forbidden) = FLOORS.iter().find(|(name, _)| *name == floor).expect("a rule for every floor");
        for (file, source) in files_of(&floor) {
            for path in paths(&file, &source) {
                let breach = forbidden.iter().find(|name| names(&path, name));
                assert_eq!(breach, None, "{} names {path}", file.display());
            }
        }
    }
}

/// The engine's types stand at the crate's root, so the floor without WebSocket must not look there at all.
#[test]
fn the_reactor_names_nothing_of_the_crate_but_itself() {
    for floor in floors().iter().filter(|floor| *floor == "reactor") {
        for (file, source) in files_of(floor) {
            for path in paths(&file, &source).iter().filter(|path| path.starts_with("crate::")) {
                assert!(names(path, "crate::reactor"), "{} names {path}", file.display());
            }
        }
    }
}

/// The table in `proto/mod.rs` promises that each file uses only those above it.
#[test]
fn each_file_of_the_engine_uses_only_those_above_it_in_its_table() {
    let floor = src().join("proto");
    let contents = fs::read_to_string(floor.join("mod.rs")).expect("the floor has a table");
    let order: Vec<&str> = contents
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .map(|file| file.trim_end_matches('/').trim_end_matches(".rs"))
        .collect();
    assert!(order.len() >= 14, "the table was read: {order:?}");
    let exports: Vec<(String, String)> = paths(&floor.join("mod.rs"), &contents)
        .iter()
        .filter_map(|path| path.split_once("::"))
        .map(|(module, name)| (name.into(), module.into()))
        .collect();
    let place = |module: &str| order.iter().position(|known| *known == module);

    let mut seen = 0;
    for (file, source) in sources(&floor) {
        let inside = file.strip_prefix(&floor).expect("a file of the floor").with_extension("");
        let module = inside.iter().next().expect("a name").to_string_lossy().into_owned();
        let Some(own) = place(&module) else { continue };
        for path in paths(&file, &source) {
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
fn the_reader_finds_paths_and_passes_over_comments_and_strings() {
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
    let found = paths(&src().join("proto/example.rs"), source);
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
        assert!(!found.iter().any(|path| names(path, absent)), "{absent} is among {found:?}");
    }
    assert!(names("std::net::TcpStream", "std::net") && names("std::net::TcpStream", "std::net::Tcp"));
    assert!(names("mio::net::TcpStream", "mio") && names("::mio::Poll", "mio"));
    assert!(names("std::time::Instant::now", "Instant::now"));
    assert!(!names("crate::server_name", "crate::server") && !names("permission", "mio"));
}

/// The crate's modules, as `lib.rs` declares them.
fn floors() -> Vec<String> {
    let root = fs::read_to_string(src().join("lib.rs")).expect("the crate has a root");
    let code = without_comments_and_strings(&root);
    let floors: Vec<String> =
        tokens(&code).windows(3).filter(|t| t[0] == "mod" && t[2] == ";").map(|t| t[1].clone()).collect();
    assert!(floors.iter().any(|floor| floor == "proto"), "the engine among {floors:?}");
    floors
}

/// The sources of a floor, of which there must be some.
fn files_of(floor: &str) -> Vec<(PathBuf, String)> {
    let files = sources(&src().join(floor));
    assert!(!files.is_empty(), "src/{floor} holds no sources");
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All `.rs` files in `folder` and below.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.map(|entry| entry.expect("the folder can be read").path()).flat_map(|path| {
        if path.is_dir() {
            sources(&path)
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source is text");
            vec![(path, source)]
        } else {
            vec![]
        }
    });
    files.collect()
}

/// Whether `path` holds `name`, whole segments from its start; `Tcp` stands for all that begins so.
fn names(path: &str, name: &str) -> bool {
    let path: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|part| {
        part.iter()
            .zip(&name)
            .all(|(segment, wanted)| segment == wanted || (*wanted == "Tcp" && segment.starts_with("Tcp")))
    })
}

/// Every path that a source names, `{…}` written out and `super` resolved from where the file stands.
fn paths(file: &Path, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tokens = tokens(&without_comments_and_strings(source));
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at]) || tokens[at] == "::" {
            at = tree(&tokens, at, "", &mut found);
        } else {
            at += 1;
        }
    }
    let module = module_of(file);
    found.into_iter().map(|path| resolved(&module, &path)).collect()
}

/// Reads one path, or a tree of them, from `tokens[at]`; gives where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_string();
    while at < tokens.len() && (is_word(&tokens[at]) || tokens[at] == "::") {
        if is_word(&tokens[at]) && !path.is_empty() && !path.ends_with("::") {
            break; // the next word: this path has ended
        }
        path.push_str(&tokens[at]);
        at += 1;
    }
    if path.ends_with("::") && tokens.get(at).is_some_and(|token| token == "{") {
        at += 1;
        while at < tokens.len() && tokens[at] != "}" {
            let next = tree(tokens, at, &path, found);
            at = if next == at { at + 1 } else { next };
            if tokens.get(at).is_some_and(|token| token == "as") {
                at += 2;
            }
        }
        return at + 1;
    }
    if path != prefix {
        found.push(path);
    }
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_') && token != "as"
}

/// Words, `::`, and single characters for all else.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut inside_word = false;
    for c in code.chars() {
        let word = c.is_alphanumeric() || c == '_';
        match tokens.last_mut() {
            Some(last) if word && inside_word => last.push(c),
            Some(last) if c == ':' && last == ":" => last.push(c),
            _ if !c.is_whitespace() => tokens.push(c.into()),
            _ => {}
        }
        inside_word = word;
    }
    tokens
}

/// The modules that lead to a file, from the crate's root.
fn module_of(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(src()).expect("a file under src").with_extension("");
    let mut module: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| last == "mod");
    module
}

/// The path with its `super`s replaced. Inside of `mod tests` one of them leads to the file itself, so what this
/// gives there lies one step too high: never lower than it is.
fn resolved(module: &[String], path: &str) -> String {
    let ups = path.split("::").take_while(|segment| *segment == "super").count();
    if ups == 0 {
        return path.into();
    }
    let base = &module[..module.len().saturating_sub(ups)];
    let rest = path.split("::").skip(ups);
    std::iter::once("crate").chain(base.iter().map(String::as_str)).chain(rest).collect::<Vec<_>>().join("::")
}

/// Code alone: comments become spaces, and what stands in strings and characters is left out.
fn without_comments_and_strings(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && (rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'') // and not a lifetime
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// How many `#` a raw string begins with, if this is one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].starts_with('"').then_some(count)
}

/// The length of a literal between two `quote`s.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
