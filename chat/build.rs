//! Prepares the page in `page/` for the program, which embeds it.
//!
//! Browsers load `index.html`, and each file that it names, directly or not, under a name with a hash of its content:
//! such a file never changes, so they never ask for it again. `main.js` and the modules that it imports become one file
//! (`build/modules.rs`), and so do the style sheets that `style.css` imports. `client.js` and `client/`, which pages of
//! others import too, are also served as they are.
//!
//! The build fails if a file is missing or is used by nothing. Nothing is minified, so that errors and the browser's
//! tools show what is in `page/`.

#[path = "build/modules.rs"]
mod modules;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
};

use sha2::{Digest as _, Sha256};

fn main() {
    println!("cargo::rerun-if-changed=page");
    if let Err(error) = run() {
        println!("cargo::error=page/{error}");
    }
}

fn run() -> Result<(), String> {
    let mut page = Page { sources: BTreeMap::new(), used: BTreeSet::new(), served: BTreeMap::new() };
    read_folder(Path::new("page"), "", &mut page.sources)?;
    let html = page.html("index.html")?;
    page.served.insert("index.html".to_owned(), html);
    page.add_clients();
    if let Some(name) = page.sources.keys().find(|&name| !page.used.contains(name)) {
        return Err(format!("{name} is used by nothing"));
    }
    page.write().map_err(|error| error.to_string())
}

/// The page's files, and what is served.
struct Page {
    /// The contents of the files in `page/`, by name, such as `view/log.js`.
    sources: BTreeMap<String, String>,
    used: BTreeSet<String>,
    /// The contents of the files that are served, by name.
    served: BTreeMap<String, String>,
}

impl Page {
    fn source(&mut self, name: &str) -> Result<String, String> {
        self.used.insert(name.to_owned());
        self.sources.get(name).cloned().ok_or_else(|| format!("{name} is missing"))
    }

    /// Returns the page itself, with the names under which its files are served.
    fn html(&mut self, name: &str) -> Result<String, String> {
        let text = self.source(name)?;
        let text = replace_between(&text, "href=\"", "\"", |file| self.reference(name, file))?;
        replace_between(&text, "src=\"", "\"", |file| self.reference(name, file))
    }

    /// Returns a style sheet with those that it imports, and the names under which its files are served.
    fn style(&mut self, name: &str) -> Result<String, String> {
        let mut style = String::new();
        for line in self.source(name)?.split_inclusive('\n') {
            let imported = line.strip_prefix("@import url(\"").and_then(|rest| rest.strip_suffix("\");\n"));
            style += &match imported {
                Some(file) => self.style(&modules::resolve(name, file))?,
                None => replace_between(line, "url(\"", "\")", |file| self.reference(name, file))?,
            };
        }
        Ok(style)
    }

    /// Returns the name under which a file is served. `user` is the file that names it.
    fn reference(&mut self, user: &str, file: &str) -> Result<String, String> {
        if file.contains(':') || file.starts_with('#') {
            return Ok(file.to_owned()); // No file of the page.
        }
        self.serve(&modules::resolve(user, file))
    }

    /// Prepares a file, and returns the name under which it is served: `view/log.js` becomes `log-` with its hash.
    fn serve(&mut self, name: &str) -> Result<String, String> {
        let (stem, extension) = name.rsplit_once('.').ok_or_else(|| format!("{name} has no extension"))?;
        let content = match extension {
            "css" => self.style(name)?,
            "js" => self.script(name)?,
            _ => self.source(name)?,
        };
        let stem = stem.rsplit('/').next().unwrap_or(stem);
        let hash = Sha256::digest(&content);
        let hash: String = hash[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        let served = format!("{stem}-{hash}.{extension}");
        self.served.insert(served.clone(), content);
        Ok(served)
    }

    /// Returns a script with all modules that it imports. Modules that it imports only when they are needed stay files
    /// of their own.
    fn script(&mut self, name: &str) -> Result<String, String> {
        let group = modules::group(name, &mut |module| self.source(module))?;
        replace_between(&group, "import('", "')", |module| Ok(format!("./{}", self.serve(module)?)))
    }

    /// Serves the client's modules also as they are.
    fn add_clients(&mut self) {
        for (name, content) in &self.sources {
            if name == "client.js" || name.starts_with("client/") {
                self.served.insert(name.clone(), content.clone());
            }
        }
    }

    /// Writes the files to the build's folder, and their list for `src/files.rs`.
    fn write(&self) -> std::io::Result<()> {
        let folder = env::var_os("OUT_DIR").ok_or(std::io::ErrorKind::NotFound)?;
        let folder = Path::new(&folder).join("page");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut list = String::from("&[\n");
        for (name, content) in &self.served {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(&path, content)?;
            let is_hashed = !self.sources.contains_key(name);
            list += &format!("    ({name:?}, include_bytes!({:?}), {is_hashed}),\n", format!("page/{name}"));
        }
        fs::write(folder.with_extension("rs"), list + "]\n")
    }
}

/// Replaces each text between `before` and `after`.
fn replace_between(
    text: &str,
    before: &str,
    after: &str,
    mut replacement: impl FnMut(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(after).ok_or_else(|| format!("has no {after} after {before}{part}"))?;
        out += &format!("{before}{}{after}{rest}", replacement(name)?);
    }
    Ok(out)
}

/// Reads all files of a folder, with names that begin with `prefix`.
fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{prefix}: {error}");
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            read_folder(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read_to_string(&path).map_err(failed)?);
        }
    }
    Ok(())
}

/// 16 hexadecimal digits.
const HASH_BYTES: usize = 8;
