//! The options of connections.

use std::{sync::LazyLock, time::Duration};

use switchboard::{Deflate, HeadLimits, Keepalive, Limits};
use tokio::time::Instant;

/// Options for connections. One value serves any number of them; `Config::new()` has the defaults.
///
/// ```
/// use std::{sync::LazyLock, time::Duration};
/// use switchboard_tokio::{Config, Limits};
///
/// let config = Config::new()
///     .limits(Limits::of_bytes(1 << 20))
///     .silence(Duration::from_secs(20), Duration::from_secs(40));
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(crate) limits: Limits,
    pub(crate) head_limits: HeadLimits,
    pub(crate) deflate: Option<Deflate>,
    pub(crate) max_output_bytes: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) deadlines: Deadlines,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Option<std::sync::Arc<tokio_rustls::rustls::ClientConfig>>,
}

/// The deadlines of an open connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) ping_after: Duration,
    pub(crate) silent_for: Duration,
    pub(crate) message: Duration,
    pub(crate) write: Duration,
    pub(crate) close: Duration,
}

impl Deadlines {
    /// Starts the engine's deadlines.
    pub(crate) fn keepalive(&self) -> Keepalive {
        Keepalive::new(Instant::now().into_std())
            .silence(self.ping_after, self.silent_for)
            .message_within(self.message)
            .close_within(self.close)
    }
}

impl Config {
    /// Returns the defaults.
    pub fn new() -> Self {
        Self {
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            deflate: Some(DEFLATE.clone()),
            max_output_bytes: 64 << 10,
            handshake_timeout: Duration::from_secs(10),
            deadlines: Deadlines {
                ping_after: Duration::from_secs(30),
                silent_for: Duration::from_secs(60),
                message: Duration::from_secs(30),
                write: Duration::from_secs(30),
                close: Duration::from_secs(5),
            },
            #[cfg(feature = "rustls")]
            tls: None,
        }
    }

    /// Limits the frames and messages that are received. A peer that exceeds a limit gets a Close with 1009 or 1008.
    /// Default [`Limits::default`]: messages of at most 16 MiB.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Limits the head of the peer's part in the opening handshake. Default [`HeadLimits::default`]: 16 KiB, 64 fields.
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.head_limits = limits;
        self
    }

    /// Negotiates permessage-deflate with this [`Deflate`], which all connections of this configuration share; `None`
    /// uses no compression. Default: a [`Deflate::default`], without context takeover, that is shared by the process.
    pub fn deflate(mut self, deflate: Option<Deflate>) -> Self {
        self.deflate = deflate;
        self
    }

    /// Sets how many bytes may wait for a slow peer before `poll_ready`, and with it every send, waits. One message
    /// more may be added to them. Default 64 KiB, at least 1.
    pub fn max_output_bytes(mut self, bytes: usize) -> Self {
        self.max_output_bytes = bytes.max(1);
        self
    }

    /// Sets the time for the opening handshake, with name resolution, TCP and TLS if this crate does them. Default
    /// 10 s.
    pub fn handshake_timeout(mut self, time: Duration) -> Self {
        self.handshake_timeout = time;
        self
    }

    /// Sets after what silence of the peer a Ping is sent, and after what silence the connection fails. Defaults 30 s
    /// and 60 s. With [`Duration::MAX`] neither happens.
    pub fn silence(mut self, ping_after: Duration, give_up_after: Duration) -> Self {
        (self.deadlines.ping_after, self.deadlines.silent_for) = (ping_after, give_up_after);
        self
    }

    /// Sets how long a message that the peer has begun may make no progress: a thirty-second part more of what has
    /// arrived of it, at least one byte. A peer that is slower gets a Close with 1008. Default 30 s: at least 17 KiB per
    /// second once 16 MiB have arrived.
    pub fn message_timeout(mut self, time: Duration) -> Self {
        self.deadlines.message = time;
        self
    }

    /// Sets how long the stream may take no bytes while some wait. Default 30 s.
    pub fn write_timeout(mut self, time: Duration) -> Self {
        self.deadlines.write = time;
        self
    }

    /// Sets the time from our Close, or the peer's violation, to the end of the stream. Default 5 s.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.deadlines.close = time;
        self
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

/// The compressors and inflaters of all connections whose configuration has none of its own.
static DEFLATE: LazyLock<Deflate> = LazyLock::new(Deflate::default);
