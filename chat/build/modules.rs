//! Groups the page's modules into one file.
//!
//! Each module becomes a block of the file, after those that it imports, so that names of one are not names of another:
//!
//! ```js
//! const modules = {};
//! { // view/dom.js
//! function $(id) {…}
//! modules['view/dom.js'] = { $ };
//! }
//! { // main.js
//! const { $ } = modules['view/dom.js'];
//! …
//! }
//! ```
//!
//! This is right for modules that do not import each other in a circle and whose exports never change. A module may use
//! only these forms, at the start of a line, or the build fails: `import { a, b as c } from './file.js';`,
//! `export { a } from './file.js';`, `export` before `const`, `function`, `async function` and `class`, and anywhere
//! `import('./file.js')`.

/// Returns a module together with all modules that it imports. `read` returns the text of a module. A module without
/// imports is returned as it is, with its exports. The names in `import('…')` become whole: `strings/en.js`.
///
/// # Errors
/// The first form that is not known, circle, or name that a module imports and another does not export.
pub(crate) fn group(name: &str, read: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let module = Module::parse(name, &read(name)?)?;
    if module.imports.is_empty() {
        return Ok(module.alone);
    }
    if !module.exports.is_empty() {
        return Err(format!("{name} has imports, so nothing can import it from its file: it must not export"));
    }
    let mut group = Group { read, done: Vec::new(), path: Vec::new(), text: String::from("const modules = {};\n") };
    group.add(module)?;
    Ok(group.text)
}

/// Returns the name of the file that `user` names as `file`, relative to itself.
pub(crate) fn resolve(user: &str, file: &str) -> String {
    let mut parts: Vec<&str> = user.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// A file of several modules, as it grows.
struct Group<'a> {
    read: &'a mut dyn FnMut(&str) -> Result<String, String>,
    /// The modules that are in `text`, and the names that they export.
    done: Vec<(String, Vec<String>)>,
    /// The module that is being added, after those that import it.
    path: Vec<String>,
    text: String,
}

impl Group<'_> {
    fn add(&mut self, module: Module) -> Result<(), String> {
        self.path.push(module.name.clone());
        for import in &module.imports {
            if self.path.contains(&import.from) {
                return Err(format!("{} imports {}: a circle", self.path.join(" imports "), import.from));
            }
            if !self.done.iter().any(|(name, _)| *name == import.from) {
                let text = (self.read)(&import.from)?;
                self.add(Module::parse(&import.from, &text)?)?;
            }
            let exports = self.done.iter().find(|(name, _)| *name == import.from).map(|(_, exports)| exports);
            if let Some(missing) = import.names.iter().find(|name| exports.is_none_or(|all| !all.contains(name))) {
                return Err(format!("{} imports {missing}, which {} does not export", module.name, import.from));
            }
        }
        self.path.pop();
        let Module { name, exports, body, .. } = module;
        self.text += &format!("\n{{ // {name}\n{body}");
        if !exports.is_empty() {
            let fields: Vec<String> = exports.iter().map(|(name, value)| renamed(name, value)).collect();
            self.text += &format!("modules['{name}'] = {{ {} }};\n", fields.join(", "));
        }
        self.text += "}\n";
        self.done.push((name, exports.into_iter().map(|(name, _)| name).collect()));
        Ok(())
    }
}

/// A module's text and what it imports and exports.
struct Module {
    name: String,
    imports: Vec<Import>,
    /// The names, and what each is in the module.
    exports: Vec<(String, String)>,
    /// The text as part of a group.
    body: String,
    /// The text as a file of its own.
    alone: String,
}

struct Import {
    from: String,
    /// The names that the other module exports.
    names: Vec<String>,
}

