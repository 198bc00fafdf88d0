//! Servers in processes of their own, whose memory, descriptors and time are those of the server alone.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::server::{LONG, Raw, TestServer};

/// A server in a process of its own; killed when dropped.
pub(crate) struct Apart {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Runs this test program again with nothing but the test `name`, which must come here at once: there it becomes the
/// server, and here it gets a handle to that.
pub(crate) fn apart(name: &str, serve: impl FnOnce() -> TestServer) -> Apart {
    if std::env::var(BECOMES).is_ok_and(|wanted| wanted == name) {
        let server = serve();
        println!("\n{GREETING}{}", server.address);
        // Whoever started it is gone when this ends.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    }
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new(this);
    command.args([name, "--exact", "--nocapture"]).env(BECOMES, name);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (said, address) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(GREETING) {
                let _ = said.send(address.parse().unwrap());
            }
        }
    });
    let address = address.recv_timeout(LONG).unwrap_or_else(|_| panic!("{name} becomes no server"));
    Apart { child, address }
}

/// Set to the name of the test in the process that becomes its server.
const BECOMES: &str = "SWITCHBOARD_TEST_BECOMES";
const GREETING: &str = "server at ";

impl Apart {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A peer of raw bytes whose handshake is done.
    pub(crate) fn raw(&self) -> Raw {
        open(Raw::connect(self.address))
    }

    /// The same with a small receive buffer.
    pub(crate) fn narrow(&self) -> Raw {
        open(Raw::connect_narrow(self.address))
    }
}

/// The peer, with its handshake done.
pub(crate) fn open(mut raw: Raw) -> Raw {
    raw.shake_hands();
    raw
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Bytes of memory that a process has in use.
pub(crate) fn memory(id: u32) -> usize {
    status(id, "VmRSS:")
}

/// The most memory that it ever had in use.
pub(crate) fn peak_of_memory(id: u32) -> usize {
    status(id, "VmHWM:")
}

/// The most address space that it ever had, in bytes.
pub(crate) fn peak_of_address_space(id: u32) -> usize {
    status(id, "VmPeak:")
}

fn status(id: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// How many files and sockets it has open.
pub(crate) fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// The number that the next file or socket would get.
pub(crate) fn next_descriptor(id: u32) -> u64 {
    (0..).find(|number| fs::symlink_metadata(format!("/proc/{id}/fd/{number}")).is_err()).expect("a free number")
}

/// Waits until it has as many.
#[track_caller]
pub(crate) fn wait_for_descriptors(id: u32, count: usize) {
    let started = Instant::now();
    while descriptors(id) != count {
        assert!(started.elapsed() < LONG, "{} descriptors, not {count}", descriptors(id));
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// The time that it has spent computing.
pub(crate) fn cpu_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the name, field 2, is in parentheses.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}
