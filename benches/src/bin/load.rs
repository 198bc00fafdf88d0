//! The load generator by itself, for a server that runs under `perf`, `strace` or callgrind:
//!
//! ```text
//! strace -cf target/release/switchboard echo --workers 1 --no-deflate --listen 127.0.0.1:9001
//! cargo run --release --manifest-path benches/Cargo.toml --bin load -- echo 127.0.0.1:9001 --in-flight 32
//! ```

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use switchboard_benches::{
    chat,
    load::{Echo, FanOut, Handshakes, KeyExchange, Target, Times, TlsHandshakeKind, TlsHandshakes, Work, measure},
};

/// Puts a load on a server and prints how much it did
#[derive(Debug, Parser)]
struct Cli {
    work: Kind,
    address: SocketAddr,
    /// The number of connections, or of receivers
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The payload of each message; in a chat it is 100 bytes
    #[arg(long, value_name = "BYTES", default_value_t = 16)]
    bytes: usize,
    /// The number of messages in flight: per connection, of the publisher, or of the whole chat
    #[arg(long, value_name = "N", default_value_t = 1)]
    in_flight: u16,
    #[arg(long, default_value_t = 3.0, value_parser = parse_seconds)]
    seconds: f64,
    /// The id of the server's process: prints its CPU time too
    #[arg(long)]
    pid: Option<u32>,
    /// Speaks TLS with a server that has this certificate, PEM; not in a chat
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    #[arg(long, default_value = "x25519", requires = "tls")]
    key_exchange: KeyExchange,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Echo,
    FanOut,
    Handshakes,
    /// Of TLS alone, with a certificate
    FullTls,
    /// Of TLS alone, with tickets
    ResumedTls,
    /// Of TLS alone, aborted
    AbortedTls,
    Chat,
}

fn main() -> io::Result<()> {
    let Cli { work, address, connections, bytes, in_flight, seconds, pid, tls, key_exchange } = Cli::parse();
    rlimit::increase_nofile_limit(u64::MAX)?;
    let mut target = Target::from(address);
    if let Some(certificate) = tls {
        target = target.over_tls(&certificate, key_exchange)?;
    }
    let mut work: Box<dyn Work> = match work {
        Kind::Echo => Box::new(Echo::start(target, connections, bytes, in_flight.into())?),
        Kind::FanOut => Box::new(FanOut::start(target, connections, bytes, in_flight.into())?),
        Kind::Handshakes => Box::new(Handshakes::of(target)),
        Kind::FullTls => Box::new(TlsHandshakes::new(target, TlsHandshakeKind::Full)?),
        Kind::ResumedTls => Box::new(TlsHandshakes::new(target, TlsHandshakeKind::Resumed)?),
        Kind::AbortedTls => Box::new(TlsHandshakes::new(target, TlsHandshakeKind::Aborted)?),
        Kind::Chat => Box::new(chat::load(address, connections, in_flight.into())?),
    };
    let window = Duration::from_secs_f64(seconds);
    // Without a server's id this process is measured, and its CPU time is not printed.
    let times = Times { warm_up: Duration::ZERO, window };
    let measured = measure(work.as_mut(), pid.unwrap_or_else(std::process::id), times)?;
    println!("{} done in {:.2} s", measured.done, measured.elapsed.as_secs_f64());
    if pid.is_some() {
        let each = 1e9 / measured.per_cpu_second();
        println!("{each:.0} ns of CPU each; the server was busy {:.0} % of the time", measured.busy() * 100.0);
    }
    Ok(())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds, up to a day".into()),
    }
}
