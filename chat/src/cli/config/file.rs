//! The settings of a file, in TOML.

use std::{
    fs,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::keys::{Key, Keys, Setting, Source};

/// Returns the file that is read if none is named, if it exists: in the user's folder of configuration.
pub(crate) fn usual_file() -> Option<PathBuf> {
    use etcetera::BaseStrategy as _;
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(folders.config_dir().join("switchboard").join("switchboard.toml")).filter(|file| file.exists())
}

/// Reads a file.
///
/// # Errors
/// A line with the name of the file, and the line in it.
pub(super) fn read(keys: &Keys, file: &Path) -> Result<Vec<(Key, Setting)>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    parse(keys, file, &text)
}

/// Parses the text of a file.
fn parse(keys: &Keys, file: &Path, text: &str) -> Result<Vec<(Key, Setting)>, String> {
    let line_at = |offset: usize| text.get(..offset).map_or(1, |before| before.matches('\n').count() + 1);
    let source_at = |offset| Source::File { file: file.to_owned(), line: line_at(offset) };
    let table = DeTable::parse(text).map_err(|error| {
        let source = source_at(error.span().map_or(0, |span| span.start));
        format!("{source}: not TOML: {}", error.message())
    })?;
    let settings = table.get_ref().iter().map(|(name, value)| {
        let (source, name) = (source_at(name.span().start), &**name.get_ref());
        if value.get_ref().is_table() {
            return Err(format!("{source}: {name} is a table; settings have no tables around them"));
        }
        let key = keys
            .get(name)
            .ok_or_else(|| format!("{source}: {name}: {}", keys.unknown(name, |key| key.name.clone())))?;
        let values = values_of(value.get_ref()).ok_or_else(|| {
            format!("{source}: {name}: expected a text in quotes, a whole number, true, false, or a list of these")
        })?;
        Ok((key.clone(), Setting { values, source }))
    });
    settings.collect()
}

/// Returns values in the form of the command line.
fn values_of(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| value_of(value.get_ref())).collect(),
        value => value_of(value).map(|value| vec![value]),
    }
}

fn value_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        DeValue::Boolean(is_true) => Some(is_true.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
