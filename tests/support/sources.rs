//! Reads the sources of a package for its layering tests: the paths that each file names, and the files that it
//! imports.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, iter,
    path::{Path, PathBuf},
};

/// A package, known by its folder `src`.
#[derive(Debug)]
pub struct Package {
    src: PathBuf,
}

impl Package {
    /// The package whose `Cargo.toml` is in this folder.
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

    /// The source files of a module that `lib.rs` declares, each with its contents.
    ///
    /// # Panics
    /// If there are none.
    pub fn files_of(&self, module: &str) -> Vec<(PathBuf, String)> {
        let file = self.src.join(module).with_extension("rs");
        let files = match fs::read_to_string(&file) {
            Ok(source) => vec![(file, source)],
            Err(_) => sources(&self.src.join(module)),
        };
        assert!(!files.is_empty(), "src/{module} holds no sources");
        files
    }

    /// Returns every path that the source of `file` names. Groups in `{…}` become one path each, and a leading `super`
    /// is resolved.
    pub fn paths(&self, file: &Path, source: &str) -> Vec<String> {
        let module = self.module_of(file);
        paths_of(&without_comments_and_strings(source)).into_iter().map(|path| resolved(&module, &path)).collect()
    }

    /// Returns the files that each file imports, tests left out.
    ///
    /// A file is named by its module's path, such as `core::rooms`; `core` is `core/mod.rs`, and the empty path is
    /// `lib.rs`. The import of a name that a module re-exports counts as an import of the file that defines the name.
    pub fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let files = self.files();
        let re_exports = re_exports(&files);
        let imports_of = |module: &String, code: &Code| {
            let paths = code.imported_paths(is_parent(module, &files));
            let paths = paths.into_iter().filter_map(|path| from_root(module, path, &files));
            paths.map(|path| defining_module(path, &re_exports, &files)).filter(|owner| owner != module).collect()
        };
        files.iter().map(|(module, code)| (module.clone(), imports_of(module, code))).collect()
    }

    /// The code of each module, except the modules named `tests` and those inside them.
    fn files(&self) -> Files {
        let files = sources(&self.src).into_iter().map(|(file, source)| (self.module_of(&file), source));
        let files = files.filter(|(module, _)| !is_test_module(module));
        files.map(|(module, source)| (module, Code::new(&source))).collect()
    }

    /// The path of the file's module from the crate's root.
    fn module_of(&self, file: &Path) -> String {
        let inside = file.strip_prefix(&self.src).expect("a file under src").with_extension("");
        let mut module: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        module.pop_if(|last| last == "mod");
        if module == ["lib"] { String::new() } else { module.join("::") }
    }
}

/// Returns the groups of files that import each other in a circle, each group sorted.
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

/// The code of each module, by the module's path.
type Files = BTreeMap<String, Code>;

/// A file's code without comments, strings and tests.
struct Code {
    /// The paths in the `use` statements at the file's top level.
    uses: Vec<String>,
    /// All other lines, except `mod name;`.
    body: String,
}

impl Code {
    fn new(source: &str) -> Self {
        let code = without_comments_and_strings(source);
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let (mut uses, mut body) = (Vec::new(), String::new());
        let mut lines = code.lines();
        while let Some(line) = lines.next() {
            let item = without_visibility(line);
            if let Some(statement) = item.strip_prefix("use ") {
                let mut statement = statement.to_owned();
                while !statement.contains(';') {
                    statement += lines.next().expect("a `use` statement ends with a semicolon");
                }
                uses.extend(paths_of(&statement));
            } else if !item.starts_with("mod ") {
                body.push_str(line);
                body.push('\n');
            }
        }
        Self { uses, body }
    }

    /// The paths that the code uses. In a module with children, a `use` whose name does not occur in the body is only
    /// a re-export and is left out.
    fn imported_paths(&self, is_parent: bool) -> Vec<String> {
        let words: BTreeSet<String> = tokens(&self.body).into_iter().collect();
        let is_used = |path: &&String| !is_parent || path.rsplit("::").next().is_some_and(|name| words.contains(name));
        self.uses.iter().filter(is_used).cloned().chain(paths_of(&self.body)).collect()
    }
}

/// Returns whether the module is named `tests` or is inside a module of that name.
fn is_test_module(module: &str) -> bool {
    module.split("::").any(|part| part == "tests")
}

/// The line without a leading `pub` or `pub(…)`.
fn without_visibility(line: &str) -> &str {
    line.strip_prefix("pub").and_then(|rest| rest.split_once(' ')).map_or(line, |(_, item)| item)
}

