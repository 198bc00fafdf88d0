//! The answer of a chat to questions about itself.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use switchboard::Remote;

/// The answer to `switchboard infos`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Infos {
    version: String,
    pid: u32,
    /// In the form of RFC 3339.
    started: String,
    uptime_seconds: u64,
    addresses: Vec<String>,
    data: PathBuf,
    settings: Option<PathBuf>,
    /// Open connections of each worker.
    connections: Vec<usize>,
    /// The sockets at the addresses, by their state in TCP. Empty where the system does not tell.
    sockets: BTreeMap<String, usize>,
    /// Each certificate in use, with its names and its end.
    certificates: Vec<String>,
    last_reload: Option<LastReload>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct LastReload {
    at: String,
    answer: String,
}

/// The process that serves a chat.
#[derive(Debug)]
pub(crate) struct Process {
    started: (SystemTime, Instant),
    addresses: Vec<SocketAddr>,
    data: PathBuf,
    settings: Option<PathBuf>,
    last_reload: Option<LastReload>,
}

impl Process {
    /// The process begins now.
    pub(crate) fn new(addresses: Vec<SocketAddr>, data: PathBuf, settings: Option<PathBuf>) -> Self {
        Self { started: (SystemTime::now(), Instant::now()), addresses, data, settings, last_reload: None }
    }

    /// Notes the answer to a reload.
    pub(crate) fn reloaded(&mut self, answer: String) {
        self.last_reload = Some(LastReload { at: at(SystemTime::now()), answer });
    }

    pub(crate) fn infos(&self, remote: &Remote, certificates: Vec<String>) -> Infos {
        Infos {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: at(self.started.0),
            uptime_seconds: self.started.1.elapsed().as_secs(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            data: self.data.clone(),
            settings: self.settings.clone(),
            connections: remote.connections_of_workers().collect(),
            sockets: sockets_at(&self.addresses),
            certificates,
            last_reload: self.last_reload.clone(),
        }
    }
}

/// Returns how many sockets of this machine are at these addresses, by their state in TCP.
#[cfg(target_os = "linux")]
fn sockets_at(addresses: &[SocketAddr]) -> BTreeMap<String, usize> {
    let mut sockets = BTreeMap::new();
    // All connections of a listener have its port, whatever their address.
    let tables = [procfs::net::tcp(), procfs::net::tcp6()];
    for entry in tables.into_iter().flatten().flatten() {
        if addresses.iter().any(|address| address.port() == entry.local_address.port()) {
            *sockets.entry(format!("{:?}", entry.state)).or_default() += 1;
        }
    }
    sockets
}

#[cfg(not(target_os = "linux"))]
fn sockets_at(_: &[SocketAddr]) -> BTreeMap<String, usize> {
    BTreeMap::new()
}

fn at(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl fmt::Display for Infos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = humantime::format_duration(Duration::from_secs(self.uptime_seconds));
        let (open, workers) = (self.connections.iter().sum::<usize>(), self.connections.len());
        let counts: Vec<_> = self.connections.iter().map(ToString::to_string).collect();
        let sockets: Vec<_> = self.sockets.iter().map(|(state, count)| format!("{count} {state}")).collect();
        writeln!(f, "version       {}", self.version)?;
        writeln!(f, "process       {}", self.pid)?;
        writeln!(f, "started       {}, {uptime} ago", self.started)?;
        writeln!(f, "addresses     {}", self.addresses.join(", "))?;
        writeln!(f, "data          {}", self.data.display())?;
        if let Some(settings) = &self.settings {
            writeln!(f, "settings      {}", settings.display())?;
        }
        writeln!(f, "connections   {open} open, on {workers} workers: {}", counts.join(", "))?;
        if !sockets.is_empty() {
            writeln!(f, "sockets       {}", sockets.join(", "))?;
        }
        for certificate in &self.certificates {
            writeln!(f, "certificate   {certificate}")?;
        }
        match &self.last_reload {
            Some(LastReload { at, answer }) => writeln!(f, "last reload   {at}: {answer}"),
            None => writeln!(f, "last reload   none"),
        }
    }
}
