//! The command line: what can be asked of the program, and how it is read.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use switchboard::DeflateConfig;
use switchboard_chat::{ChatConfig, Data, Name, Rate};

/// A WebSocket server: a chat for the browser, and two small services for tests and tutorials.
///
/// Without a command it serves the chat: start it and open the printed address in two browser windows.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the chat: the page at /, its WebSocket at /ws (this is what happens without a command)
    Serve(Box<ServeOptions>),
    /// Change the chat's accounts, also while it runs
    User(UserOptions),
    /// Send each message back to its sender, on any path; for conformance suites and benchmarks
    Echo(Options),
    /// Send each message to all who are connected, or to all others, on any path
    Broadcast {
        /// Who gets what somebody sends
        #[arg(long, value_name = "WHO")]
        to: Recipients,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Recipients {
    /// Everyone, the sender too
    All,
    /// Everyone but the sender
    Others,
}

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub(crate) listen: SocketAddr,
    /// Threads that serve connections, each with an event loop of its own [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// The longest message taken from a client, in bytes [default: 65536 for the chat, more where
    /// --max-text-chars needs it, else 16777216]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_message_bytes: Option<u64>,
    /// A further web page's origin that may connect, such as https://other.example; repeatable [default: none; for echo
    /// and broadcast any]
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub(crate) origin: Vec<String>,
    /// Say more on standard error: -v what happens, -vv every connection, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) compression: Compression,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Compression")]
pub(crate) struct Compression {
    /// Do not compress messages (permessage-deflate) and take no compressed ones
    #[arg(long)]
    no_deflate: bool,
    /// How hard to compress: 1 is fastest, 9 smallest
    #[arg(long, value_name = "LEVEL", default_value_t = 1, conflicts_with = "no_deflate",
        value_parser = clap::value_parser!(u8).range(1..=9))]
    deflate_level: u8,
    /// The shortest message that is compressed, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 256, conflicts_with = "no_deflate")]
    deflate_min_bytes: usize,
    /// Memory for windows that live on from message to message (context takeover), of all connections together, in
    /// bytes; with 0 each message is compressed on its own
    #[arg(long, value_name = "BYTES", default_value_t = 0, conflicts_with = "no_deflate")]
    deflate_memory_bytes: usize,
}

/// What the chat can be told besides.
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
    #[command(flatten)]
    data: DataOption,
    /// The address under which browsers reach the chat, such as https://chat.example: its name is then taken as ours, and
    /// with https cookies are kept to it [default: whatever address or localhost they use]
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    public_url: Option<String>,
    /// The address of a proxy in front of this program, whose X-Forwarded-For says who asks; repeatable. Else all who come
    /// through it count as one where attempts to sign in are limited
    #[arg(long, value_name = "ADDR")]
    trusted_proxy: Vec<IpAddr>,
    /// Let people in without an account, under a name that nobody has [default where --listen is on loopback and there
    /// is no --public-url]
    #[arg(long, overrides_with = "no_guests")]
    guests: bool,
    /// Let nobody in without an account [default elsewhere]
    #[arg(long, overrides_with = "guests")]
    no_guests: bool,
    /// Let nobody make an account: see switchboard user
    #[arg(long)]
    no_registration: bool,
    /// Log out who does nothing for this long, such as 15m; reading does not count
    #[arg(long, value_name = "TIME", default_value = "30days", value_parser = parse_time)]
    session_idle: Duration,
    /// Log out after this long whatever one does
    #[arg(long, value_name = "TIME", default_value = "365days", value_parser = parse_time)]
    session_lifetime: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct DataOption {
    /// The folder for accounts, rooms and messages, or :memory: to keep them until the program ends [default: a folder
    /// named switchboard where the system keeps programs' data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits of the chat")]
struct LimitOptions {
    /// Characters of a message
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = at_least_one)]
    max_text_chars: usize,
    /// Characters of a room's topic
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_topic_chars: usize,
    /// Characters of a person's name
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = name_chars)]
    max_name_chars: usize,
    /// Characters of a room's name
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = name_chars)]
    max_room_name_chars: usize,
    /// Events of one connection: so many at once, then so many in time
    #[arg(long, value_name = "RATE", default_value = "300+20/s")]
    event_rate: Rate,
    /// Messages of one person, and all else that others hear of
    #[arg(long, value_name = "RATE", default_value = "20+5/s")]
    message_rate: Rate,
    /// Attempts to sign in from one address
    #[arg(long, value_name = "RATE", default_value = "10+10/m")]
    sign_in_rate: Rate,
    /// Rooms that a person is in
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_rooms: usize,
    /// Rooms that a person owns
    #[arg(long, value_name = "N", default_value_t = 20)]
    max_owned_rooms: usize,
    /// Connections of a person
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = at_least_one)]
    max_connections_each: usize,
    /// Messages that are kept of each room
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    keep_messages: u64,
}

