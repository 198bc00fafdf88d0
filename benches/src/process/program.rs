//! The programs to test: ours, and the peers.

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_metadata::Message;
use clap::ValueEnum;

use crate::peers::{Code, Mode, Peer};

/// A server in the comparison.
#[derive(Clone, Debug)]
pub enum TestedServer {
    /// A server in Rust, by the path of the program `peer`.
    Rust(Peer, Code, PathBuf),
    /// uWebSockets, by the path of its program.
    UWebSockets(PathBuf),
    /// Our program.
    Ours(PathBuf),
}

impl TestedServer {
    /// Returns the servers of the bench `servers`, in the order of the table's columns.
    pub fn all(peer: &Path, ours: PathBuf) -> Vec<Self> {
        let mut all: Vec<Self> = Peer::SERVERS.map(|name| Self::Rust(name, Code::Tuned, peer.into())).into();
        if let Some(program) = option_env!("UWEBSOCKETS") {
            all.insert(1, Self::UWebSockets(program.into()));
        }
        all.push(Self::Ours(ours));
        all
    }

    /// Returns the servers of the bench `tokio`, in the order of the table's columns.
    pub fn on_tokio(peer: &Path, code: Code) -> Vec<Self> {
        Peer::ON_TOKIO.map(|name| Self::Rust(name, code, peer.into())).into()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Rust(peer, ..) => peer.name(),
            Self::UWebSockets(_) => "uWebSockets",
            Self::Ours(_) => "ours",
        }
    }

    /// Returns the command that starts the server with one worker, on any free port. `deflate` turns compression on, in
    /// our server only.
    pub fn command(&self, mode: Mode, deflate: bool) -> Command {
        match self {
            Self::Rust(peer, code, program) => {
                let mut command = Command::new(program);
                if let Some(value) = peer.to_possible_value() {
                    command.args([value.get_name(), mode.name(), "--code", code.name()]);
                }
                command
            }
            Self::UWebSockets(program) => {
                let mut command = Command::new(program);
                command.arg(mode.name());
                command
            }
            Self::Ours(program) => {
                let mut command = ours(program, mode, 1);
                if !deflate {
                    command.arg("--no-deflate");
                }
                command
            }
        }
    }
}

/// Lets a program of ours or of a peer speak TLS.
pub fn speak_tls(command: &mut Command, chain: &Path, key: &Path) {
    command.arg("--tls-cert").arg(chain).arg("--tls-key").arg(key);
}

/// Returns the command that starts our program with `workers` workers, on any free port. Compression is on by default.
pub fn ours(program: &Path, mode: Mode, workers: usize) -> Command {
    let mut command = Command::new(program);
    command.arg(mode.name());
    if mode == Mode::Broadcast {
        command.args(["--to", "all"]);
    }
    command.args(["--listen", "127.0.0.1:0", "--quiet", "--workers", &workers.to_string()]);
    // All clients are on this machine.
    command.args(["--max-connections-per-address", "0"]);
    command
}

/// Builds our program with its package's release profile. Returns its path.
///
/// # Errors
/// The build fails; cargo has printed why.
pub fn build_ours() -> io::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--bin", "switchboard", "--message-format", "json-render-diagnostics"]);
    let mut cargo = command.arg("--manifest-path").arg(manifest).stdout(Stdio::piped()).spawn()?;
    let output = cargo.stdout.take().ok_or_else(|| io::Error::other("cargo's output is not piped"))?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(output)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == "switchboard"
        {
            program = artifact.executable.map(PathBuf::from).or(program);
        }
    }
    if !cargo.wait()?.success() {
        return Err(io::Error::other("our program cannot be built"));
    }
    program.ok_or_else(|| io::Error::other("cargo does not print the path of our program"))
}

/// The reason why uWebSockets is not tested, if it is not.
pub const UWEBSOCKETS_ABSENT: Option<&str> = option_env!("UWEBSOCKETS_ABSENT");
/// uWebSockets has no version in its sources; this names the package that contains them.
pub const UWEBSOCKETS_VERSION: &str = "v20 (C++, as in libuwebsockets-sys 0.0.10)";
