//! The program: `switchboard serve`, `user`, `backup`, `check`, `connect`, `echo` and `broadcast`.

mod cli;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use log::LevelFilter;
use switchboard::{
    OriginPolicy,
    apps::{Audience, Broadcast, Echo},
};
use switchboard_chat::{ChatService, Data, Origin};

use cli::{
    config, connect, control, data,
    options::{Cli, Command, ConfigCommand, Options, Recipients, ServeOptions, UsageError},
    reload::Reload,
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
        Command::Serve(options) => serve_chat(*options),
        Command::Config { command } => return configure(command),
        Command::Stop { wait, data } => control::stop(&data, wait),
        Command::Reload(data) => control::reload(&data),
        Command::Infos { json, data } => control::print_infos(&data, json),
        Command::User(options) => users::run(&options),
        Command::Backup { file, force, data } => data::back_up(&file, force, &data),
        Command::Check { file, data } => data::check(file.as_deref(), &data),
        Command::Connect(options) => return connect::run(&options).unwrap_or_else(|message| failed(&message)),
        Command::Echo(options) => {
            start_log(&options);
            let app = Echo::new(origin_policy(&options.origin));
            let service = Service::new("echo", &options, options.certificates());
            service.and_then(|service| service.run(options.server_config(), move |_| app.clone()))
        }
        Command::Broadcast { to, options } => {
            start_log(&options);
            let audience = match to {
                Recipients::All => Audience::All,
                Recipients::Others => Audience::Others,
            };
            let app = Broadcast::new(audience, origin_policy(&options.origin));
            let service = Service::new("broadcast", &options, options.certificates());
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
    if let UsageError::Options(help) = error
        && !help.use_stderr()
    {
        help.exit();
    }
    eprintln!("switchboard: {}", error.line());
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

fn serve_chat(serve: ServeOptions) -> Result<(), String> {
    start_log(&serve.options);
    let config = serve.config()?;
    let redirect = serve.redirect()?;
    let server_config = serve.server_config();
    let (data, has_url) = (config.data.clone(), config.public_url.is_some());
    // The data is opened before the server listens, so that an error ends the program at once.
    let chat = Arc::new(ChatService::open(config).map_err(|error| error.to_string())?);
    let mut service = Service::new("chat", &serve.options, serve.certificates())?;
    service.redirect = redirect;
    service.hsts = serve.hsts_policy();
    service.pid_file = serve.chat.pid_file.clone();
    service.notes.push(place_of(&data));
    if !has_url {
        service.notes.push(
            "to try it with two users, open a second, private window: other windows of a browser are the same user"
                .to_owned(),
        );
    }
    if let Some(file) = serve.file.clone() {
        service.notes.push(format!("settings in {}; SIGHUP reloads them", file.display()));
        let mut reload = Reload::new(Arc::clone(&chat), serve);
        service.settings = Some(file);
        service.reload = Some(Box::new(move |remote| reload.run(remote)));
    }
    if let Data::Folder(folder) = data {
        service.data = Some(std::path::absolute(&folder).unwrap_or(folder));
    }
    service.run(server_config, move |remote| chat.app(remote))
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

/// Starts the log. Its level can change while the program runs, unless RUST_LOG sets it.
fn start_log(options: &Options) {
    let mut logger = env_logger::Builder::new();
    logger.filter_level(LevelFilter::Trace).parse_default_env().init();
    set_log_level(options);
}

/// Sets the level of the log.
pub(crate) fn set_log_level(options: &Options) {
    if std::env::var_os("RUST_LOG").is_none() {
        log::set_max_level(match (options.quiet, options.verbose) {
            (true, _) => LevelFilter::Error,
            (false, 0) => LevelFilter::Warn,
            (false, 1) => LevelFilter::Info,
            (false, 2) => LevelFilter::Debug,
            (false, _) => LevelFilter::Trace,
        });
    }
}
