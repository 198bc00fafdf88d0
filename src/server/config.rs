//! What a server allows its peers: sizes, times, numbers. The defaults are those that a public server needs.

use std::time::Duration;

#[cfg(feature = "deflate")]
use crate::DeflateConfig;
use crate::{HeadLimits, Limits, proto::Deflate};

/// The limits of a server. Each holds per connection unless it says otherwise; deadlines are met within two seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Threads, each with an event loop and a listener of its own. Default: the cores.
    pub workers: usize,
    /// The longest message and frame. Default 16 MiB each; 1009 past it.
    pub limits: Limits,
    /// permessage-deflate, for clients that offer it; `None`: not at all. Each worker has its own: its numbers are those
    /// of one worker. Default [`DeflateConfig::default`].
    #[cfg(feature = "deflate")]
    pub deflate: Option<DeflateConfig>,
    /// The largest head of a request. Default 16 KiB and 64 fields; 414 or 431 past it.
    pub head: HeadLimits,
    /// The largest body of a plain request, in bytes. Default 64 KiB; 413 past it.
    pub max_body_bytes: usize,
    /// From the connection to its first request, whole, and from an answer to the next request. Default 10 s; 408
    /// past it.
    pub handshake_timeout: Duration,
    /// A peer that is silent for this long gets a Ping. Default 30 s.
    pub ping_after: Duration,
    /// A peer that is silent for this long, a Pong included, is closed with 1008. Default 60 s.
    pub idle_timeout: Duration,
    /// From our Close frame to the peer's. Default 5 s.
    pub close_timeout: Duration,
    /// From the end of our side to the end of the peer's. Default 1 s.
    pub linger_timeout: Duration,
    /// Without a byte taken by a peer that we have bytes for. Default 30 s.
    pub write_timeout: Duration,
    /// Without a byte of a message that the peer has begun. Default 30 s; 1008 past it.
    pub message_timeout: Duration,
    /// From the beginning of a stop to its end, in whatever state connections are then. Default 5 s.
    pub stop_timeout: Duration,
    /// Bytes that wait for a peer: past it nothing more is read from that peer, and a subscriber is too slow. Default
    /// 1 MiB; one message may exceed it.
    pub max_queued_bytes: usize,
    /// What becomes of a subscriber that is more than `max_queued_bytes` behind. Default: closed.
    pub slow_subscriber: SlowSubscriber,
    /// Bytes that wait for peers and bytes of unfinished messages, of all connections of one worker. Default 256 MiB;
    /// past it the connection with the most of them is closed with 1013.
    pub max_worker_bytes: usize,
    /// Connections per worker. Default: what the limit of open files allows, less a reserve; 503 past it.
    pub max_connections: Option<usize>,
}

/// What becomes of a subscriber that does not read as fast as others publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowSubscriber {
    /// It is closed with 1008.
    Close,
    /// It does not get what would have to wait.
    Skip,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, Into::into),
            limits: Limits::default(),
            #[cfg(feature = "deflate")]
            deflate: Some(DeflateConfig::default()),
            head: HeadLimits::default(),
            max_body_bytes: 64 << 10,
            handshake_timeout: Duration::from_secs(10),
            ping_after: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
            max_queued_bytes: 1 << 20,
            slow_subscriber: SlowSubscriber::Close,
            max_worker_bytes: 256 << 20,
            max_connections: None,
        }
    }
}

impl Config {
    /// What the connections of one worker share of permessage-deflate.
    #[cfg(feature = "deflate")]
    pub(super) fn new_deflate(&self) -> Option<Deflate> {
        self.deflate.map(Deflate::new)
    }

    #[cfg(not(feature = "deflate"))]
    pub(super) fn new_deflate(&self) -> Option<Deflate> {
        None
    }

    /// How often to look at the deadlines: a quarter of the shortest, but not more than every 10 ms and at least
    /// every second.
    pub(super) fn sweep_period(&self) -> Duration {
        let shortest = [
            self.handshake_timeout,
            self.ping_after,
            self.idle_timeout,
            self.close_timeout,
            self.linger_timeout,
            self.write_timeout,
            self.message_timeout,
            self.stop_timeout,
        ]
        .into_iter()
        .min()
        .unwrap_or_default();
        (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}
