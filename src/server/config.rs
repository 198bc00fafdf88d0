//! The limits of a server: sizes, times and counts. The defaults suit a public server.

use std::{io, time::Duration};

use ipnet::IpNet;

#[cfg(feature = "deflate")]
use crate::DeflateConfig;
#[cfg(feature = "tls")]
use crate::reactor::TlsConfig;
use crate::{HeadLimits, Limits, proto::Deflate};

/// The limits of a server.
///
/// Each limit holds per connection unless its text says otherwise. The server checks deadlines periodically and notices
/// a missed one within two seconds. More than two seconds in which a worker's thread does not run, because the process
/// is stopped or the machine is suspended or overloaded, do not count: all deadlines move by that time.
///
/// ```rust
/// use std::time::Duration;
/// use switchboard::{Config, Limits, Server};
///
/// let config = Config::default()
///     .workers(2)
///     .limits(Limits::of_bytes(64 << 10))
///     .max_connections_per_address(Some(20))
///     .ping_after(Duration::from_secs(20))
///     .idle_timeout(Duration::from_secs(40));
/// let server = Server::bind("127.0.0.1:0".parse()?, config)?; // refuses what makes no sense
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The number of worker threads, each with its own event loop and listeners; between 1 and 1024. Default: the
    /// number of cores.
    pub workers: usize,
    /// The limits of one message and frame. Default: [`Limits::default`] (16 MiB each). Past them the connection fails
    /// with 1009.
    pub limits: Limits,
    /// Compression (permessage-deflate) for clients that offer it; `None` turns it off. Default:
    /// [`DeflateConfig::default`].
    ///
    /// The memory limits in it hold per worker.
    #[cfg(feature = "deflate")]
    pub deflate: Option<DeflateConfig>,
    /// The largest head of a request. Default: 16 KiB and 64 fields. Past it the client gets 414 or 431. The chunk
    /// extensions and trailer fields of a body have the same limits.
    pub head: HeadLimits,
    /// The largest body of a plain HTTP request, in bytes; of one in chunks, after decoding. Default: 64 KiB. Past it
    /// the client gets 413.
    pub max_body_bytes: usize,
    /// The longest time for a whole request, from the connection's start (so the handshake of TLS is in it), or from
    /// the first byte of a later request. Default: 10 s. Past it the client gets 408 if a part of the request has
    /// arrived; otherwise the connection is closed.
    pub handshake_timeout: Duration,
    /// The longest wait for the next plain request after a response, which says so in `Keep-Alive`. Default: 75 s. Past
    /// it the connection is closed. Zero closes each connection after one response.
    pub keep_alive_timeout: Duration,
    /// The server sends a Ping to a peer that has sent nothing for this long. Default: 30 s. With [`Duration::MAX`] it
    /// sends none, and silence has no deadline.
    pub ping_after: Duration,
    /// The longest silence of a peer, in which not even a Pong arrives; longer than `ping_after`. Default: 60 s. Past
    /// it the connection fails with 1008 ([`End::NoPong`](super::End::NoPong)).
    pub idle_timeout: Duration,
    /// The longest wait for the peer's Close frame after ours. Default: 5 s. Past it the connection is closed
    /// ([`End::NoClose`](super::End::NoClose)).
    pub close_timeout: Duration,
    /// The longest wait for the peer to end its side of TCP after we have ended ours. Default: 1 s. Past it the
    /// connection is closed.
    pub linger_timeout: Duration,
    /// The longest time in which a peer takes less than a thirty-second part of the bytes that wait for it. Default:
    /// 30 s. Past it the connection is closed ([`End::WriteStalled`](super::End::WriteStalled)).
    ///
    /// So the rate that is demanded grows with what is held for the peer: 35 bytes per second for 32 KiB, 17 KiB per
    /// second for 16 MiB.
    pub write_timeout: Duration,
    /// The longest time without progress in a message that the peer has begun. Progress is a thirty-second part more
    /// of what is buffered of it, at least one byte. Default: 30 s. Past it the connection fails with 1008
    /// ([`End::MessageStalled`](super::End::MessageStalled)).
    pub message_timeout: Duration,
    /// The longest time that a stop takes, for the whole server. Default: 5 s. Past it all remaining connections are
    /// cut ([`End::Stopped`](super::End::Stopped)).
    pub stop_timeout: Duration,
    /// Bytes that may wait for a peer because the kernel does not take them. Default: 1 MiB. Past it the server reads
    /// nothing from that peer, and applies `slow_subscriber` to messages that others send to it. A single message may
    /// exceed it, and one of each topic that keeps only the latest.
    pub max_queued_bytes: usize,
    /// How to treat a subscriber that is more than `max_queued_bytes` behind, in topics for which the app has not chosen
    /// another policy ([`Context::subscribe_with`](super::Context::subscribe_with)). Default:
    /// [`SlowSubscriber::Close`]. Of messages that others send to a connection alone, each policy but `Close` skips
    /// those that would have to wait.
    pub slow_subscriber: SlowSubscriber,
    /// The memory that peers can make one worker use, in bytes. Default: 256 MiB.
    ///
    /// It counts, as allocated: bytes that wait for peers, unfinished requests and messages, and input that is not
    /// processed. A quarter is for mail from other threads: while more waits, the workers read nothing. Past the other
    /// three quarters, or past half of them by input alone, the worker evicts connections, the largest of the network
    /// that holds the most: with 1013 ([`End::Overloaded`](super::End::Overloaded)), or 503 during a request, if that
    /// can still be sent.
    ///
    /// Not included are fixed amounts: per worker about 4 MiB if compression is used, and up to 700 bytes per
    /// connection, with TLS 4 KiB; `DeflateConfig::memory_bytes`; and what the app itself keeps.
    pub max_worker_bytes: usize,
    /// TLS for all connections; `None` for plain TCP. Default: `None`. [`Remote::set_tls`](super::Remote::set_tls)
    /// replaces it while the server runs.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
    /// The number of connections per worker. Default: `None`, as many as the limit of open files allows, less a
    /// reserve; a larger number has no effect. Past it a client gets 503; if many clients are being refused at once,
    /// the server closes further ones without a response.
    pub max_connections: Option<usize>,
    /// File descriptors that the server leaves to the rest of the process: files, the app's own connections, another
    /// server. Default: 64. The server never leaves more than a quarter of the limit.
    pub reserved_descriptors: usize,
    /// The number of connections from one address at the same time, over all workers: from each address of IPv4, and
    /// from each /64 of IPv6. Default: 1,024. `None` is no limit. Past it a client gets 503 as with `max_connections`,
    /// and the log says so once a minute.
    pub max_connections_per_address: Option<usize>,
    /// Networks whose connections are not counted as one address's: those of reverse proxies, from which many clients
    /// connect. An address of IPv4 inside of IPv6 is looked up as one of IPv4. Default: none. An app can count these
    /// clients with [`Acceptance::counted_as`].
    ///
    /// [`Acceptance::counted_as`]: super::Acceptance::counted_as
    pub uncounted_networks: Vec<IpNet>,
}

