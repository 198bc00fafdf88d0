//! The servers in the comparison.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Certificate;
use crate::{
    load::{KeyExchange, Target},
    peers::{Code, Mode, Peer},
    process::{Cores, Server, TestedServer, speak_tls},
};

/// A server in the comparison.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    tested_server: TestedServer,
    has_tls: bool,
}

impl TlsSetup {
    /// Returns all servers, in the order of the tables' columns. `peer` is the path of the program `peer`, `ours` that
    /// of ours.
    pub fn all(peer: &Path, ours: &Path) -> Vec<Self> {
        let rust = |name| TestedServer::Rust(name, Code::Tuned, peer.into());
        let ours = || TestedServer::Ours(PathBuf::from(ours));
        vec![
            Self { tested_server: rust(Peer::BareRustls), has_tls: true },
            Self { tested_server: rust(Peer::Tungstenite), has_tls: true },
            Self { tested_server: rust(Peer::TokioWebsockets), has_tls: true },
            Self { tested_server: ours(), has_tls: false },
            Self { tested_server: ours(), has_tls: true },
        ]
    }

    pub fn name(&self) -> &'static str {
        if self.is_plain() { "ours without TLS" } else { self.tested_server.name() }
    }

    /// Whether this is our program.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.tested_server, TestedServer::Ours(_)) && self.has_tls
    }

    /// Whether this is our program without TLS.
    pub(super) fn is_plain(&self) -> bool {
        !self.has_tls
    }

    /// Whether this is rustls alone.
    pub(super) fn is_bare(&self) -> bool {
        matches!(self.tested_server, TestedServer::Rust(Peer::BareRustls, ..))
    }

    /// Starts the server. Returns it with what its clients connect to.
    pub(super) fn start(
        &self,
        mode: Mode,
        certificate: &Certificate,
        key_exchange: KeyExchange,
        cores: &Cores,
    ) -> io::Result<(Server, Target)> {
        let mut command = self.tested_server.command(mode, false);
        if self.has_tls {
            speak_tls(&mut command, &certificate.chain(), &certificate.key());
        }
        let server = Server::start(command, &cores.for_workers(1))?;
        let mut target = Target::from(server.address());
        if self.has_tls {
            target = target.over_tls(&certificate.chain(), key_exchange)?;
        }
        if self.is_bare() {
            target = target.without_websocket();
        }
        Ok((server, target))
    }
}
