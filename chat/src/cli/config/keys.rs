//! The keys of settings, from the options of a command.

use std::{error::Error as _, fmt, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ContextKind, parser::ValueSource};

/// The source of a setting, if not the command line.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File { file: PathBuf, line: usize },
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The values of a setting, and their source.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// As on the command line. More than one only if the option is repeatable.
    pub(crate) values: Vec<String>,
    pub(crate) source: Source,
}

/// A setting: one option, or a pair such as `--guests` and `--no-guests`.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// The long name of the option, without `no-` before it.
    pub(crate) name: String,
    pub(crate) form: Form,
}

/// The form of a setting's value.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// One value, or several if the option is repeatable.
    Value { option: Box<Arg>, is_repeatable: bool },
    /// The number of times that the option is repeated.
    Count { option: Box<Arg> },
    /// `true` or `false`: by two options, or by one, which says what is not the default.
    Switch { on: Option<Box<Arg>>, off: Option<Box<Arg>> },
}

impl Key {
    /// Returns the arguments of this setting.
    pub(crate) fn options(&self) -> impl Iterator<Item = &Arg> {
        let (first, second) = match &self.form {
            Form::Value { option, .. } | Form::Count { option } => (Some(option), None),
            Form::Switch { on, off } => (on.as_ref(), off.as_ref()),
        };
        first.into_iter().chain(second).map(|option| &**option)
    }

    /// Returns the names by which clap knows the options of this setting.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.options().map(|option| option.get_id().as_str())
    }

    /// Returns the option that has these values as its default, and the values. `None` if they change nothing.
    pub(super) fn default_of(&self, values: &[String]) -> Option<(&str, Vec<String>)> {
        let (option, values) = match &self.form {
            Form::Value { option, .. } | Form::Count { option } => (option, values.to_vec()),
            Form::Switch { on, off } => {
                let is_on = values == [TRUE];
                (if is_on { on.as_ref()? } else { off.as_ref()? }, vec![TRUE.to_owned()])
            }
        };
        Some((option.get_id().as_str(), values))
    }

    /// Returns the values on the command line, if there are any.
    pub(super) fn given_in(&self, matches: &ArgMatches) -> Option<Vec<String>> {
        let id = self.ids().find(|id| is_given(matches, id))?;
        Some(match &self.form {
            Form::Value { .. } => matches.get_raw(id)?.map(|value| value.to_string_lossy().into_owned()).collect(),
            Form::Count { .. } => vec![matches.get_count(id).to_string()],
            Form::Switch { on, .. } => vec![on.as_ref().is_some_and(|on| on.get_id() == id).to_string()],
        })
    }

    /// Returns what is wrong with the values, if anything is.
    pub(super) fn check(&self, values: &[String]) -> Result<(), String> {
        match &self.form {
            Form::Value { is_repeatable: false, .. } if values.len() != 1 => Err("expected one value".to_owned()),
            Form::Value { option, .. } => values.iter().try_for_each(|value| check(option, value)),
            Form::Count { .. } if values.len() == 1 && values[0].parse::<u8>().is_ok() => Ok(()),
            Form::Count { .. } => Err("expected a number from 0 to 255".to_owned()),
            Form::Switch { .. } if matches!(values, [value] if value == TRUE || value == FALSE) => Ok(()),
            Form::Switch { .. } => Err("expected true or false".to_owned()),
        }
    }

    /// Returns the name of the environment's variable.
    pub(crate) fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// Returns what clap finds wrong with one value of an option.
fn check(option: &Arg, value: &str) -> Result<(), String> {
    // The option alone: whatever it needs beside it may come from elsewhere.
    let option = Arg::new("option").long("option").num_args(1).value_parser(option.get_value_parser().clone());
    let parsed =
        Command::new("check").no_binary_name(true).arg(option).try_get_matches_from([format!("--option={value}")]);
    let Err(error) = parsed else { return Ok(()) };
    if let Some(source) = error.source() {
        return Err(source.to_string());
    }
    Err(match error.get(ContextKind::ValidValue) {
        Some(valid) => format!("expected one of these: {valid}"),
        None => "expected another value".to_owned(),
    })
}

