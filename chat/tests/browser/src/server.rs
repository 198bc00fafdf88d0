//! The program under test, as an operator runs it.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use tempfile::TempDir;

use crate::process::{OutputStream, Process, StopSignal};

/// A running server with its own data. Dropping it ends the server and removes the data.
pub struct Server {
    process: Process,
    scheme: &'static str,
    address: SocketAddr,
    arguments: Vec<String>,
    data: TempDir,
}

impl Server {
    /// Starts a server on a free port, with these additional arguments.
    #[track_caller]
    pub fn start(arguments: &[&str]) -> Self {
        let data = TempDir::new().expect("a folder for its data");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let (process, scheme, address) = start(&arguments, &data, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { process, scheme, address, arguments, data }
    }

    /// Returns `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Makes the server read its certificates again.
    pub fn reload_certificates(&self) {
        self.process.hang_up();
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs a command of the program on the data, beside the server.
    #[track_caller]
    pub fn command(&self, arguments: &[&str]) {
        let ended = program().args(arguments).arg("--data").arg(self.data.path()).output().expect("the program runs");
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    }

    /// Copies the data, while nobody writes.
    pub fn copy_data(&self) -> DataCopy {
        DataCopy(DATA_FILES.map(|name| fs::read(self.data.path().join(name)).ok()))
    }

    /// Puts a copy of the data back into the same files, while the server is ended.
    pub fn put_back(&self, copy: &DataCopy) {
        for (name, content) in DATA_FILES.iter().zip(&copy.0) {
            let path = self.data.path().join(name);
            match content {
                Some(content) => fs::write(path, content).expect("the copy is put back"),
                None => match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
                    _ => {}
                },
            }
        }
    }

    /// Ends the server; `restart` starts it again.
    #[track_caller]
    pub fn end(&mut self, signal: StopSignal) {
        self.process.end(signal);
    }

    /// Starts the server again at the same address with the same data.
    #[track_caller]
    pub fn restart(&mut self) {
        let (process, _, address) = start(&self.arguments, &self.data, self.address);
        assert_eq!(address, self.address);
        self.process = process;
    }
}

/// A copy of the server's data: the contents of the files that exist.
pub struct DataCopy([Option<Vec<u8>>; 2]);

#[track_caller]
fn start(arguments: &Vec<String>, data: &TempDir, listen: SocketAddr) -> (Process, &'static str, SocketAddr) {
    let mut command = program();
    command.arg("--listen").arg(listen.to_string()).arg("--data").arg(data.path()).args(arguments);
    let process = Process::start(command.env_remove("RUST_LOG"), OutputStream::Stdout);
    let (scheme, address) = process.find_line(|line| {
        let (before, address) = line.rsplit_once("://")?;
        let scheme = if before.ends_with("https") { "https" } else { "http" };
        Some((scheme, address.trim_end_matches('/').parse().ok()?))
    });
    (process, scheme, address)
}

fn program() -> Command {
    Command::new(
        env::var_os("SWITCHBOARD").expect("SWITCHBOARD should name the program: chat/tests/browser/run does that"),
    )
}

const DATA_FILES: [&str; 2] = ["chat.sqlite3", "chat.sqlite3-wal"];
