//! What to start: our program, or a peer.

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_metadata::Message;
use clap::ValueEnum;

use crate::peers::{Mode, Peer};

/// A server in the comparison.
#[derive(Clone, Debug)]
pub enum TestedServer {
    /// A peer in Rust, by the path of the program `peer`.
    Rust(Peer, PathBuf),
    /// uWebSockets, by the path of its program.
    UWebSockets(PathBuf),
    /// Our program.
    Ours(PathBuf),
}

impl TestedServer {
    /// All there are, in the order of the table's columns.
    pub fn all(peer: &Path, ours: PathBuf) -> Vec<Self> {
        let mut all: Vec<Self> = Peer::value_variants().iter().map(|&name| Self::Rust(name, peer.into())).collect();
        if let Some(program) = option_env!("UWEBSOCKETS") {
            all.insert(1, Self::UWebSockets(program.into()));
        }
        all.push(Self::Ours(ours));
        all
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Rust(peer, _) => peer.name(),
            Self::UWebSockets(_) => "uWebSockets",
            Self::Ours(_) => "ours",
        }
    }

    /// What starts it with one worker, on any port, without compression; ours can be asked for it.
    pub fn command(&self, mode: Mode, deflate: bool) -> Command {
        match self {
            Self::Rust(peer, program) => {
                let mut command = Command::new(program);
                if let Some(value) = peer.to_possible_value() {
                    command.args([value.get_name(), mode.name()]);
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

/// What starts our program with so many workers, on any port. Compression is on unless it is turned off.
pub fn ours(program: &Path, mode: Mode, workers: usize) -> Command {
    let mut command = Command::new(program);
    command.arg(mode.name());
    if mode == Mode::Broadcast {
        command.args(["--to", "all"]);
    }
    command.args(["--listen", "127.0.0.1:0", "--quiet", "--workers", &workers.to_string()]);
    command
}

/// Builds our program as its package says for a release. Gives its path.
///
/// # Errors
/// It cannot be built; what is wrong cargo has printed.
pub fn build_ours() -> io::Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--bin", "switchboard", "--message-format", "json-render-diagnostics"]);
    let mut cargo = command.arg("--manifest-path").arg(manifest).stdout(Stdio::piped()).spawn()?;
    let output = cargo.stdout.take().ok_or_else(|| io::Error::other("cargo's output is not ours"))?;
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
    program.ok_or_else(|| io::Error::other("cargo does not say where our program is"))
}

/// Why uWebSockets is not among the tested_servers, where it is not.
pub const UWEBSOCKETS_ABSENT: Option<&str> = option_env!("UWEBSOCKETS_ABSENT");
/// uWebSockets carries no version in its sources; this is the package that they come in.
pub const UWEBSOCKETS_VERSION: &str = "v20 (C++, as in libuwebsockets-sys 0.0.10)";
