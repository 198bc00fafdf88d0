//! Parsing the command line, with the settings of the file and of the environment below it.

use std::{env, ffi::OsString, path::PathBuf};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, error::ErrorKind};

use super::{
    super::config::{self, Settings, is_given},
    Cli, Command, ConfigCommand, ServeOptions,
};

/// Why the program does not begin.
#[derive(Debug)]
pub(crate) enum UsageError {
    /// The command line is wrong, or asks for help.
    Options(clap::Error),
    /// A line about the settings of the file or of the environment.
    Settings(String),
}

impl UsageError {
    /// Returns the error as one line.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Options(error) => in_one_line(error),
            Self::Settings(line) => line.clone(),
        }
    }
}

impl From<clap::Error> for UsageError {
    fn from(error: clap::Error) -> Self {
        Self::Options(error)
    }
}

impl Cli {
    /// Parses the command line, and checks the options that depend on each other.
    pub(crate) fn from_command_line() -> Result<Self, UsageError> {
        let arguments: Vec<_> = env::args_os().collect();
        let given = Self::command().try_get_matches_from(&arguments)?;
        let path = path_of(&given);
        let mut settings = match path[..] {
            // These have no settings.
            ["connect", ..] | ["config", "check" | "defaults", ..] => Settings::default(),
            _ => Settings::load(&serve_command(), file_of(&given, &path)).map_err(UsageError::Settings)?,
        };
        if !path.is_empty() && is_given(&given, "data") {
            settings.remove("data");
        }
        Self::parse(&arguments, &given, &path, settings)
    }

    /// Parses the command line again, with the settings as they are now. Only for a program that serves the chat.
    ///
    /// # Errors
    /// As [`from_command_line`](Self::from_command_line).
    pub(crate) fn serve_options_again() -> Result<ServeOptions, UsageError> {
        let Self { command, serve } = Self::from_command_line()?;
        Ok(match command {
            Some(Command::Serve(options)) => *options,
            _ => serve,
        })
    }

    /// Checks a file of settings as if nothing else set anything. Returns their number.
    ///
    /// # Errors
    /// A line that says what is wrong, and where.
    pub(crate) fn check_settings(file: &std::path::Path) -> Result<usize, UsageError> {
        let settings = Settings::of_file(&serve_command(), file).map_err(UsageError::Settings)?;
        let arguments = ["switchboard", SERVE].map(OsString::from);
        let given = Self::command().try_get_matches_from(&arguments)?;
        let count = settings.len();
        Self::parse(&arguments, &given, &[SERVE], settings)?;
        Ok(count)
    }

    /// Returns the text of `switchboard config defaults`.
    pub(crate) fn default_settings() -> String {
        config::print_defaults(&serve_command())
    }

    fn parse(
        arguments: &[OsString],
        given: &ArgMatches,
        path: &[&str],
        mut settings: Settings,
    ) -> Result<Self, UsageError> {
        let mut command = change_at(Self::command(), path, &mut |command| {
            settings.remove_replaced(&command, matches_at(given, path));
            settings.as_defaults_of(command)
        });
        let matches = command.try_get_matches_from_mut(arguments)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        cli.take_data_before_the_command(&command, given)?;
        let checked = match &cli.command {
            None => cli.serve.check(),
            Some(Command::Serve(options) | Command::Config { command: ConfigCommand::Show { options, .. } }) => {
                options.check()
            }
            Some(Command::Echo(options) | Command::Broadcast { options, .. }) => options.check(),
            Some(
                Command::User(_)
                | Command::Backup { .. }
                | Command::Check { .. }
                | Command::Connect(_)
                | Command::Stop { .. }
                | Command::Reload(_)
                | Command::Infos { .. }
                | Command::Config { command: ConfigCommand::Check { .. } | ConfigCommand::Defaults },
            ) => Ok(()),
        };
        if let Some(options) = cli.serve_options() {
            options.values = config::values(&serve_command(), &settings, matches_at(given, path));
            options.file = settings.file().map(Into::into);
        }
        checked.map_err(|what| Self::command().error(ErrorKind::MissingRequiredArgument, what))?;
        if let Some(Command::Config { command: ConfigCommand::Show { text, .. } }) = &mut cli.command {
            *text = config::print_settings(&serve_command(), &settings, matches_at(given, path));
        }
        Ok(cli)
    }

