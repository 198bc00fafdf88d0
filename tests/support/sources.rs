//! The sources of a package as its layering tests read them: which paths each file mentions, and which file imports which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A package by its folder `src`.
#[derive(Debug)]
pub struct Package {
    src: PathBuf,
}

impl Package {
    /// The package whose manifest stands in this folder.
    pub fn new(manifest_dir: impl AsRef<Path>) -> Self {
        Self { src: manifest_dir.as_ref().join("src") }
    }

    /// The folder `src`.
    pub fn src(&self) -> &Path {
        &self.src
    }

    /// The modules that `lib.rs` declares.
    pub fn modules(&self) -> Vec<String> {
        let root = fs::read_to_string(self.src.join("lib.rs")).expect("the crate has a root");
        let code = without_comments_and_strings(&root);
        tokens(&code).windows(3).filter(|t| t[0] == "mod" && t[2] == ";").map(|t| t[1].clone()).collect()
    }

    /// The sources of a module that `lib.rs` declares, of which there must be some.
    pub fn files_of(&self, module: &str) -> Vec<(PathBuf, String)> {
        let file = self.src.join(module).with_extension("rs");
        let files = match fs::read_to_string(&file) {
            Ok(source) => vec![(file, source)],
            Err(_) => sources(&self.src.join(module)),
        };
        assert!(!files.is_empty(), "src/{module} holds no sources");
        files
    }

    /// Every path that a source mentions, `{…}` written out and `super` resolved from where the file stands.
    pub fn paths(&self, file: &Path, source: &str) -> Vec<String> {
        let module = self.module_of(file);
        paths_of(source).into_iter().map(|path| resolved(&module, &path)).collect()
    }

    /// Which file imports which, each by its module's path, such as `core::rooms`; `core` is `core/mod.rs` and the empty
    /// path `lib.rs`. A name that a parent module re-exports counts as an import of the file that the name comes from.
    /// Tests are left out.
    pub fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let files: Vec<(String, String)> = sources(&self.src)
            .into_iter()
            .filter(|(file, _)| !file.components().any(|part| part.as_os_str() == "tests"))
            .map(|(file, source)| {
                let code = without_comments_and_strings(&source);
                let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                (self.module_of(&file).join("::"), code)
            })
            .collect();
        let modules: BTreeSet<&str> = files.iter().map(|(module, _)| module.as_str()).collect();
        let mut exports: BTreeMap<String, String> = BTreeMap::new();
        for (module, code) in &files {
            for path in use_statements(code).iter().flat_map(|statement| paths_of(statement)) {
                let segments: Vec<String> =
                    module.split("::").filter(|part| !part.is_empty()).map(Into::into).collect();
                let path = match path.split("::").next() {
                    Some("crate" | "super" | "self") => resolved(&segments, &path),
                    _ => [&["crate".to_owned()][..], &segments, &[path]].concat().join("::"),
                };
                let Some(inside) = path.strip_prefix("crate::") else { continue };
                let Some((owner, name)) = inside.rsplit_once("::") else { continue };
                if modules.contains(owner) && owner != module {
                    let own = if module.is_empty() { name.into() } else { format!("{module}::{name}") };
                    exports.insert(own, owner.into());
                }
            }
        }
        let owner_of = |path: &str| -> Option<String> {
            let mut path = path.strip_prefix("crate::")?.to_owned();
            for _ in 0..8 {
                let Some((_, owner)) = exports.iter().find(|(name, _)| {
                    path.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                }) else {
                    break;
                };
                let name = path.rsplit("::").next().unwrap_or_default();
                path = format!("{owner}::{name}");
            }
            loop {
                if modules.contains(path.as_str()) {
                    return Some(path);
                }
                path = path.rsplit_once("::").map_or(String::new(), |(parent, _)| parent.into());
                if path.is_empty() {
                    return Some(path);
                }
            }
        };
        let mut imports = BTreeMap::new();
        for (module, code) in &files {
            let own: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(Into::into).collect();
            let is_parent = modules.iter().any(|other| is_below(other, module));
            let body = without_use_statements(code);
            let body_words: BTreeSet<String> = tokens(&body).into_iter().collect();
            let used_here =
                |path: &String| !is_parent || path.rsplit("::").next().is_some_and(|name| body_words.contains(name));
            let mut paths: Vec<String> =
                use_statements(code).iter().flat_map(|statement| paths_of(statement)).filter(used_here).collect();
            paths.extend(paths_of(&body));
            let mut found = BTreeSet::new();
            for path in paths {
                let resolved = match path.split("::").next() {
                    Some("crate" | "super" | "self") => resolved(&own, &path),
                    // A child module, named without `self`.
                    Some(first) => {
                        let child = if module.is_empty() { first.into() } else { format!("{module}::{first}") };
                        if !modules.contains(child.as_str()) {
                            continue;
                        }
                        [&["crate".to_owned()][..], &own, &[path]].concat().join("::")
                    }
                    None => continue,
                };
                if let Some(owner) = owner_of(&resolved).filter(|owner| owner != module) {
                    found.insert(owner);
                }
            }
            imports.insert(module.clone(), found);
        }
        imports
    }

    /// The modules that lead to a file, from the crate's root.
    fn module_of(&self, file: &Path) -> Vec<String> {
        let inside = file.strip_prefix(&self.src).expect("a file under src").with_extension("");
        let mut module: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        module.pop_if(|last| last == "mod");
        if module == ["lib"] {
            module.clear();
        }
        module
    }
}

