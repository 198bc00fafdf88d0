//! The program: `switchboard serve`, `user`, `backup`, `check`, `echo` and `broadcast`.

mod cli;

use std::{
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
};

use clap::error::ErrorKind;
use log::LevelFilter;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{
    App, Config, OriginPolicy, Remote, Server,
    apps::{Audience, Broadcast, Echo},
    raise_descriptor_limit,
};
use switchboard_chat::{ChatService, Data, Origin};

use cli::{
    data,
    options::{Cli, Command, Options, Recipients, ServeOptions},
    users,
};

/// Returns the memory that peers have made the program use to the system, within about 20 seconds. The C library's
/// allocator keeps nearly all of it, and reserves 64 MiB of address space for each thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let Cli { command, serve } = match Cli::from_command_line() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            eprintln!("switchboard: {}", in_one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => help.exit(),
    };
    let done = match command.unwrap_or_else(|| Command::Serve(Box::new(serve))) {
        Command::Serve(options) => serve_chat(&options),
        Command::User(options) => users::run(&options),
        Command::Backup { file, force, data } => data::back_up(&file, force, &data),
        Command::Check { file, data } => data::check(file.as_deref(), &data),
        Command::Echo(options) => {
            start_log(&options);
            let app = Echo::new(origin_policy(&options.origin));
            run("echo", "ws", &[], options.listen, options.server_config(), move |_| app.clone())
        }
        Command::Broadcast { to, options } => {
            start_log(&options);
            let audience = match to {
                Recipients::All => Audience::All,
                Recipients::Others => Audience::Others,
            };
            let app = Broadcast::new(audience, origin_policy(&options.origin));
            run("broadcast", "ws", &[], options.listen, options.server_config(), move |_| app.clone())
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

fn serve_chat(serve: &ServeOptions) -> Result<(), String> {
    start_log(&serve.options);
    // The data is opened before the server listens, so that an error ends the program at once.
    let config = serve.config()?;
    let mut notes = vec![place_of(&config.data)];
    if config.public_url.is_none() {
        notes.push(
            "to try it with two users, open a second, private window: other windows of a browser are the same user"
                .to_owned(),
        );
    }
    let chat = Arc::new(ChatService::open(config).map_err(|error| error.to_string())?);
    run("chat", "http", &notes, serve.options.listen, serve.server_config(), move |remote| chat.app(remote))
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

/// Binds the server, prints its URL and some notes, and runs it until a signal stops it. A second signal ends the process
/// at once.
fn run<A: App>(
    what: &str,
    scheme: &str,
    notes: &[String],
    address: SocketAddr,
    config: Config,
    make_app: impl Fn(&Remote) -> A + Send + Sync + 'static,
) -> Result<(), String> {
    if let Err(error) = raise_descriptor_limit() {
        log::warn!("the limit of open files cannot be raised: {error}");
    }
    let mut signals =
        Signals::new([SIGINT, SIGTERM]).map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let server = Server::bind(address, config).map_err(|error| cannot_listen(address, &error))?;
    let running = server.start(make_app).map_err(|error| format!("cannot start the server: {error}"))?;
    let stopper = running.stopper();
    std::thread::spawn(move || {
        let mut signals = signals.forever();
        if signals.next().is_some() {
            stopper.stop();
            print_line(io::stderr(), "switchboard: stopping; send the signal again to stop at once");
        }
        if let Some(signal) = signals.next() {
            // The shell's exit status for a program that a signal ended.
            std::process::exit(128 + signal);
        }
    });
    let greeting = [&[greeting(what, scheme, running.address())], notes, &["Ctrl-C stops it".to_owned()]].concat();
    print_line(io::stdout(), &greeting.join("\n"));
    running.join().map_err(|error| format!("the server failed: {error}"))
}

/// Returns the line that says where the data is.
fn place_of(data: &Data) -> String {
    match data {
        Data::Memory => "data in memory only: nothing is kept when it stops".to_owned(),
        Data::Folder(folder) => {
            format!("data in {}", std::path::absolute(folder).as_deref().unwrap_or(folder).display())
        }
    }
}

/// Prints a line, and ignores errors: a server must not end because its terminal is gone.
pub(crate) fn print_line(mut to: impl Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

/// Returns the first line of output. Its last word is the service's URL.
fn greeting(what: &str, scheme: &str, address: SocketAddr) -> String {
    let (place, authority) = if address.ip().is_unspecified() {
        (format!("{what} on all addresses, port {}:", address.port()), format!("localhost:{}", address.port()))
    } else {
        (format!("{what} at"), address.to_string())
    };
    match scheme {
        "ws" => format!("{place} http://{authority}/ (page) and ws://{authority}/"),
        _ => format!("{place} {scheme}://{authority}/"),
    }
}

/// Returns an error message of one line that names the fix.
fn cannot_listen(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use by another program; choose another port with --listen {}:PORT", address.ip())
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is not an address of this machine; choose another with --listen ADDR:PORT")
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied for {address}; choose a port from 1024 up with --listen {}:PORT", address.ip())
        }
        _ => format!("cannot listen on {address}: {error}; choose another address with --listen ADDR:PORT"),
    }
}

fn origin_policy(origins: &[Origin]) -> OriginPolicy {
    if origins.is_empty() {
        return OriginPolicy::Any;
    }
    OriginPolicy::Only(origins.iter().map(|origin| origin.as_str().to_owned()).collect())
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
