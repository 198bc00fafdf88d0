//! `switchboard config defaults` and `switchboard config show`.

use std::fmt::Write as _;

use clap::{Arg, ArgMatches, Command};
use textwrap::WordSplitter;

use super::{
    keys::{Form, Key, Keys, TRUE},
    settings::{Settings, needs_restart},
};

/// Returns a file of settings with a comment for each, all of them commented out.
pub(crate) fn print_defaults(serve: &Command) -> String {
    let mut text = INTRODUCTION.to_owned();
    let mut heading = None;
    for key in Keys::of(serve).iter() {
        let Some(option) = key.options().next() else { continue };
        if heading != option.get_help_heading() {
            heading = option.get_help_heading();
            let _ = write!(text, "\n# {}\n", "-".repeat(RULE));
            let _ = writeln!(text, "# {}", heading.unwrap_or_default());
        }
        text.push('\n');
        for line in
            textwrap::wrap(&help_of(key), textwrap::Options::new(COLUMNS).word_splitter(WordSplitter::NoHyphenation))
        {
            let _ = writeln!(text, "# {line}");
        }
        if needs_restart(&key.name) {
            let _ = writeln!(text, "# (A change needs a restart.)");
        }
        let _ = writeln!(text, "#{} = {}", key.name, default_of(key).unwrap_or_else(|| example_of(key, option)));
    }
    text
}

/// Returns all settings as TOML, each with where it comes from.
pub(crate) fn print_settings(serve: &Command, settings: &Settings, given: &ArgMatches) -> String {
    let mut text = String::new();
    for key in Keys::of(serve).iter() {
        let _ = match value_of(key, settings, given) {
            Some((value, source)) => writeln!(text, "{} = {value} # {source}", key.name),
            None => writeln!(text, "# {} is not set{}", key.name, no_default(key)),
        };
    }
    text
}

/// Returns the values of all settings as TOML; `None` for one that is not set.
pub(crate) fn values(serve: &Command, settings: &Settings, given: &ArgMatches) -> Vec<(String, Option<String>)> {
    let value_of = |key: &Key| value_of(key, settings, given).map(|(value, _)| value);
    Keys::of(serve).iter().map(|key| (key.name.clone(), value_of(key))).collect()
}

/// Returns the value of a setting as TOML, and where it comes from; `None` if it is not set and has no fixed default.
fn value_of(key: &Key, settings: &Settings, given: &ArgMatches) -> Option<(String, String)> {
    Some(match (key.given_in(given), settings.get(&key.name)) {
        (Some(values), _) => (as_toml(key, &values), "the command line".to_owned()),
        (None, Some(setting)) => (as_toml(key, &setting.values), setting.source.to_string()),
        (None, None) => (default_of(key)?, "default".to_owned()),
    })
}

/// Returns the help of a setting, in one line. Of two options the one that turns it on has it.
fn help_of(key: &Key) -> String {
    let help = key.options().next().and_then(Arg::get_help).map(ToString::to_string).unwrap_or_default();
    match &key.form {
        Form::Switch { on: None, .. } => format!("false: {help}"),
        Form::Value { is_repeatable: true, .. } if !help.contains("repeatable") => format!("{help}; a list"),
        Form::Value { .. } | Form::Count { .. } | Form::Switch { .. } => help,
    }
}

/// Returns the words of the help about a default that has no fixed value.
fn no_default(key: &Key) -> String {
    let help = help_of(key);
    let default = help.rsplit_once("[default").and_then(|(_, default)| default.strip_suffix(']'));
    default.map_or_else(String::new, |default| format!("; default{default}"))
}

/// Returns the default value as TOML, if there is one.
fn default_of(key: &Key) -> Option<String> {
    match &key.form {
        Form::Switch { on: Some(_), off: Some(_) } => None,
        Form::Switch { on, .. } => Some(on.is_none().to_string()),
        Form::Count { .. } => Some("0".to_owned()),
        Form::Value { option, .. } => {
            let values: Vec<_> =
                option.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
            (!values.is_empty()).then(|| as_toml(key, &values))
        }
    }
}

/// Returns a value for a setting without a default: the word for it in the help.
fn example_of(key: &Key, option: &Arg) -> String {
    match option.get_value_names() {
        Some([name, ..]) if option.get_action().takes_values() => as_toml(key, &[name.to_string()]),
        _ => TRUE.to_owned(),
    }
}

fn as_toml(key: &Key, values: &[String]) -> String {
    let one = |value: &String| match value.parse::<i64>() {
        Ok(number) if number.to_string() == *value => value.clone(),
        _ => as_text(value),
    };
    match (&key.form, values) {
        (Form::Value { is_repeatable: true, .. }, values) => {
            format!("[{}]", values.iter().map(one).collect::<Vec<_>>().join(", "))
        }
        (Form::Switch { .. } | Form::Count { .. }, [value]) => value.clone(),
        (_, [value]) => one(value),
        _ => String::new(),
    }
}

fn as_text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The columns of a comment's text.
const COLUMNS: usize = 98;
/// The dashes above a heading.
const RULE: usize = 60;
const INTRODUCTION: &str = "\
# Settings of switchboard serve, with their defaults. Remove the # of those that you change.
#
# Each is also an option of the command line (--listen ADDR:PORT) and a variable of the environment
# (SWITCHBOARD_LISTEN, with commas between the values of a list). The command line replaces the
# environment, and that the file. The file is that of --config FILE or SWITCHBOARD_CONFIG, or
# switchboard/switchboard.toml in the user's folder of configuration. Check it with
# switchboard config check FILE; switchboard config show prints what is in force, and from where.
# SIGHUP makes a running chat use it anew.
";