/// Groups of files that import each other in a circle, each sorted; the empty list if there is none.
pub fn circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reaches = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = imports.get(from).into_iter().flatten().map(String::as_str).collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(imports.get(module).into_iter().flatten().map(String::as_str));
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|module| (module.as_str(), reaches(module))).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for (module, seen) in &reached {
        if seen.contains(module) {
            let circle = seen.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(module)));
            found.insert(circle.map(|other| (*other).to_owned()).collect());
        }
    }
    found.into_iter().collect()
}

/// Whether `other` stands in the folder of `module`.
fn is_below(other: &str, module: &str) -> bool {
    if module.is_empty() {
        !other.is_empty()
    } else {
        other.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
    }
}

/// The `use` statements of a code without comments, with what stands before `use` left out.
fn use_statements(code: &str) -> Vec<String> {
    statements(code).into_iter().filter_map(|(statement, is_use)| is_use.then_some(statement)).collect()
}

/// The code without its `use` statements and the `mod name;` beside them.
fn without_use_statements(code: &str) -> String {
    statements(code).into_iter().filter(|(_, is_use)| !is_use).map(|(statement, _)| statement + "\n").collect()
}

/// The lines of a code, a `use` statement of several lines as one.
fn statements(code: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let rest = line.strip_prefix("pub").map_or(line, |rest| rest.trim_start_matches(|c| c != ' ').trim_start());
        if line.starts_with("mod ") || rest.starts_with("mod ") && line.ends_with(';') {
            continue;
        }
        let Some(mut statement) = rest.strip_prefix("use ").map(str::to_owned) else {
            found.push((line.to_owned(), false));
            continue;
        };
        while !statement.contains(';') {
            let Some(more) = lines.next() else { break };
            statement += more;
        }
        found.push((statement.trim_end_matches(';').to_owned(), true));
    }
    found
}

/// Every path that a code mentions, `{…}` written out.
fn paths_of(source: &str) -> Vec<String> {
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
    found
}

/// All `.rs` files in `folder` and below.
pub fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
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
pub fn mentions(path: &str, name: &str) -> bool {
    let path: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|part| {
        part.iter()
            .zip(&name)
            .all(|(segment, wanted)| segment == wanted || (*wanted == "Tcp" && segment.starts_with("Tcp")))
    })
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
pub fn without_comments_and_strings(source: &str) -> String {
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
