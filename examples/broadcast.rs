//! A broadcast server with a page: open the printed address in two browser windows and write in one of them.
//!
//! ```text
//! cargo run --release -p switchboard --example broadcast                  # each message goes to all others
//! cargo run --release -p switchboard --example broadcast -- --to all      # and to its sender, too
//! ```
//!
//! Ctrl-C stops it with Close 1001 to every client. `RUST_LOG=debug` logs every connection.

use std::{env, error::Error, net::SocketAddr, process::ExitCode, thread};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{
    Config, OriginPolicy, Server,
    apps::{Audience, Broadcast},
    raise_descriptor_limit,
};

fn main() -> ExitCode {
    env_logger::Builder::new().filter_level(log::LevelFilter::Warn).parse_default_env().init();
    let Some((listen, audience)) = parse(env::args().skip(1)) else {
        eprintln!("usage: broadcast [--listen ADDR:PORT] [--to all|others]   [default: 127.0.0.1:8080, others]");
        return ExitCode::from(2);
    };
    match serve(listen, audience) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("broadcast: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(SocketAddr, Audience)> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    let mut audience = Audience::Others;
    while let Some(option) = arguments.next() {
        match (&*option, arguments.next()) {
            ("--listen", Some(address)) => listen = address.parse().ok()?,
            ("--to", Some(to)) if to == "all" => audience = Audience::All,
            ("--to", Some(to)) if to == "others" => audience = Audience::Others,
            _ => return None,
        }
    }
    Some((listen, audience))
}

fn serve(listen: SocketAddr, audience: Audience) -> Result<(), Box<dyn Error>> {
    raise_descriptor_limit()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let app = Broadcast::new(audience, OriginPolicy::Any);
    let running = Server::bind(listen, Config::default())?.start(move |_| app.clone())?;
    let stopper = running.stopper();
    thread::spawn(move || signals.forever().for_each(|_| stopper.stop()));
    println!("page at http://{0}/, WebSocket at ws://{0}/", running.local_addr());
    running.join()?;
    Ok(())
}
