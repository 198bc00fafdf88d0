//! The options of the command line, and how they are parsed.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, error::ErrorKind,
    parser::ValueSource,
};
use switchboard::{Config, DeflateConfig, IpNet, Limits};
use switchboard_chat::{ChatConfig, ChatService, Data, Origin, Rate};

use super::{memory, values};

/// A chat for the browser on a WebSocket server, with an echo and a broadcast service for tests
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
    /// Parses the command line. `--data` may be before the command or after it, all other options of a command only
    /// after it.
    pub(crate) fn from_command_line() -> Result<Self, clap::Error> {
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
            Self::Echo(_) | Self::Broadcast { .. } => None,
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
pub(crate) struct Options {
    /// Address and port to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = values::address_and_port)]
    pub(crate) listen: SocketAddr,
    /// Number of worker threads, each with its own event loop [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Maximum length of a message from a client, in bytes [default: 65536 for the chat, or more if
    /// --max-text-chars requires it; 16777216 for echo and broadcast]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_message_bytes: Option<u64>,
    /// Maximum memory that clients can make the server use, over all workers, such as 512MiB: unfinished requests and
    /// messages, and what clients do not read, without --deflate-memory-bytes. Past it connections are closed, the
    /// largest of the address that holds most first [default: a quarter of the machine's memory, or of its cgroup's, at
    /// most 256MiB for each worker]
    #[arg(long, value_name = "AMOUNT", value_parser = memory::parse)]
    pub(crate) max_memory: Option<usize>,
    /// Maximum connections from one IP address (a /64 of IPv6) at the same time; 0 for no limit. Those of a trusted
    /// proxy count for the addresses that it forwards
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_connections_per_address: usize,
    /// Keep a connection open this long for its next HTTP request, such as 75s; 0 closes it after each response
    #[arg(long, value_name = "TIME", default_value = "75s", value_parser = values::time_or_zero)]
    pub(crate) keep_alive: Duration,
    /// Allow web pages of this origin to connect, such as https://other.example, or an app's, such as
    /// capacitor://localhost; null allows pages without an origin; repeatable [default: only the chat's own page; for
    /// echo and broadcast, any page]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<Origin>,
    /// Log more to standard error: -v for info, -vv for debug, -vvv for trace messages
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log only errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) compression: Compression,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Compression")]
pub(crate) struct Compression {
    /// Disable message compression (permessage-deflate)
    #[arg(long)]
    no_deflate: bool,
    /// Compression level, from 1 (fastest) to 9 (smallest)
    #[arg(long, value_name = "LEVEL", default_value_t = 1, conflicts_with = "no_deflate",
        value_parser = clap::value_parser!(u8).range(1..=9))]
    deflate_level: u8,
    /// Minimum length of a message to compress, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256, conflicts_with = "no_deflate")]
    deflate_min_bytes: usize,
    /// Memory for compression windows that are kept between messages (context takeover), for all connections together,
    /// in bytes; 0 compresses each message on its own
    #[arg(long, value_name = "BYTES", default_value_t = 0, conflicts_with = "no_deflate")]
    deflate_memory_bytes: usize,
}

/// The options of `switchboard serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(flatten)]
    chat: ChatOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Chat")]
struct ChatOptions {
    /// Folder for accounts, rooms and messages, or :memory: to keep nothing after the program ends [default: the folder
    /// switchboard in the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Public URL of the chat, such as https://chat.example; with https, its cookies are Secure [default: none;
    /// browsers can use localhost or an IP address]
    #[arg(long, value_name = "ORIGIN", value_parser = values::public_url)]
    public_url: Option<Origin>,
    /// IP address or network of reverse proxies, such as 10.0.0.0/8, whose X-Forwarded-For header is trusted;
    /// repeatable. Without this option, all users behind a proxy share the limits of one address, on sign-in attempts
    /// and on connections
    #[arg(long, value_name = "ADDR", value_parser = values::network)]
    trusted_proxy: Vec<IpNet>,
    /// Allow guests, users without an account [default if --listen is a loopback address and there is no --public-url]
    #[arg(long, overrides_with = "no_guests")]
    guests: bool,
    /// Require an account [default otherwise]
    #[arg(long, overrides_with = "guests")]
    no_guests: bool,
    /// Disable registration; only switchboard user add creates accounts
    #[arg(long)]
    no_registration: bool,
    /// Sign users out after this time without activity, such as 15m; reading does not count as activity
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = values::time)]
    session_idle: Duration,
    /// Sign users out this long after they have signed in, active or not
    #[arg(long, value_name = "TIME", default_value = "365days", value_parser = values::time)]
    session_lifetime: Duration,
}

/// The option `--data` of the commands that need a folder.
#[derive(Args, Debug)]
pub(crate) struct DataOption {
    /// Folder of the chat's data [default: the folder switchboard in the user's data directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of the chat")]
struct LimitOptions {
    /// Maximum characters in a message
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = values::at_least_one)]
    max_text_chars: usize,
    /// Maximum characters in a room's topic
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_topic_chars: usize,
    /// Maximum characters in a user's name
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = values::name_chars)]
    max_name_chars: usize,
    /// Maximum characters in a room's name
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = values::name_chars)]
    max_room_name_chars: usize,
    /// Rate of events on each connection: 300+20/s allows 300 at once, then 20 per second
    #[arg(long, value_name = "RATE", default_value = "300+20/s")]
    event_rate: Rate,
    /// Rate of messages, and of other actions that other users see, from each user
    #[arg(long, value_name = "RATE", default_value = "20+5/s")]
    message_rate: Rate,
    /// Rate of rooms that each user enters or creates
    #[arg(long, value_name = "RATE", default_value = "60+12/m")]
    entry_rate: Rate,
    /// Rate of conversations that each user begins with other users; guests have a quarter of it
    #[arg(long, value_name = "RATE", default_value = "20+1/m")]
    conversation_rate: Rate,
    /// Rate of failed log-ins from each IP address, and to each account
    #[arg(long, value_name = "RATE", default_value = "10+10/m")]
    sign_in_rate: Rate,
    /// Rate of new accounts, guests and log-ins together from each IP address
    #[arg(long, value_name = "RATE", default_value = "60+30/m")]
    sign_up_rate: Rate,
    /// Maximum rooms that each user is a member of
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_rooms: usize,
    /// Maximum rooms that each user has created and owns
    #[arg(long, value_name = "N", default_value_t = 20)]
    max_owned_rooms: usize,
    /// Maximum connections of each user
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = values::at_least_one)]
    max_connections_each: usize,
    /// Number of messages to keep in each room; older ones are deleted
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keep_messages: u64,
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

