//! The program: `switchboard serve`, `user`, `backup`, `check`, `connect`, `echo` and `broadcast`.

mod cli;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::error::ErrorKind;
use log::LevelFilter;
use switchboard::{
    OriginPolicy,
    apps::{Audience, Broadcast, Echo},
};
use switchboard_chat::{ChatService, Data, Origin};

use cli::{
    config, connect, data,
    options::{Cli, Command, ConfigCommand, Options, Recipients, ServeOptions, UsageError},
    serving::Service,
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
        Err(error) => return refuse(&error),
    };
    let done = match command.unwrap_or_else(|| Command::Serve(Box::new(serve))) {
        Command::Serve(options) => serve_chat(&options),
        Command::Config { command } => return configure(command),
        Command::User(options) => users::run(&options),
        Command::Backup { file, force, data } => data::back_up(&file, force, &data),
        Command::Check { file, data } => data::check(file.as_deref(), &data),
        Command::Connect(options) => return connect::run(&options).unwrap_or_else(|message| failed(&message)),
        Command::Echo(options) => {
            start_log(&options);
            let app = Echo::new(origin_policy(&options.origin));
            let service = Service::new("echo", &options, None);
            service.and_then(|service| service.run(options.server_config(), move |_| app.clone()))
        }
        Command::Broadcast { to, options } => {
            start_log(&options);
            let audience = match to {
                Recipients::All => Audience::All,
                Recipients::Others => Audience::Others,
            };
            let app = Broadcast::new(audience, origin_policy(&options.origin));
            let service = Service::new("broadcast", &options, None);
            service.and_then(|service| service.run(options.server_config(), move |_| app.clone()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => failed(&message),
    }
}

/// Prints why the program does not begin, in one line, or the help that was asked for.
fn refuse(error: &UsageError) -> ExitCode {
    let line = match error {
        UsageError::Options(help) if !help.use_stderr() => help.exit(),
        UsageError::Options(error) => in_one_line(error),
        UsageError::Settings(line) => line.clone(),
    };
    eprintln!("switchboard: {line}");
    ExitCode::from(2)
}

/// Runs `switchboard config`.
fn configure(command: ConfigCommand) -> ExitCode {
    match command {
        ConfigCommand::Check { file } => {
            let Some(file) = file.or_else(config::usual_file) else {
                return failed("there is no file of settings in the usual place; name one");
            };
            match Cli::check_settings(&file) {
                Ok(count) => print_line(io::stdout(), &format!("{}: {count} settings, all valid", file.display())),
                Err(error) => return refuse(&error),
            }
        }
        ConfigCommand::Defaults => print_line(io::stdout(), Cli::default_settings().trim_end()),
        ConfigCommand::Show { text, .. } => print_line(io::stdout(), text.trim_end()),
    }
    ExitCode::SUCCESS
}

fn failed(message: &str) -> ExitCode {
    eprintln!("switchboard: {message}");
    ExitCode::FAILURE
}

fn serve_chat(serve: &ServeOptions) -> Result<(), String> {
    start_log(&serve.options);
    let config = serve.config()?;
    let redirect = serve.redirect()?;
    let (data, has_url) = (config.data.clone(), config.public_url.is_some());
    // The data is opened before the server listens, so that an error ends the program at once.
    let chat = Arc::new(ChatService::open(config).map_err(|error| error.to_string())?);
    let kept = match &data {
        Data::Memory => None,
        Data::Folder(folder) => Some(folder.join(SELF_SIGNED_FILE)),
    };
    let mut service = Service::new("chat", &serve.options, kept)?;
    service.redirect = redirect;
    service.hsts = serve.hsts_policy();
    service.notes.push(place_of(&data));
    if !has_url {
        service.notes.push(
            "to try it with two users, open a second, private window: other windows of a browser are the same user"
                .to_owned(),
        );
    }
    service.run(serve.server_config(), move |remote| chat.app(remote))
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

/// The file in the data folder for the certificate of `--tls-self-signed`.
const SELF_SIGNED_FILE: &str = "self-signed.pem";