#[derive(Args, Debug)]
pub(crate) struct UserOptions {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

/// What an operator may do to an account.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make an account; the password is asked for, or read from standard input where that is no terminal
    Add {
        name: String,
        #[command(flatten)]
        data: DataOption,
    },
    /// Give an account another password, and end its sessions
    Password {
        name: String,
        #[command(flatten)]
        data: DataOption,
    },
    /// Make somebody an operator: may send notices to all, and do in public rooms what owners may
    Operator {
        name: String,
        /// Is no longer one
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        data: DataOption,
    },
}

impl ServeOptions {
    /// The longest message taken from a client, unless another is wanted: the longest text must fit, of which a
    /// character may take 12 bytes as JSON.
    pub(crate) fn message_bytes(&self) -> u64 {
        let text = u64::try_from(self.limits.max_text_chars).unwrap_or(u64::MAX);
        text.saturating_mul(16).clamp(64 << 10, 1 << 30)
    }

    /// How the chat is run.
    pub(crate) fn config(&self) -> Result<ChatConfig, String> {
        let Self { options, chat, limits } = self;
        let mut config = ChatConfig::default();
        config.data = chat.data.location()?;
        config.guests = match (chat.guests, chat.no_guests) {
            (true, _) => true,
            (_, true) => false,
            // Behind a proxy, which is what a public address on loopback means, anybody may come.
            _ => options.listen.ip().is_loopback() && chat.public_url.is_none(),
        };
        config.registration = !chat.no_registration;
        config.public_url = chat.public_url.clone();
        config.origins = options.origin.clone();
        config.trusted_proxies = chat.trusted_proxy.clone();
        config.session_idle = chat.session_idle;
        config.session_lifetime = chat.session_lifetime;
        config.limits.text_chars = limits.max_text_chars;
        config.limits.topic_chars = limits.max_topic_chars;
        config.limits.name_chars = limits.max_name_chars;
        config.limits.room_name_chars = limits.max_room_name_chars;
        config.limits.events = limits.event_rate;
        config.limits.messages = limits.message_rate;
        config.limits.sign_ins = limits.sign_in_rate;
        config.limits.rooms = limits.max_rooms;
        config.limits.owned_rooms = limits.max_owned_rooms;
        config.limits.connections = limits.max_connections_each;
        config.limits.kept_messages = limits.keep_messages;
        Ok(config)
    }
}

impl DataOption {
    pub(crate) fn location(&self) -> Result<Data, String> {
        use etcetera::BaseStrategy as _;
        match &self.data {
            Some(folder) if folder.as_os_str() == ":memory:" => Ok(Data::Memory),
            Some(folder) => Ok(Data::Folder(folder.clone())),
            None => match etcetera::choose_base_strategy() {
                Ok(folders) => Ok(Data::Folder(folders.data_dir().join("switchboard"))),
                Err(_) => Err("there is no home folder to keep data in; choose a folder with --data DIR".to_owned()),
            },
        }
    }
}

impl Compression {
    /// permessage-deflate for each of `workers`.
    pub(crate) fn config(&self, workers: usize) -> Option<DeflateConfig> {
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

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port are needed, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

fn name_chars(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=Name::HIGHEST_LIMIT) => Ok(number),
        _ => Err(format!("a number from 1 to {} is needed", Name::HIGHEST_LIMIT)),
    }
}

fn default_port(port: &str) -> String {
    format!("an origin is written without the port that its scheme has anyway: leave {port} out")
}

fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("this is no time at all; write 15m, 12h or 30days".to_owned()),
        Ok(time) => Ok(time),
        Err(_) => Err("a time is written 15m, 12h or 30days".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1 on is needed".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn parse_origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        // As browsers write it.
        Some(_) if text.starts_with("https://") && text.ends_with(":443") => Err(default_port(":443")),
        Some(_) if text.starts_with("http://") && text.ends_with(":80") => Err(default_port(":80")),
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(text.to_owned()),
        _ => Err("an origin is a scheme and a host, such as https://chat.example or http://localhost:3000".to_owned()),
    }
}