/// All settings of a command.
#[derive(Debug)]
pub(crate) struct Keys {
    command: Command,
    keys: Vec<Key>,
}

impl Keys {
    /// Returns the settings in the order of the options.
    pub(crate) fn of(command: &Command) -> Self {
        let by_name = |name: &str| command.get_arguments().find(|option| option.get_long() == Some(name));
        let keys = command.get_arguments().filter_map(|option| {
            let long = option.get_long().filter(|long| !NO_SETTINGS.contains(long))?;
            let option = Box::new(option.clone());
            let (name, form) = match option.get_action() {
                ArgAction::Set => (long, Form::Value { option: option.clone(), is_repeatable: false }),
                ArgAction::Append => (long, Form::Value { option: option.clone(), is_repeatable: true }),
                ArgAction::Count => (long, Form::Count { option: option.clone() }),
                ArgAction::SetTrue => match long.strip_prefix("no-") {
                    Some(name) if by_name(name).is_some() => return None, // it belongs to that one
                    Some(name) => (name, Form::Switch { on: None, off: Some(option.clone()) }),
                    None => {
                        let off = by_name(&format!("no-{long}")).cloned().map(Box::new);
                        (long, Form::Switch { on: Some(option.clone()), off })
                    }
                },
                _ => return None, // help and version
            };
            Some(Key { name: name.to_owned(), form })
        });
        Self { keys: keys.collect(), command: command.clone() }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    /// Returns the settings that cannot be used with this one.
    pub(super) fn conflicting<'a>(&'a self, name: &str, setting: &Setting) -> impl Iterator<Item = &'a str> + use<'a> {
        let id = self.get(name).and_then(|key| Some(key.default_of(&setting.values)?.0.to_owned()));
        let own = name.to_owned();
        self.keys
            .iter()
            .filter(move |key| {
                let declares = |one: &str, other: &str| {
                    let option = self.command.get_arguments().find(|option| option.get_id() == one);
                    let conflicts =
                        option.map(|option| self.command.get_arg_conflicts_with(option)).unwrap_or_default();
                    conflicts.iter().any(|option| option.get_id() == other)
                };
                let id = id.as_deref().filter(|_| key.name != own);
                id.is_some_and(|id| key.ids().any(|other| declares(id, other) || declares(other, id)))
            })
            .map(|key| key.name.as_str())
    }

    /// Returns the message for a name that is no setting: with the nearest that is, in the form in which it was
    /// written.
    pub(super) fn unknown(&self, name: &str, written: impl Fn(&Key) -> String) -> String {
        let plain = name.to_ascii_lowercase().replace('_', "-");
        if let Some(key) = plain.strip_prefix("no-").and_then(|name| self.get(name)) {
            return format!("there is no such setting; the opposite is {}, which can be false", written(key));
        }
        let distance = |key: &&Key| strsim::damerau_levenshtein(&plain, &key.name);
        let similar = self.keys.iter().filter(|key| {
            plain.len() > 2 && (key.name.contains(&plain) || distance(key) <= MAX_TYPOS.min(plain.len() / 3 + 1))
        });
        match similar.min_by_key(distance) {
            Some(key) => format!("there is no such setting; did you mean {}?", written(key)),
            None => "there is no such setting; switchboard config defaults prints all".to_owned(),
        }
    }
}

/// Returns whether an option is on the command line. A command without it has it not.
pub(crate) fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
}

pub(super) const PREFIX: &str = "SWITCHBOARD_";
pub(super) const TRUE: &str = "true";
const FALSE: &str = "false";
/// The options that say where settings are, and those that print something.
const NO_SETTINGS: [&str; 3] = ["config", "help", "version"];
/// By how many letters a name may differ from the one that is suggested; a short one by fewer.
const MAX_TYPOS: usize = 3;