impl Module {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let alone = dynamic_imports(name, text)?;
        let mut module =
            Self { name: name.to_owned(), imports: vec![], exports: vec![], body: String::new(), alone: String::new() };
        let mut rest = alone.as_str();
        while !rest.is_empty() {
            let is_from = rest.starts_with("import {") || rest.starts_with("export {");
            let end = if is_from { rest.find(";\n").map(|at| at + 2) } else { rest.find('\n').map(|at| at + 1) };
            let (statement, after) = rest.split_at(end.unwrap_or(rest.len()));
            module.add(statement).ok_or_else(|| format!("{name} has a form that cannot be grouped: {statement}"))?;
            rest = after;
        }
        module.alone = alone;
        Ok(module)
    }

    /// Adds a line, or a whole statement that imports. Returns `None` if its form is not known.
    fn add(&mut self, statement: &str) -> Option<()> {
        if let Some(rest) = statement.strip_prefix("import {") {
            let names = self.import(rest)?;
            let fields: Vec<String> = names.iter().map(|(name, local)| renamed(name, local)).collect();
            let from = &self.imports.last()?.from;
            self.body += &format!("const {{ {} }} = modules['{from}'];\n", fields.join(", "));
        } else if let Some(rest) = statement.strip_prefix("export {") {
            let names = self.import(rest)?;
            let from = self.imports.last()?.from.clone();
            for (name, exported) in names {
                self.exports.push((exported, format!("modules['{from}'].{name}")));
            }
        } else if let Some(declaration) = statement.strip_prefix("export ") {
            let name = ["const ", "function ", "async function ", "class "]
                .iter()
                .find_map(|kind| declaration.strip_prefix(kind))
                .and_then(|rest| rest.split([' ', '(']).next())
                .filter(|name| is_name(name))?;
            self.exports.push((name.to_owned(), name.to_owned()));
            self.body += declaration;
        } else {
            let line = statement.trim_start();
            let is_unknown = ["import ", "import{", "export ", "export{"].iter().any(|start| line.starts_with(start));
            // A variable of `var` would be one of all modules.
            if is_unknown || statement.starts_with("var ") || statement.contains("import.meta") {
                return None;
            }
            self.body += statement;
        }
        Some(())
    }

    /// Reads ` a, b as c } from './file.js';`. Returns the names in the other file and their names here.
    fn import(&mut self, rest: &str) -> Option<Vec<(String, String)>> {
        let (names, from) = rest.split_once("} from '")?;
        let from = from.strip_suffix("';\n").filter(|from| from.starts_with('.') && !from.contains('\n'))?;
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let names = names.map(|name| {
            let (name, local) = name.split_once(" as ").unwrap_or((name, name));
            (is_name(name) && is_name(local)).then(|| (name.to_owned(), local.to_owned()))
        });
        let names = names.collect::<Option<Vec<_>>>()?;
        let imported = names.iter().map(|(name, _)| name.clone()).collect();
        self.imports.push(Import { from: resolve(&self.name, from), names: imported });
        Some(names)
    }
}

/// Makes the names of modules in `import('…')` whole.
fn dynamic_imports(name: &str, text: &str) -> Result<String, String> {
    let mut parts = text.split("import(");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let file = part.strip_prefix("'").and_then(|part| part.split_once("')"));
        let (file, rest) = file.filter(|(file, _)| file.starts_with('.')).ok_or_else(|| {
            format!(
                "{name} imports a module whose name is not written out: import({}",
                part.lines().next().unwrap_or_default()
            )
        })?;
        out += &format!("import('{}'){rest}", resolve(name, file));
    }
    Ok(out)
}

