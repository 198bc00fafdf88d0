//! The program: `switchboard serve`, `echo` and `broadcast`. Parses, calls, exits.

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use log::LevelFilter;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{
    App, Config, DeflateConfig, Limits, OriginPolicy, Remote, Server,
    apps::{Audience, Broadcast, Echo},
    chat::{Backplane, Chat, MemoryBackplane},
};

/// A WebSocket server: a chat for the browser, and two small services for tests and tutorials.
///
/// Without a command it serves the chat: start it and open the printed address in two browser windows.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the chat: the page at /, its WebSocket at /ws (this is what happens without a command)
    Serve(Options),
    /// Send each message back to its sender, on any path; for conformance suites and benchmarks
    Echo(Options),
    /// Send each message to all who are connected, or to all others, on any path
    Broadcast {
        /// Who gets what somebody sends
        #[arg(long, value_name = "WHO")]
        to: To,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    /// Everyone, the sender too
    All,
    /// Everyone but the sender
    Others,
}

#[derive(Args, Debug)]
struct Options {
    /// Where to listen; port 0 takes any free port
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    listen: SocketAddr,
    /// Threads that serve connections, each with an event loop of its own [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// The longest message taken from a client, in bytes [default: 65536 for the chat, else 16777216]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    max_message_bytes: Option<u64>,
    /// A web page's origin that may connect, such as https://chat.example; repeatable [default: the chat's own page;
    /// for echo and broadcast any]
    #[arg(long, value_name = "ORIGIN", value_parser = parse_origin)]
    origin: Vec<String>,
    /// Say more on standard error: -v what happens, -vv every connection, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    #[command(flatten)]
    compression: Compression,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Compression")]
struct Compression {
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

impl Compression {
    /// permessage-deflate for each of `workers`.
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

fn main() -> ExitCode {
    let Cli { command, serve } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            eprintln!("switchboard: {}; see switchboard --help", in_one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let done = match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(options) => serve_chat(options),
        Command::Echo(options) => {
            let app = Echo::new(any_or_only(options.origin.clone()));
            run("echo", "ws", &options, DEFAULT_MESSAGE_BYTES, move |_| app.clone())
        }
        Command::Broadcast { to, options } => {
            let audience = match to {
                To::All => Audience::All,
                To::Others => Audience::Others,
            };
            let app = Broadcast::new(audience, any_or_only(options.origin.clone()));
            run("broadcast", "ws", &options, DEFAULT_MESSAGE_BYTES, move |_| app.clone())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("switchboard: {message}");
            ExitCode::FAILURE
        }
    }
}

fn serve_chat(options: Options) -> Result<(), String> {
    let origins = options.origin.clone();
    let backplane = std::sync::OnceLock::<Arc<dyn Backplane>>::new();
    run("chat", "http", &options, CHAT_MESSAGE_BYTES, move |remote| {
        // One lobby for all workers, made by the first of them.
        let shared = backplane.get_or_init(|| Arc::new(MemoryBackplane::new(remote.clone(), random_token)));
        Chat::new(Arc::clone(shared), origins.clone())
    })
}

/// What is wrong with the command line, without its usage and other lines that say where to read on.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let is_beside = |line: &&str| ["Usage:", "For more", "switchboard "].iter().any(|start| line.starts_with(start));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_beside(line));
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").replace(" tip: ", "; ")
}

/// Binds, says where, and runs until a signal stops it.
fn run<A: App>(
    what: &str,
    scheme: &str,
    options: &Options,
    default_message_bytes: u64,
    make_app: impl Fn(&Remote) -> A + Send + Sync + 'static,
) -> Result<(), String> {
    start_log(options);
    let mut config = Config::default();
    config.limits = Limits::of_bytes(options.max_message_bytes.unwrap_or(default_message_bytes));
    if let Some(workers) = options.workers {
        config.workers = workers.into();
    }
    config.deflate = options.compression.config(config.workers);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot wait for signals: {error}"))?;
    let server = Server::bind(options.listen, config).map_err(|error| cannot_listen(options.listen, &error))?;
    let running = server.start(make_app).map_err(|error| format!("cannot start: {error}"))?;
    let stopper = running.stopper();
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stopper.stop();
            say(io::stderr(), "switchboard: stopping; a second signal stops at once");
        }
        if let Some(signal) = signals.next() {
            // The shell's convention for a program that a signal ended.
            std::process::exit(128 + signal);
        }
    });
    say(io::stdout(), &greeting(what, scheme, running.address()));
    running.join().map_err(|error| format!("cannot go on: {error}"))
}

/// Writes a line for whoever still reads it: a server must not end because its terminal is gone.
fn say(mut to: impl Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

/// The line that says where the service is; its last word is the URL.
fn greeting(what: &str, scheme: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("{what} on all addresses, port {0}: {scheme}://localhost:{0}/", address.port())
    } else {
        format!("{what} at {scheme}://{address}/")
    }
}

/// One line that says what to do.
fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use by another program; choose another port with --listen {}:PORT", address.ip())
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine; choose one that is with --listen ADDR:PORT")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} needs more rights; choose a port from 1024 up with --listen {}:PORT", address.ip())
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

fn any_or_only(origins: Vec<String>) -> OriginPolicy {
    if origins.is_empty() { OriginPolicy::Any } else { OriginPolicy::Only(origins) }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "an address and a port are needed, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

fn parse_origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(text.to_owned()),
        _ => Err("an origin is a scheme and a host, such as https://chat.example or http://localhost:3000".to_owned()),
    }
}

fn start_log(options: &Options) {
    let level = match (options.quiet, options.verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Warn,
        (false, 1) => LevelFilter::Info,
        (false, 2) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_level(level).parse_default_env().init();
}

/// 128 random bits in hexadecimal.
fn random_token() -> String {
    let mut bytes = [0; 16];
    // A system that has no randomness has no business running a server.
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const DEFAULT_MESSAGE_BYTES: u64 = 16 << 20;
const CHAT_MESSAGE_BYTES: u64 = 64 << 10;
