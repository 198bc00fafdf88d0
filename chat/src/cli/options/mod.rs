//! The options of the command line, and how they are parsed.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

mod connect;
mod data;
mod deadlines;
mod parse;
mod serve;
mod server;
mod tls;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use connect::{ConnectOptions, Wait};
pub(crate) use data::DataOption;
pub(crate) use parse::UsageError;
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
    #[command(visible_alias = "start")]
    Serve(Box<ServeOptions>),
    /// Check and print the settings of serve: from a file, the environment and the command line
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Stop the chat that runs: clients are told, and get a moment to answer
    Stop {
        /// Return when it has ended
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        data: DataOption,
    },
    /// Make the chat that runs use its file of settings and its certificates anew, as SIGHUP does
    Reload(DataOption),
    /// Print what the chat that runs says about itself: version, process, addresses, connections, certificates
    Infos {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        data: DataOption,
    },
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
    /// without characters that control it. After the end of the input the connection is closed with 1000 once the
    /// server has been silent for a second (--wait). Ctrl-C closes it as well, and waits for the server's answer.
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

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Recipients {
    /// All clients, including the sender
    All,
    /// All clients except the sender
    Others,
}

/// The commands of `switchboard config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file of settings, without using it
    Check {
        /// File to check [default: the one that serve reads]
        file: Option<PathBuf>,
    },
    /// Print a file of all settings, with their defaults and what they mean
    Defaults,
    /// Print the settings in force, and where each comes from; takes the options of serve
    Show {
        #[command(flatten)]
        options: Box<ServeOptions>,
        /// The lines to print.
        #[arg(skip)]
        text: String,
    },
}

#[derive(Args, Debug)]
pub(crate) struct UserOptions {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
    /// Folder of the chat's data [default: the folder switchboard in the user's data directory]
    // A name of its own: clap copies the value of a global argument to others of the same name.
    #[arg(id = "user_data", long = "data", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// File of settings, of which data counts [default: the one that serve reads]
    #[arg(id = "user_config", long = "config", value_name = "FILE", global = true)]
    _config: Option<PathBuf>,
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
        DataOption::in_folder(self.data.clone())
    }
}