/// How to treat a subscriber that does not read as fast as others publish.
///
/// It is chosen for all topics ([`Config::slow_subscriber`]) or for one
/// ([`Context::subscribe_with`](super::Context::subscribe_with)). A frame that is partly written is always finished, and
/// what is delivered keeps its order. An app learns of missed messages by [`App::missed`](super::App::missed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowSubscriber {
    /// Fail its connection with 1008 ([`End::TooSlow`](super::End::TooSlow)).
    Close,
    /// Drop the messages that would have to wait for it beyond [`Config::max_queued_bytes`].
    Skip,
    /// Beyond [`Config::max_queued_bytes`], drop the oldest messages that wait for it, of all its topics with this
    /// policy; and the new one, if these are not enough. For each of them 16 bytes more count.
    DropOldest,
    /// Drop the message of the topic that waits for it whenever there is a later one, so at most one of the topic waits,
    /// even beyond [`Config::max_queued_bytes`]. This suits a topic whose every message tells the whole state.
    Latest,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, Into::into).min(MAX_WORKERS),
            limits: Limits::default(),
            #[cfg(feature = "deflate")]
            deflate: Some(DeflateConfig::default()),
            head: HeadLimits::default(),
            max_body_bytes: 64 << 10,
            handshake_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
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
            #[cfg(feature = "tls")]
            tls: None,
            max_connections: None,
            reserved_descriptors: 64,
            max_connections_per_address: Some(1024),
            uncounted_networks: Vec::new(),
        }
    }
}

