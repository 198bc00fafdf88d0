//! The rows of the tables: what a server has to do, how it is measured, and our aims.

use std::io;

use super::{Certificate, TlsSetup};
use crate::{
    load::{Echo, FanOut, KeyExchange, Times, TlsHandshakeKind, TlsHandshakes, idle_bytes, measure},
    peers::Mode,
    process::Cores,
};

/// A row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Echo { payload_bytes: usize, in_flight: u64 },
    FanOut { payload_bytes: usize },
    Handshakes(TlsHandshakeKind, KeyExchange),
    Idle,
}

/// What our program is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// Our program without TLS.
    Plain,
    /// rustls alone.
    Bare,
}

impl Row {
    /// Returns all rows, in the order of the tables.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Echo { payload_bytes: 16, in_flight: 1 },
            Self::Echo { payload_bytes: 16, in_flight: 32 },
            Self::Echo { payload_bytes: 64 << 10, in_flight: 1 },
            Self::FanOut { payload_bytes: 64 },
            Self::FanOut { payload_bytes: 1 << 10 },
        ];
        for kind in [TlsHandshakeKind::Full, TlsHandshakeKind::Resumed] {
            all.extend([KeyExchange::X25519, KeyExchange::X25519MlKem768].map(|kx| Self::Handshakes(kind, kx)));
        }
        all.push(Self::Idle);
        all
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Echo { payload_bytes: 16, in_flight: 1 } => "echo 16 B, one at a time".into(),
            Self::Echo { payload_bytes: 16, in_flight } => format!("echo 16 B, {in_flight} in flight"),
            Self::Echo { payload_bytes, .. } => format!("echo {} KiB, one at a time", payload_bytes >> 10),
            Self::FanOut { payload_bytes: 64 } => "fan-out 64 B, 16 in flight".into(),
            Self::FanOut { payload_bytes } => format!("fan-out {} KiB, 16 in flight", payload_bytes >> 10),
            Self::Handshakes(TlsHandshakeKind::Resumed, key_exchange) => format!("resumed, {}", key_exchange.name()),
            Self::Handshakes(_, key_exchange) => format!("full, {}", key_exchange.name()),
            Self::Idle => "idle connection, resident bytes".into(),
        }
    }

    /// Returns the least part of a reference's work per second of CPU that our program is to do.
    pub(super) fn aim(self, reference: Reference) -> Option<f64> {
        match (self, reference) {
            (Self::Echo { payload_bytes: 16, in_flight: 1 }, Reference::Plain) => Some(0.88),
            (Self::Echo { payload_bytes: 65_536, .. }, Reference::Bare) => Some(0.9),
            (Self::FanOut { payload_bytes: 64 }, Reference::Plain) => Some(0.85),
            (Self::FanOut { .. }, Reference::Plain) => Some(0.7),
            (Self::Handshakes(..), Reference::Bare) => Some(0.9),
            (Self::Echo { .. } | Self::FanOut { .. } | Self::Handshakes(..) | Self::Idle, _) => None,
        }
    }

    /// Returns whether the row applies to the server.
    pub(super) fn is_for(self, setup: &TlsSetup) -> bool {
        !matches!(self, Self::Handshakes(..)) || !setup.is_plain()
    }

    /// Memory hardly varies, so it is measured in a few rounds only.
    pub(super) fn max_rounds(self) -> usize {
        if self == Self::Idle { 3 } else { usize::MAX }
    }

    /// Starts the server, measures it, and ends it. Returns its work per second of CPU, or bytes.
    pub(super) fn run(
        self,
        setup: &TlsSetup,
        certificate: &Certificate,
        cores: &Cores,
        quick: bool,
    ) -> io::Result<f64> {
        let times = if quick { Times::QUICK } else { Times::FULL };
        let mode = if let Self::FanOut { .. } = self { Mode::Broadcast } else { Mode::Echo };
        let key_exchange =
            if let Self::Handshakes(_, key_exchange) = self { key_exchange } else { KeyExchange::X25519 };
        let (server, target) = setup.start(mode, certificate, key_exchange, cores)?;
        let measured = match self {
            Self::Echo { payload_bytes, in_flight } => {
                measure(&mut Echo::start(target, CONNECTIONS, payload_bytes, in_flight)?, server.id(), times)
            }
            Self::FanOut { payload_bytes } => {
                measure(&mut FanOut::start(target, RECEIVERS, payload_bytes, IN_FLIGHT)?, server.id(), times)
            }
            Self::Handshakes(kind, _) => measure(&mut TlsHandshakes::new(target, kind)?, server.id(), times),
            Self::Idle => return idle_bytes(&server, target, if quick { 100..1000 } else { 1000..9000 }, false),
        };
        Ok(measured?.per_cpu_second())
    }
}

const CONNECTIONS: usize = 64;
const RECEIVERS: usize = 1000;
/// The number of messages in flight in a fan-out.
const IN_FLIGHT: usize = 16;
