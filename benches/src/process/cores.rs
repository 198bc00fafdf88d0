//! Assigns cores to the server and to the load generator: different ones if there are two.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a run.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The server's cores, in the order of use.
    pub servers: Vec<usize>,
    /// The load generator's core: the last one.
    pub load: usize,
}

impl Cores {
    /// Finds the cores that this process may use.
    ///
    /// # Errors
    /// A system call fails.
    pub fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut servers: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        let load = if servers.len() > 1 { servers.pop() } else { servers.first().copied() };
        let load = load.ok_or_else(|| io::Error::other("there is no core to run on"))?;
        Ok(Self { servers, load })
    }

    /// Pins this thread to the core of the load generator.
    ///
    /// # Errors
    /// A system call fails.
    pub fn pin_load(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &set(&[self.load]))?)
    }

    /// Describes the cores for the header of the tables.
    pub fn description(&self) -> String {
        let Self { servers, load } = self;
        if servers.contains(load) {
            return "server and load generator share the only core, so the figures mean little".into();
        }
        format!("servers on core {}, load generator on core {load}", servers[0])
    }

    /// Returns the cores for a server with `workers` workers. If there are too few, the load generator's is one of
    /// them.
    pub fn for_workers(&self, workers: usize) -> Vec<usize> {
        let mut cores = self.servers.clone();
        cores.push(self.load);
        cores.truncate(workers.max(1));
        cores
    }
}

/// Runs `start` on `cores`, which a process that it starts inherits, and then restores this thread's own cores.
pub(super) fn run_on<T>(cores: &[usize], start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before = sched_getaffinity(None)?;
    sched_setaffinity(None, &set(cores))?;
    let started = start();
    sched_setaffinity(None, &before)?;
    started
}

fn set(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    set
}