setters! {
    Config {
        workers: usize,
        limits: Limits,
        #[cfg(feature = "deflate")]
        deflate: Option<DeflateConfig>,
        head: HeadLimits,
        max_body_bytes: usize,
        handshake_timeout: Duration,
        keep_alive_timeout: Duration,
        ping_after: Duration,
        idle_timeout: Duration,
        close_timeout: Duration,
        linger_timeout: Duration,
        write_timeout: Duration,
        message_timeout: Duration,
        stop_timeout: Duration,
        max_queued_bytes: usize,
        slow_subscriber: SlowSubscriber,
        max_worker_bytes: usize,
        #[cfg(feature = "tls")]
        tls: Option<TlsConfig>,
        max_connections: Option<usize>,
        reserved_descriptors: usize,
        max_connections_per_address: Option<usize>,
        uncounted_networks: Vec<IpNet>,
    }
}

impl Config {
    /// Checks what no server can be started with: [`Server::bind`](super::Server::bind) refuses it.
    ///
    /// Every other value is allowed. A limit of 0 allows nothing, a deadline of 0 is over at the next check, and the
    /// maximum of a type is no limit.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: `workers` is out of range, or `idle_timeout` is not longer than `ping_after`.
    pub fn check(&self) -> io::Result<()> {
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        let Self { workers, ping_after, idle_timeout, .. } = self;
        if !(1..=MAX_WORKERS).contains(workers) {
            return invalid(format!("workers is {workers}, and must be from 1 to {MAX_WORKERS}"));
        }
        if idle_timeout <= ping_after && *ping_after < Duration::MAX {
            return invalid(format!(
                "idle_timeout is {idle_timeout:?}, and must be longer than ping_after, which is {ping_after:?}"
            ));
        }
        Ok(())
    }

    /// Returns the compression state that the connections of one worker share.
    #[cfg(feature = "deflate")]
    pub(super) fn new_deflate(&self) -> Option<Deflate> {
        self.deflate.map(Deflate::new)
    }

    #[cfg(not(feature = "deflate"))]
    pub(super) fn new_deflate(&self) -> Option<Deflate> {
        None
    }

    /// Returns the memory for mail from other threads, in bytes.
    pub(super) fn max_mail_bytes(&self) -> usize {
        self.max_worker_bytes / 4
    }

    /// Returns the memory that the connections of a worker may use, in bytes.
    pub(super) fn max_connection_bytes(&self) -> usize {
        self.max_worker_bytes - self.max_mail_bytes()
    }

    /// Returns the memory that the unprocessed input of a worker's connections may use, in bytes.
    pub(super) fn max_input_bytes(&self) -> usize {
        self.max_connection_bytes() / 2
    }

    /// Returns how often to check the deadlines: a quarter of the shortest, at least 10 ms and at most 1 s.
    pub(super) fn sweep_period(&self) -> Duration {
        let shortest = [
            self.handshake_timeout,
            // Zero is no deadline.
            if self.keep_alive_timeout.is_zero() { Duration::MAX } else { self.keep_alive_timeout },
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

const MAX_WORKERS: usize = 1024;
