//! The options of a server, whatever it serves.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use switchboard::{Config, DeflateConfig, Limits};
use switchboard_chat::Origin;

use super::{
    super::{hsts::Policy, memory, values},
    tls::TlsOptions,
};

/// The options of `switchboard echo`, which all servers have.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Address and port to listen on; port 0 chooses a free port; repeatable. [::] includes all addresses of IPv4,
    /// unless one of IPv4 is given for the same port as well
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = values::address_and_port)]
    pub(crate) listen: Vec<SocketAddr>,
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
    pub(crate) tls: TlsOptions,
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

impl Options {
    /// Returns whether only this machine can connect.
    pub(super) fn is_local(&self) -> bool {
        self.listen.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Returns what is wrong with the options together.
    pub(super) fn check(&self) -> Result<(), String> {
        self.tls.check(self.is_local())?;
        if self.tls.hsts.is_some() && !self.tls.is_on() {
            return Err("--hsts needs --tls-cert FILE --tls-key FILE".to_owned());
        }
        Ok(())
    }

    /// Returns when to send Strict-Transport-Security: for all names.
    pub(crate) fn hsts_policy(&self) -> Option<Policy> {
        self.tls.hsts.map(|seconds| Policy { seconds, url: None })
    }

    fn workers(&self) -> usize {
        self.workers.map_or_else(|| std::thread::available_parallelism().map_or(1, Into::into), Into::into)
    }

    /// Returns the memory that clients can make the server use, in bytes, over all workers.
    pub(super) fn memory_bytes(&self) -> usize {
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
