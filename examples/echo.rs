//! An echo server: each message goes back to its sender. For the Autobahn|Testsuite, for benchmarks, and to start with.
//!
//! ```text
//! cargo run --release -p switchboard --example echo -- --listen 127.0.0.1:9001
//! ```
//!
//! Ctrl-C stops it with Close 1001 to every client. `RUST_LOG=debug` logs every connection.

use std::{env, error::Error, net::SocketAddr, process::ExitCode, thread};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::{Config, OriginPolicy, Server, apps::Echo, raise_descriptor_limit};

fn main() -> ExitCode {
    env_logger::Builder::new().filter_level(log::LevelFilter::Warn).parse_default_env().init();
    let Some(listen) = parse(env::args().skip(1)) else {
        eprintln!("usage: echo [--listen ADDR:PORT]   [default: 127.0.0.1:8080]");
        return ExitCode::from(2);
    };
    match serve(listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<SocketAddr> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 8080));
    while let Some(option) = arguments.next() {
        match (&*option, arguments.next()) {
            ("--listen", Some(address)) => listen = address.parse().ok()?,
            _ => return None,
        }
    }
    Some(listen)
}

fn serve(listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    raise_descriptor_limit()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let app = Echo::new(OriginPolicy::Any);
    let running = Server::bind(listen, Config::default())?.start(move |_| app.clone())?;
    let stopper = running.stopper();
    thread::spawn(move || signals.forever().for_each(|_| stopper.stop()));
    println!("page at http://{0}/, WebSocket at ws://{0}/", running.local_addr());
    running.join()?;
    Ok(())
}