impl Options {
    fn workers(&self) -> usize {
        self.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), Into::into)
    }

    /// Returns the memory that clients can make the server use, in bytes, over all workers.
    fn memory_bytes(&self) -> usize {
        self.max_memory.unwrap_or_else(|| memory::default_bytes(self.workers()))
    }

    /// Returns the configuration of the server, for a service that reads no bodies of requests.
    pub(crate) fn server_config(&self) -> Config {
        let mut config = Config::default();
        config.workers = self.workers();
        config.limits = Limits::of_bytes(self.max_message_bytes.unwrap_or(MESSAGE_BYTES));
        config.max_body_bytes = 0;
        config.max_worker_bytes = self.memory_bytes() / config.workers;
        config.max_connections_per_address = Some(self.max_connections_per_address).filter(|max| *max > 0);
        config.keep_alive_timeout = self.keep_alive;
        config.deflate = self.compression.config(config.workers);
        config
    }
}

impl ServeOptions {
    /// Returns the configuration of the server.
    pub(crate) fn server_config(&self) -> Config {
        let mut config = self.options.server_config();
        let text = u64::try_from(self.limits.max_text_chars).unwrap_or(u64::MAX);
        // The longest text must fit, and a character may take 12 bytes as JSON.
        let message_bytes = text.saturating_mul(16).clamp(64 << 10, 1 << 30);
        config.limits = Limits::of_bytes(self.options.max_message_bytes.unwrap_or(message_bytes));
        config.max_body_bytes = ChatService::MAX_BODY_BYTES;
        config.max_worker_bytes -= config.max_worker_bytes / EVENT_SHARE;
        config.uncounted_networks = self.chat.trusted_proxy.clone();
        config
    }

    /// Returns the chat's configuration.
    pub(crate) fn config(&self) -> Result<ChatConfig, String> {
        let Self { options, chat, limits } = self;
        let mut config = ChatConfig::default();
        config.data = DataOption { data: chat.data.clone() }.location()?;
        config.guests = match (chat.guests, chat.no_guests) {
            (true, _) => true,
            (_, true) => false,
            // A public URL on a loopback address means a reverse proxy, behind which anybody may connect.
            _ => options.listen.ip().is_loopback() && chat.public_url.is_none(),
        };
        config.registration = !chat.no_registration;
        config.public_url = chat.public_url.clone();
        config.origins = options.origin.clone();
        config.trusted_proxies = chat.trusted_proxy.clone();
        config.session_idle = chat.session_idle;
        config.session_lifetime = chat.session_lifetime;
        config.waiting_event_bytes = options.memory_bytes() / EVENT_SHARE;
        config.limits.text_chars = limits.max_text_chars;
        config.limits.topic_chars = limits.max_topic_chars;
        config.limits.name_chars = limits.max_name_chars;
        config.limits.room_name_chars = limits.max_room_name_chars;
        config.limits.events = limits.event_rate;
        config.limits.messages = limits.message_rate;
        config.limits.entries = limits.entry_rate;
        config.limits.conversations = limits.conversation_rate;
        config.limits.sign_ins = limits.sign_in_rate;
        config.limits.sign_ups = limits.sign_up_rate;
        config.limits.rooms = limits.max_rooms;
        config.limits.owned_rooms = limits.max_owned_rooms;
        config.limits.connections = limits.max_connections_each;
        config.limits.kept_messages = limits.keep_messages;
        Ok(config)
    }
}

impl UserOptions {
    pub(crate) fn data(&self) -> DataOption {
        DataOption { data: self.data.clone() }
    }
}

impl DataOption {
    /// Returns where the data is: by default, in the user's data directory.
    pub(crate) fn location(&self) -> Result<Data, String> {
        use etcetera::BaseStrategy as _;
        match &self.data {
            Some(folder) if folder.as_os_str() == ":memory:" => Ok(Data::Memory),
            Some(folder) => Ok(Data::Folder(folder.clone())),
            None => match etcetera::choose_base_strategy() {
                Ok(folders) => Ok(Data::Folder(folders.data_dir().join("switchboard"))),
                Err(_) => Err("cannot find a home folder for the data; choose a folder with --data DIR".to_owned()),
            },
        }
    }
}

impl Compression {
    /// Returns the configuration of permessage-deflate for each of `workers`, or `None` if it is disabled.
    fn config(&self, workers: usize) -> Option<DeflateConfig> {
        if self.no_deflate {
            return None;
        }
        let mut config = DeflateConfig::default();
        config.level = self.deflate_level;
        config.min_bytes = self.deflate_min_bytes;
        config.memory_bytes = self.deflate_memory_bytes / workers;
        Some(config)
    }
}

/// The default of `--max-message-bytes` for echo and broadcast.
const MESSAGE_BYTES: u64 = 16 << 20;
/// One of so many bytes of the memory for clients is for events that the chat has not handled.
const EVENT_SHARE: usize = 4;
