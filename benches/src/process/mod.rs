//! The server under test as a process: started on a core of its own, asked for its address, ended when dropped.
//!
//! | file | what |
//! |---|---|
//! | `cores.rs` | which core serves and which one loads |
//! | `figures.rs` | CPU time and memory from /proc |
//! | `program.rs` | what to start: our program, or a peer |

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
pub use program::{TestedServer, UWEBSOCKETS_ABSENT, UWEBSOCKETS_VERSION, build_ours, ours};

/// A server that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// Kept open: a server that prints must not fail at it.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts `command` on these cores and waits for the line that says where it listens. The line's last word is an
    /// address or a URL of one.
    ///
    /// # Errors
    /// It cannot be started, or does not say where it listens.
    pub fn start(mut command: Command, cores: &[usize]) -> io::Result<Self> {
        // In a group of its own, or Ctrl-C in a terminal would end it before us.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = cores::run_on(cores, || command.spawn())?;
        let mut output = BufReader::new(child.stdout.take().ok_or_else(|| io::Error::other("the output is not ours"))?);
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
                Err(io::Error::other(format!("{command:?} does not say where it listens, but {line:?}")))
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It does not end in time, or not well.
    pub fn stop(mut self) -> io::Result<()> {
        let pid = Pid::from_child(&self.child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        kill_process(pid, Signal::TERM)?;
        let timeout = Timespec::try_from(STOPPED_WITHIN).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&timeout))? == 0 {
            return Err(io::Error::other("the server does not end"));
        }
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the server ends with {status}"))) }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its own memory that is resident, in bytes: neither files nor what the kernel keeps for it.
    ///
    /// # Errors
    /// It has ended, or the system does not say.
    pub fn resident_bytes(&self) -> io::Result<u64> {
        figures::resident_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than a server of ours takes at most.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