/// Returns whether other modules are inside `module`.
fn is_parent(module: &str, files: &Files) -> bool {
    let inside = join(module, "");
    files.keys().any(|other| other != module && other.starts_with(&inside))
}

/// Returns the definition's path for each name that a module brings into scope from another one, both from the crate's
/// root. A private `use` counts too, since child modules see it.
fn re_exports(files: &Files) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (module, code) in files {
        for path in &code.uses {
            let Some(path) = from_root(module, path.clone(), files) else { continue };
            let Some((owner, name)) = path.rsplit_once("::") else { continue };
            if owner != module && files.contains_key(owner) {
                found.insert(join(module, name), path);
            }
        }
    }
    found
}

/// Resolves `path`, as `module` names it, to a path from the crate's root, without `crate::`. Returns `None` if it is a
/// path of another crate or no path of a module.
fn from_root(module: &str, path: String, files: &Files) -> Option<String> {
    let path = resolved(module, &path);
    match path.split("::").next()? {
        "crate" => path.strip_prefix("crate::").map(str::to_owned),
        "self" => path.strip_prefix("self::").map(|rest| join(module, rest)),
        child => files.contains_key(&join(module, child)).then(|| join(module, &path)),
    }
}

/// Returns the module that defines what `path` names. Follows re-exports.
fn defining_module(mut path: String, re_exports: &BTreeMap<String, String>, files: &Files) -> String {
    for _ in 0..MAX_RE_EXPORTS {
        let found = prefixes(&path).find_map(|name| Some((re_exports.get(name)?, &path[name.len()..])));
        let Some((definition, rest)) = found else { break };
        path = format!("{definition}{rest}");
    }
    prefixes(&path).find(|module| files.contains_key(*module)).unwrap_or_default().to_owned()
}

/// The most re-exports of a re-export that are followed, so that a circle of them ends.
const MAX_RE_EXPORTS: usize = 8;

/// `a::b::c`, `a::b`, `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    iter::successors(Some(path), |path| path.rsplit_once("::").map(|(parent, _)| parent))
}

/// The path of `name` in `module`, which is empty at the crate's root.
fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.into() } else { format!("{module}::{name}") }
}

/// Returns the path with leading `super`s replaced. In `mod tests`, one `super` names the file itself, so there the
/// result is one level too high; it is never too low.
fn resolved(module: &str, path: &str) -> String {
    let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path;
    while let Some(after) = rest.strip_prefix("super::") {
        base.pop();
        rest = after;
    }
    if rest == path { path.into() } else { [&["crate"], base.as_slice(), &[rest]].concat().join("::") }
}

/// Returns all `.rs` files in `folder` and its subfolders, each with its contents.
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

/// Returns whether the segments of `name` occur in `path`, one after the other. The segment `Tcp` matches every segment
/// that begins with it.
pub fn mentions(path: &str, name: &str) -> bool {
    let path: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
    let name: Vec<&str> = name.split("::").collect();
    path.windows(name.len()).any(|part| {
        part.iter()
            .zip(&name)
            .all(|(segment, wanted)| segment == wanted || (*wanted == "Tcp" && segment.starts_with("Tcp")))
    })
}

/// Returns every path in a code without comments and strings. Groups in `{…}` become one path each.
fn paths_of(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tokens = tokens(code);
    let mut at = 0;
    while at < tokens.len() {
        if is_word(&tokens[at]) || tokens[at] == "::" {
            at = path_tree(&tokens, at, "", &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Adds the path that begins at `tokens[at]`, or each path of a group, to `found`. Returns the index of the token
/// behind it.
fn path_tree(tokens: &[String], mut at: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let mut path = prefix.to_string();
    while at < tokens.len() && (is_word(&tokens[at]) || tokens[at] == "::") {
        if is_word(&tokens[at]) && !path.is_empty() && !path.ends_with("::") {
            break; // this word begins another path
        }
        path.push_str(&tokens[at]);
        at += 1;
    }
    if path.ends_with("::") && tokens.get(at).is_some_and(|token| token == "{") {
        at += 1;
        while at < tokens.len() && tokens[at] != "}" {
            let next = path_tree(tokens, at, &path, found);
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

/// Splits code into words, `::`, and single other characters.
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

/// Returns the source with each comment, string and character literal replaced by a space.
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
            quoted(rest, '\'') // not a lifetime
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

/// The length of the block comment at the start of `text`, with the comments nested in it.
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

/// The number of `#` before the quote if `text` starts with a raw string.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.len() - hashes.trim_start_matches('#').len();
    hashes[count..].starts_with('"').then_some(count)
}

/// The length of the literal at the start of `text`, both of its quotes included.
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
