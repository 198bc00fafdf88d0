//! A process as Linux shows it in `/proc`: its memory, descriptors and CPU time.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// The longest that a test waits for anything.
const LONG: Duration = Duration::from_secs(10);

/// The resident memory of a process, in bytes.
pub fn memory(id: u32) -> usize {
    status(id, "VmRSS:")
}

/// The most resident memory that a process has had, in bytes.
pub fn peak_of_memory(id: u32) -> usize {
    status(id, "VmHWM:")
}

/// The most address space that a process has had, in bytes.
pub fn peak_of_address_space(id: u32) -> usize {
    status(id, "VmPeak:")
}

fn status(id: u32, name: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// The number of files and sockets that a process has open.
pub fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// The descriptor that the next file or socket of a process will get.
pub fn next_descriptor(id: u32) -> u64 {
    (0..).find(|number| fs::symlink_metadata(format!("/proc/{id}/fd/{number}")).is_err()).expect("a free number")
}

/// Waits until a process has `count` descriptors.
///
/// # Panics
/// After 10 seconds.
#[track_caller]
pub fn wait_for_descriptors(id: u32, count: usize) {
    let started = Instant::now();
    while descriptors(id) != count {
        assert!(started.elapsed() < LONG, "{} descriptors, not {count}", descriptors(id));
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// The CPU time that a process has used.
pub fn cpu_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the name, field 2, is in parentheses.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}
