//! CPU time and memory of a process, from /proc.

use std::{
    fs, io,
    ops::{Add, Sub},
};

/// CPU time that a process has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// User and system time of all threads that are running now, in nanoseconds. Exact.
    pub nanoseconds: u64,
    /// Samples that found the process in user mode.
    pub user_ticks: u64,
    /// Samples that found the process in the kernel.
    pub system_ticks: u64,
}

impl CpuTime {
    /// Returns the CPU time that the process `pid` has used so far.
    ///
    /// # Errors
    /// The process has ended, or its files in /proc cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let nanoseconds = nanoseconds(pid, |_| true)?;
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, the program's name in brackets, may contain spaces and brackets. In the fields after it,
        // the 12th and 13th are utime and stime (fields 14 and 15).
        let mut fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let user_ticks = number(fields.next(), "stat")?;
        Ok(Self { nanoseconds, user_ticks, system_ticks: number(fields.next(), "stat")? })
    }

    /// Estimates the time in user mode, in nanoseconds, from samples. Good after some seconds of CPU.
    pub fn user_nanoseconds(self) -> f64 {
        let ticks = self.user_ticks + self.system_ticks;
        if ticks == 0 { 0.0 } else { self.nanoseconds as f64 * self.user_ticks as f64 / ticks as f64 }
    }
}

impl Add for CpuTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds + other.nanoseconds,
            user_ticks: self.user_ticks + other.user_ticks,
            system_ticks: self.system_ticks + other.system_ticks,
        }
    }
}

impl Sub for CpuTime {
    type Output = Self;

    /// `self` is the later value.
    fn sub(self, other: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds.saturating_sub(other.nanoseconds),
            user_ticks: self.user_ticks.saturating_sub(other.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(other.system_ticks),
        }
    }
}

/// Returns the CPU time that the threads named `name` have used so far, in nanoseconds.
///
/// # Errors
/// The process has ended, or its files in /proc cannot be read.
pub fn thread_nanoseconds(pid: u32, name: &str) -> io::Result<u64> {
    // The kernel keeps the first 15 bytes of a name.
    let kept = &name[..name.len().min(15)];
    nanoseconds(pid, |thread| thread == kept)
}

/// Returns the number of bytes that the process has caused to be written to disks.
///
/// # Errors
/// The process has ended, or its files in /proc cannot be read.
pub fn written_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    number(text.lines().find_map(|line| line.strip_prefix("write_bytes: ")), "io")
}

/// Returns the CPU time of the threads whose names are wanted.
fn nanoseconds(pid: u32, wanted: impl Fn(&str) -> bool) -> io::Result<u64> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = task?.path();
        let read = |file: &str| fs::read_to_string(folder.join(file));
        match read("comm").and_then(|name| Ok((name, read("schedstat")?))) {
            Ok((name, _)) if !wanted(name.trim_end()) => {}
            Ok((_, text)) => nanoseconds += number(text.split_whitespace().next(), "schedstat")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {} // a thread that has just ended
            Err(error) => return Err(error),
        }
    }
    Ok(nanoseconds)
}

/// Returns the process's anonymous resident memory (RssAnon), in bytes.
pub(super) fn resident_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    Ok(number(line.and_then(|line| line.split_whitespace().next()), "status")? << 10)
}

fn number(text: Option<&str>, file: &str) -> io::Result<u64> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/…/{file} has an unknown format")))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_works_uses_cpu_and_memory() {
        let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let used = loop {
            let used = CpuTime::of(busy.id()).unwrap();
            if used.user_ticks + used.system_ticks >= 5 {
                break used;
            }
        };
        let (thread, other) = (thread_nanoseconds(busy.id(), "sh"), thread_nanoseconds(busy.id(), "s"));
        let (resident, written) = (resident_bytes(busy.id()), written_bytes(busy.id()));
        busy.kill().unwrap();
        busy.wait().unwrap();
        // Five ticks are 50 ms, or less where the kernel samples more often.
        assert!((1_000_000..10_000_000_000).contains(&used.nanoseconds), "{used:?}");
        assert!((1.0..=used.nanoseconds as f64).contains(&used.user_nanoseconds()), "{used:?}");
        assert!(thread.unwrap() >= used.nanoseconds);
        assert_eq!((other.unwrap(), written.unwrap()), (0, 0));
        assert!(resident.unwrap() > 4096);
    }
}
