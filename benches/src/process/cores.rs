//! Which core serves and which one loads: two that do not disturb each other, where there are two.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a run.
#[derive(Clone, Debug)]
pub struct Cores {
    /// For the server, in the order in which they are to be used.
    pub servers: Vec<usize>,
    /// For the load generator: the last.
    pub load: usize,
}

impl Cores {
    /// Those that this process may use.
    ///
    /// # Errors
    /// What the system says.
    pub fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut servers: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        let load = if servers.len() > 1 { servers.pop() } else { servers.first().copied() };
        let load = load.ok_or_else(|| io::Error::other("there is no core to run on"))?;
        Ok(Self { servers, load })
    }

    /// Keeps this thread to the core of the load generator.
    ///
    /// # Errors
    /// What the system says.
    pub fn pin_load(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &set(&[self.load]))?)
    }

    /// Which they are, for the head of a table.
    pub fn description(&self) -> String {
        let Self { servers, load } = self;
        if servers.contains(load) {
            return "server and load generator share the only core: figures mean little".into();
        }
        format!("servers on core {}, load generator on core {load}", servers[0])
    }

    /// The cores for a server with so many workers: where there are too few, the load generator's is one of them.
    pub fn for_workers(&self, workers: usize) -> Vec<usize> {
        let mut cores = self.servers.clone();
        cores.push(self.load);
        cores.truncate(workers.max(1));
        cores
    }
}

/// Runs `start` on these cores, which what it starts inherits, and goes back to where this thread was.
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
