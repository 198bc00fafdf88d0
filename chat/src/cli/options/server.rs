//! The options of a server, whatever it serves.
#![allow(rustdoc::bare_urls, reason = "the doc comments here are help texts of a terminal")]

use std::net::SocketAddr;

use clap::Args;
use switchboard::{Config, DeflateConfig, HeadLimits, Limits};
use switchboard_chat::Origin;

use super::{
    super::{hsts::Policy, memory, tls::reload::Source, values},
    deadlines::Deadlines,
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
    /// Maximum length of a message from a client, such as 64KiB, at most 1GiB [default: 64KiB for the chat, or more if
    /// --max-text-chars requires it; 16MiB for echo and broadcast]
    #[arg(long, value_name = "SIZE", value_parser = values::message_bytes)]
    pub(crate) max_message_bytes: Option<u64>,
    /// Maximum memory that clients can make the server use, over all workers, such as 512MiB: unfinished requests and
    /// messages, and what clients do not read, without --deflate-memory-bytes. Past it connections are closed, the
    /// largest of the address that holds most first [default: a quarter of the machine's memory, or of its cgroup's, at
    /// most 256MiB for each worker]
    #[arg(long, value_name = "SIZE", value_parser = memory::parse)]
    pub(crate) max_memory: Option<usize>,
    /// Bytes that may wait for a client, such as 1MiB. Past it nothing more is read from the client; what others send
    /// to it closes its connection
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = values::size)]
    max_queued_bytes: usize,
    /// Maximum length of a request without its body, such as 16KiB
    #[arg(long, value_name = "SIZE", default_value = "16KiB", value_parser = values::size)]
    max_head_bytes: usize,
    /// Maximum header fields of a request
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_head_fields: usize,
    /// Maximum connections, over all workers; further clients get 503 [default: what the limit of open files allows,
    /// less --reserved-descriptors]
    #[arg(long, value_name = "N", value_parser = values::at_least_one)]
    max_connections: Option<usize>,
    /// Open files that are left to the rest of the program
    #[arg(long, value_name = "N", default_value_t = 64)]
    reserved_descriptors: usize,
    /// Maximum connections from one IP address (a /64 of IPv6) at the same time; 0 for no limit. Those of a trusted
    /// proxy count for the addresses that it forwards
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_connections_per_address: usize,
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
    deadlines: Deadlines,
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
    /// Minimum length of a message to compress, such as 256 (bytes)
    #[arg(long, value_name = "SIZE", default_value = "256", conflicts_with = "no_deflate", value_parser = values::size)]
    deflate_min_bytes: usize,
    /// Memory for compression windows that are kept between messages (context takeover), for all connections together,
    /// such as 64MiB; 0 compresses each message on its own
    #[arg(long, value_name = "SIZE", default_value = "0", conflicts_with = "no_deflate", value_parser = values::size)]
    deflate_memory_bytes: usize,
}

impl Options {
    /// Returns whether only this machine can connect.
    pub(super) fn is_local(&self) -> bool {
        self.listen.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Returns what is wrong with the options together.
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_common()?;
        if self.tls.hsts.is_some() && !self.tls.is_on() {
            return Err("--hsts needs --tls-cert FILE --tls-key FILE".to_owned());
        }
        Ok(())
    }

    /// Returns what is wrong with the options together, whatever is served.
    pub(super) fn check_common(&self) -> Result<(), String> {
        self.deadlines.check()?;
        self.tls.check(self.is_local())
    }

    /// Returns when to send Strict-Transport-Security: for all names.
    pub(crate) fn hsts_policy(&self) -> Option<Policy> {
        self.tls.hsts.map(|seconds| Policy { seconds, url: None })
    }

    /// Returns where the certificates are, if there are any. One of the program's making is not kept.
    pub(crate) fn certificates(&self) -> Option<Source> {
        self.tls.source(&self.listen, None)
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
        config.max_connections = self.max_connections.map(|all| all.div_ceil(config.workers));
        config.reserved_descriptors = self.reserved_descriptors;
        config.max_queued_bytes = self.max_queued_bytes;
        config.head = HeadLimits::default().max_bytes(self.max_head_bytes).max_headers(self.max_head_fields);
        self.deadlines.set(&mut config);
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::options::{Cli, Command};

    #[test]
    fn without_options_a_server_has_the_defaults_of_the_library() {
        let Ok(Cli { command: Some(Command::Echo(options)), .. }) = Cli::try_parse_from(["switchboard", "echo"]) else {
            panic!("it is a command");
        };
        let config = options.server_config();
        let expected = Config::default().max_body_bytes(0).max_worker_bytes(config.max_worker_bytes);
        assert_eq!(format!("{config:#?}"), format!("{expected:#?}"));
    }
}
