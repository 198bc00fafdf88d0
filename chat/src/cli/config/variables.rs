//! The settings of the environment: `SWITCHBOARD_` and the key in capitals, with `_` for `-`.

use std::{ffi::OsString, path::PathBuf};

use super::keys::{Form, Key, Keys, PREFIX, Setting, Source};

/// The settings of the environment, and the file that it names.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub(super) settings: Vec<(Key, Setting)>,
    /// The file of settings.
    pub(super) file: Option<PathBuf>,
}

/// Reads the variables. An empty one counts as none. The values of a repeatable option have commas between them.
///
/// # Errors
/// A line that names the variable.
pub(super) fn read(keys: &Keys, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Variables, String> {
    let mut read = Variables::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if name == FILE {
            read.file = Some(PathBuf::from(value)).filter(|file| !file.as_os_str().is_empty());
            continue;
        }
        let key = keys
            .iter()
            .find(|key| key.variable() == name)
            .ok_or_else(|| format!("{name}: {}", keys.unknown(name.trim_start_matches(PREFIX), Key::variable)))?;
        let value = value.to_str().ok_or_else(|| format!("{name}: expected text in UTF-8"))?;
        if value.is_empty() {
            continue;
        }
        let values = match key.form {
            Form::Value { is_repeatable: true, .. } => {
                value.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
            }
            Form::Value { .. } | Form::Count { .. } | Form::Switch { .. } => vec![value.to_owned()],
        };
        read.settings.push((key.clone(), Setting { values, source: Source::Variable(name.to_owned()) }));
    }
    Ok(read)
}

/// The variable that names the file of settings.
const FILE: &str = "SWITCHBOARD_CONFIG";