    /// Returns the options of the chat, if it is served.
    fn serve_options(&mut self) -> Option<&mut ServeOptions> {
        match &mut self.command {
            None => Some(&mut self.serve),
            Some(Command::Serve(options)) => Some(options),
            Some(_) => None,
        }
    }

    /// Moves `--data`, which may be before the command or after it. All other options of a command are after it.
    fn take_data_before_the_command(&mut self, command: &clap::Command, given: &ArgMatches) -> Result<(), clap::Error> {
        let error = |what: &str| Err(command.clone().error(ErrorKind::ArgumentConflict, what));
        let Some(subcommand) = &mut self.command else { return Ok(()) };
        let options = command.get_arguments().map(|option| option.get_id().as_str());
        let before: Vec<_> = options.filter(|id| is_given(given, id)).collect();
        match before[..] {
            [] => Ok(()),
            ["data"] => match subcommand.data() {
                Some(data @ None) => {
                    *data = self.serve.chat.data.take();
                    Ok(())
                }
                Some(_) => error("--data is given twice"),
                None => error("this command keeps no data; leave out --data"),
            },
            _ => error("options go after the command"),
        }
    }
}

impl Command {
    /// Returns the command's `--data`, if it has one.
    fn data(&mut self) -> Option<&mut Option<PathBuf>> {
        match self {
            Self::Serve(options) | Self::Config { command: ConfigCommand::Show { options, .. } } => {
                Some(&mut options.chat.data)
            }
            Self::User(options) => Some(&mut options.data),
            Self::Backup { data, .. }
            | Self::Check { data, .. }
            | Self::Stop { data, .. }
            | Self::Reload(data)
            | Self::Infos { data, .. } => Some(&mut data.data),
            Self::Connect(_) | Self::Echo(_) | Self::Broadcast { .. } | Self::Config { .. } => None,
        }
    }
}

/// Returns the command that has all settings.
fn serve_command() -> clap::Command {
    Cli::command().find_subcommand(SERVE).expect("the program serves").clone()
}

/// Returns the names of the command and of its subcommand.
fn path_of(matches: &ArgMatches) -> Vec<&str> {
    let mut path = Vec::new();
    let mut at = matches;
    while let Some((name, below)) = at.subcommand() {
        path.push(name);
        at = below;
    }
    // The options of `user` are its own, whatever it does.
    if path.first() == Some(&"user") {
        path.truncate(1);
    }
    path
}

fn matches_at<'a>(matches: &'a ArgMatches, path: &[&str]) -> &'a ArgMatches {
    path.iter().fold(matches, |at, name| at.subcommand_matches(name).unwrap_or(at))
}

/// Returns the file of settings that the command line names.
fn file_of(given: &ArgMatches, path: &[&str]) -> Option<PathBuf> {
    let at = matches_at(given, path);
    ["config", "user_config"].iter().find_map(|id| at.try_get_one::<PathBuf>(id).ok().flatten().cloned())
}

/// Calls `change` for the command at `path`.
fn change_at(
    command: clap::Command,
    path: &[&str],
    change: &mut dyn FnMut(clap::Command) -> clap::Command,
) -> clap::Command {
    match path {
        [] => change(command),
        [name, below @ ..] => command.mut_subcommand(name, |command| change_at(command, below, change)),
    }
}

/// Formats an error of the command line as one line, without the usage, and with the help to look at.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    // The usage line begins with the command that was meant, such as "Usage: switchboard user add [OPTIONS] <NAME>".
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage: ")).unwrap_or("switchboard");
    let command: Vec<_> = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-'])).collect();
    let see = format!("see {} --help", command.join(" "));
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("a subcommand is missing; {see}");
    }
    let is_extra = |line: &&str| ["Usage:", "For more", "switchboard "].iter().any(|start| line.starts_with(start));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_extra(line));
    let problem = lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").replace(" tip: ", "; ");
    format!("{problem}; {see}")
}

const SERVE: &str = "serve";
