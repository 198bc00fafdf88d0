//! The options of the command line, and how they are parsed.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

mod connect;
mod data;
mod serve;
mod server;
mod tls;

use std::path::PathBuf;

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, error::ErrorKind,
    parser::ValueSource,
};

pub(crate) use connect::{ConnectOptions, Wait};
pub(crate) use data::DataOption;
pub(crate) use serve::ServeOptions;
pub(crate) use server::Options;

/// A chat for the browser on a WebSocket server, with an echo and a broadcast service for tests, and a client
///
/// Without a command it serves the chat: open the printed address, and once more in a private window, which is
/// another user.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the chat, with its page at / and its WebSocket at /ws (the default command)
    Serve(Box<ServeOptions>),
    /// Add and change accounts of the chat, also while it runs
    User(UserOptions),
    /// Copy the data to a file, and check the copy, also while the chat runs
    Backup {
        /// File to write
        file: PathBuf,
        /// Replace the file if it exists
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: DataOption,
    },
    /// Check that the data is sound, also while the chat runs; changes nothing
    Check {
        /// Backup to check instead
        #[arg(conflicts_with = "data")]
        file: Option<PathBuf>,
        #[command(flatten)]
        data: DataOption,
    },
    /// Connect to a WebSocket server: lines of standard input become messages, messages become lines of standard output
    ///
    /// Text messages are printed as they are, binary ones in hexadecimal; in a terminal with a mark before them, and
    /// without characters that control it. After the end of the input the connection is closed with 1000 once the server
    /// has been silent for a second (--wait). Ctrl-C closes it as well, and waits for the server's answer.
    ///
    /// The exit status is 0 if the connection ended with the close code 1000 or 1001, 2 if an option or the address
    /// cannot be used, and 1 otherwise. Standard error says why.
    Connect(Box<ConnectOptions>),
    /// Send each message back to its sender, on any path, with a page to try it at /
    Echo(Options),
    /// Send each message with its sender's number to all clients or all others, on any path, with a page to try it at /
    Broadcast {
        /// The clients that receive each message
        #[arg(long, value_name = "WHO")]
        to: Recipients,
        #[command(flatten)]
        options: Options,
    },
}

impl Cli {
    /// Parses the command line, and checks the options that depend on each other.
    pub(crate) fn from_command_line() -> Result<Self, clap::Error> {
        let cli = Self::parse_options()?;
        let checked = match &cli.command {
            None => cli.serve.check(),
            Some(Command::Serve(options)) => options.check(),
            Some(Command::Echo(options) | Command::Broadcast { options, .. }) => options.check(),
            Some(Command::User(_) | Command::Backup { .. } | Command::Check { .. } | Command::Connect(_)) => Ok(()),
        };
        checked.map_err(|what| Self::command().error(ErrorKind::MissingRequiredArgument, what))?;
        Ok(cli)
    }

    /// Parses the command line. `--data` may be before the command or after it, all other options of a command only
    /// after it.
    fn parse_options() -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let mut cli = Self::from_arg_matches(&matches)?;
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let is_misplaced = command.get_arguments().any(|argument| {
            let id = argument.get_id().as_str();
            id != "data" && is_given(id)
        });
        let Some(subcommand) = &mut cli.command else { return Ok(cli) };
        let Some(folder) = cli.serve.chat.data.take().filter(|_| !is_misplaced) else {
            return match is_misplaced {
                true => Err(command.error(ErrorKind::ArgumentConflict, "options go after the command")),
                false => Ok(cli),
            };
        };
        match subcommand.data() {
            Some(data @ None) => {
                *data = Some(folder);
                Ok(cli)
            }
            Some(_) => Err(command.error(ErrorKind::ArgumentConflict, "--data is given twice")),
            None => Err(command.error(ErrorKind::ArgumentConflict, "this command keeps no data; leave out --data")),
        }
    }
}

impl Command {
    /// Returns the command's `--data`, if it has one.
    fn data(&mut self) -> Option<&mut Option<PathBuf>> {
        match self {
            Self::Serve(options) => Some(&mut options.chat.data),
            Self::User(options) => Some(&mut options.data),
            Self::Backup { data, .. } | Self::Check { data, .. } => Some(&mut data.data),
            Self::Connect(_) | Self::Echo(_) | Self::Broadcast { .. } => None,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Recipients {
    /// All clients, including the sender
    All,
    /// All clients except the sender
    Others,
}

#[derive(Args, Debug)]
pub(crate) struct UserOptions {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
    /// Folder of the chat's data [default: the folder switchboard in the user's data directory]
    // A name of its own: clap copies the value of a global argument to others of the same name.
    #[arg(id = "user_data", long = "data", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

/// The commands of `switchboard user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account; asks for the password, or reads it from standard input if that is not a terminal
    Add {
        /// Name of the account
        name: String,
    },
    /// Set a new password, and log the user out everywhere
    Password {
        /// Name of the account
        name: String,
    },
    /// Make a user an operator, who can send notices to all users and manage public rooms
    Operator {
        /// Name of the account
        name: String,
        /// Take the operator's rights away instead
        #[arg(long)]
        revoke: bool,
    },
}

impl UserOptions {
    pub(crate) fn data(&self) -> DataOption {
        DataOption { data: self.data.clone() }
    }
}