/// Returns a field of an object, `name: other`, or short if both are the same.
fn renamed(name: &str, other: &str) -> String {
    if name == other { name.to_owned() } else { format!("{name}: {other}") }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_alphanumeric() || "$_".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups `main.js` of these modules, each its name and text.
    fn group_of(files: &[(&str, &str)]) -> Result<String, String> {
        group("main.js", &mut |name| {
            let file = files.iter().find(|(each, _)| *each == name);
            file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| format!("{name} is missing"))
        })
    }

    #[test]
    fn each_module_is_a_block_after_those_that_it_imports() {
        let files = [
            ("main.js", "import { b } from './view/b.js';\nimport { a as c } from './a.js';\n\nb(c);\n"),
            ("view/b.js", "import {\n  a,\n  e,\n} from '../a.js';\nexport async function b() {\n  return a + e;\n}\n"),
            ("a.js", "const own = 1;\nexport const a = own;\nexport { d as e } from './d.js';\n"),
            ("d.js", "export class d {}\n"),
        ];
        let expected = "const modules = {};\n
{ // d.js
class d {}
modules['d.js'] = { d };
}

{ // a.js
const own = 1;
const a = own;
modules['a.js'] = { a, e: modules['d.js'].d };
}

{ // view/b.js
const { a, e } = modules['a.js'];
async function b() {
  return a + e;
}
modules['view/b.js'] = { b };
}

{ // main.js
const { b } = modules['view/b.js'];
const { a: c } = modules['a.js'];

b(c);
}
";
        assert_eq!(group_of(&files).unwrap(), expected);
    }

    #[test]
    fn a_module_without_imports_stays_as_it_is_and_what_it_loads_later_gets_a_whole_name() {
        assert_eq!(group_of(&[("main.js", "export const a = 1;\n")]).unwrap(), "export const a = 1;\n");
        assert_eq!(group_of(&[("main.js", "import('./strings/en.js');\n")]).unwrap(), "import('strings/en.js');\n");
    }

    #[test]
    fn a_form_that_cannot_be_grouped_is_an_error() {
        let rows = [
            ("import everything from './a.js';\n", "main.js has a form that cannot be grouped: import everything"),
            ("import * as all from './a.js';\n", "main.js has a form that cannot be grouped: import *"),
            ("import { a } from \"./a.js\";\n", "main.js has a form that cannot be grouped: import {"),
            ("import { a } from 'other';\n", "main.js has a form that cannot be grouped: import {"),
            ("import { a } from './a.js'\nlet b;\n", "main.js has a form that cannot be grouped: import {"),
            ("import { a } from './a.js'\nlet b = './b.js';\n", "main.js has a form that cannot be grouped: import {"),
            ("import { a-b } from './a.js';\n", "main.js has a form that cannot be grouped: import {"),
            ("import{ a } from './a.js';\n", "main.js has a form that cannot be grouped: import{"),
            ("  import { a } from './a.js';\n", "main.js has a form that cannot be grouped"),
            ("  export const a = 1;\n", "main.js has a form that cannot be grouped"),
            ("export{ a };\n", "main.js has a form that cannot be grouped: export{"),
            ("export default 1;\n", "main.js has a form that cannot be grouped: export default"),
            ("export let changes = 1;\n", "main.js has a form that cannot be grouped: export let"),
            ("export const { a } = {};\n", "main.js has a form that cannot be grouped: export const {"),
            ("export * from './a.js';\n", "main.js has a form that cannot be grouped: export *"),
            ("var all = 1;\n", "main.js has a form that cannot be grouped: var all"),
            ("const here = import.meta.url;\n", "main.js has a form that cannot be grouped: const here"),
            ("import('other');\n", "main.js imports a module whose name is not written out: import('other')"),
            ("import(name);\n", "main.js imports a module whose name is not written out: import(name)"),
            ("import { b } from './a.js';\n", "main.js imports b, which a.js does not export"),
            ("import { a } from './b.js';\n", "b.js is missing"),
            ("import { a } from './a.js';\nexport const b = a;\n", "main.js has imports, so nothing can import it"),
            ("import { c } from './circle.js';\n", "main.js imports circle.js imports circle.js: a circle"),
        ];
        for (text, expected) in rows {
            let files = [
                ("main.js", text),
                ("a.js", "export const a = 1;\n"),
                ("circle.js", "import { c } from './circle.js';\n"),
            ];
            let error = group_of(&files).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn names_are_relative_to_the_file_that_has_them() {
        assert_eq!(resolve("main.js", "./view/log.js"), "view/log.js");
        assert_eq!(resolve("view/log.js", "../links.js"), "links.js");
        assert_eq!(resolve("style/base.css", "../icons.svg"), "icons.svg");
        assert_eq!(resolve("index.html", "main.js"), "main.js");
    }
}
