//! The settings of all sources together.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command};

use super::{
    file::{self, usual_file},
    keys::{Key, Keys, Setting, is_given},
    variables,
};

/// The settings of the file and of the environment, each checked, by their keys.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    by_key: BTreeMap<String, Setting>,
    file: Option<PathBuf>,
}

impl Settings {
    /// Reads the settings of the environment, and of the file that the command line or the environment names, or else
    /// of the usual one if that exists. `serve` has all options.
    ///
    /// # Errors
    /// A line that says what is wrong and where, for an unknown setting with the nearest known one.
    pub(crate) fn load(serve: &Command, file: Option<PathBuf>) -> Result<Self, String> {
        let keys = Keys::of(serve);
        let variables = variables::read(&keys, std::env::vars_os())?;
        let file = file.or(variables.file).or_else(usual_file);
        let from_file = file.as_ref().map_or_else(|| Ok(Vec::new()), |file| file::read(&keys, file))?;
        let mut settings = Self::checked(&keys, from_file)?;
        let of_environment = Self::checked(&keys, variables.settings)?;
        settings.remove_conflicting_with(&keys, of_environment.by_key.keys());
        settings.by_key.extend(of_environment.by_key);
        settings.file = file;
        Ok(settings)
    }

    /// Reads the settings of one file alone.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn of_file(serve: &Command, file: &Path) -> Result<Self, String> {
        let keys = Keys::of(serve);
        Self::checked(&keys, file::read(&keys, file)?)
    }

    /// Checks the settings of one source.
    fn checked(keys: &Keys, settings: Vec<(Key, Setting)>) -> Result<Self, String> {
        let mut checked = BTreeMap::new();
        for (key, setting) in settings {
            key.check(&setting.values).map_err(|what| format!("{}: {}: {what}", setting.source, key.name))?;
            if let Some(other) = keys.conflicting(&key.name, &setting).find(|other| checked.contains_key(*other)) {
                let Setting { source, .. } = &setting;
                return Err(format!("{source}: {} has no effect beside {other}; remove one of the two", key.name));
            }
            checked.insert(key.name.clone(), setting);
        }
        Ok(Self { by_key: checked, file: None })
    }

    /// Removes what cannot be used with the settings of a later source.
    fn remove_conflicting_with<'a>(&mut self, keys: &Keys, later: impl Iterator<Item = &'a String>) {
        for later in later {
            self.by_key.retain(|name, setting| !keys.conflicting(name, setting).any(|other| other == later));
        }
    }

    /// Removes what the command line replaces: its own options, and what cannot be used with them.
    pub(crate) fn remove_replaced(&mut self, command: &Command, given: &ArgMatches) {
        let keys = Keys::of(command);
        self.by_key.retain(|name, setting| {
            let conflicting = keys.conflicting(name, setting).filter_map(|other| keys.get(other));
            let mut ids = keys.get(name).into_iter().chain(conflicting).flat_map(Key::ids);
            !ids.any(|id| is_given(given, id))
        });
    }

    /// Returns the command with these settings as the defaults of its options.
    pub(crate) fn as_defaults_of(&self, mut command: Command) -> Command {
        let keys = Keys::of(&command);
        for (name, setting) in &self.by_key {
            if let Some((id, values)) = keys.get(name).and_then(|key| key.default_of(&setting.values)) {
                command = command.mut_arg(id, |option| option.default_values(values));
            }
        }
        command
    }

    /// Removes a setting that does not count.
    pub(crate) fn remove(&mut self, key: &str) {
        self.by_key.remove(key);
    }

    /// Returns a setting by its key.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.by_key.get(key)
    }

    /// Returns the file, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns the number of settings.
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }
}

/// Returns whether a setting cannot be replaced while the chat runs.
pub(crate) fn needs_restart(key: &str) -> bool {
    NEED_RESTART.contains(&key)
}

/// The settings that cannot be replaced while the chat runs: what the listeners, the threads and their memory are made
/// of, the data, and the address at which browsers reach the chat.
const NEED_RESTART: [&str; 17] = [
    "acme-webroot",
    "data",
    "deflate",
    "deflate-level",
    "deflate-memory-bytes",
    "deflate-min-bytes",
    "hsts",
    "http-listen",
    "listen",
    "max-connections",
    "max-memory",
    "max-queued-bytes",
    "pid-file",
    "public-url",
    "reserved-descriptors",
    "tls-self-signed",
    "workers",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::Cli;

    #[test]
    fn each_setting_that_needs_a_restart_exists_and_says_so() {
        let defaults = Cli::default_settings();
        let said = defaults.split("\n\n").filter(|part| part.contains("# (A change needs a restart.)"));
        let mut said: Vec<_> =
            said.filter_map(|part| part.lines().last()?.strip_prefix('#')?.split(' ').next()).collect();
        said.sort_unstable();
        assert_eq!(said, NEED_RESTART);
    }
}
