//! The server under test as a process: started on a core of its own, and killed when dropped.
//!
//! | file | what |
//! |---|---|
//! | `cores.rs` | the cores of the server and of the load generator |
//! | `figures.rs` | CPU time and memory from /proc |
//! | `program.rs` | the programs: ours, and the peers |

mod cores;
mod figures;
mod program;

use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

pub use cores::Cores;
pub use figures::{CpuTime, thread_nanoseconds, written_bytes};
pub use program::{TestedServer, UWEBSOCKETS_ABSENT, UWEBSOCKETS_VERSION, build_ours, ours, speak_tls};

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// Kept open, so that a server can print without an error.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts `command` on `cores` and waits for the line with the server's address. The line's last word is an address
    /// or a URL with one.
    ///
    /// # Errors
    /// The server cannot be started, or does not print its address.
    pub fn start(mut command: Command, cores: &[usize]) -> io::Result<Self> {
        // In a process group of its own, as Ctrl-C in a terminal would otherwise end it before us.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = cores::run_on(cores, || command.spawn())?;
        let mut output =
            BufReader::new(child.stdout.take().ok_or_else(|| io::Error::other("the server's output is not piped"))?);
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let url = line.split_whitespace().last().unwrap_or_default();
        let address = url.split_once("://").map_or(url, |(_, address)| address);
        match address.trim_end_matches('/').parse() {
            Ok(address) => Ok(Self { child, address, _output: output }),
            Err(_) => {
                child.kill()?;
                child.wait()?;
                read?;
                Err(io::Error::other(format!("{command:?} prints {line:?} instead of its address")))
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends SIGTERM and waits until the server has ended.
    ///
    /// # Errors
    /// The server does not end in time, or ends with a failure.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::TERM)?;
        let timeout = Timespec::try_from(STOP_TIMEOUT).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&timeout))? == 0 {
            return Err(io::Error::other("the server does not end after SIGTERM"));
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the server ends with {status}"))) }
    }

    /// The id of the server's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the server's anonymous resident memory, in bytes. Mapped files and the kernel's memory do not count.
    ///
    /// # Errors
    /// The server has ended, or its files in /proc cannot be read.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        figures::resident_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than our server ever takes.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
