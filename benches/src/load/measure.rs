//! Warms up, then counts work and the server's CPU time.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::process::CpuTime;

/// A load, and how much of it is done.
pub trait Work {
    /// Works until `deadline`.
    ///
    /// # Errors
    /// The server sends a wrong answer or closes a connection, or a system call fails.
    fn run_until(&mut self, deadline: Instant) -> io::Result<()>;

    /// The number of messages answered or delivered, or of handshakes, so far.
    fn done(&self) -> u64;
}

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm_up: Duration,
    pub window: Duration,
}

impl Times {
    /// For figures.
    pub const FULL: Self = Self { warm_up: Duration::from_millis(250), window: Duration::from_millis(1000) };
    /// For a check that everything works.
    pub const QUICK: Self = Self { warm_up: Duration::from_millis(20), window: Duration::from_millis(80) };
}

/// The work and the CPU time of the window.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    pub done: u64,
    pub cpu: CpuTime,
    pub elapsed: Duration,
}

impl Measurement {
    /// Work per second of the server's CPU.
    pub fn per_cpu_second(&self) -> f64 {
        self.done as f64 * 1e9 / self.cpu.nanoseconds as f64
    }

    /// The share of the time that the server was busy: 1 is one core, all the time.
    pub fn busy(&self) -> f64 {
        self.cpu.nanoseconds as f64 / self.elapsed.as_nanos() as f64
    }
}

/// Measures work that has begun, and the CPU time of the server that does it. `process` is the server's process id. A
/// window in which nothing is done is prolonged.
///
/// # Errors
/// The work fails, or the server does none of it.
pub fn measure(work: &mut (impl Work + ?Sized), process: u32, times: Times) -> io::Result<Measurement> {
    work.run_until(Instant::now() + times.warm_up)?;
    let (begin, cpu, done) = (Instant::now(), CpuTime::of(process)?, work.done());
    work.run_until(begin + times.window)?;
    // On a busy machine a short window may be too short for a single piece of work.
    while work.done() == done && begin.elapsed() < PATIENCE {
        work.run_until(Instant::now() + times.window)?;
    }
    let measured = Measurement { done: work.done() - done, cpu: CpuTime::of(process)? - cpu, elapsed: begin.elapsed() };
    if measured.done == 0 || measured.cpu.nanoseconds == 0 {
        return Err(io::Error::other("the server did nothing"));
    }
    Ok(measured)
}

/// The longest time without work.
const PATIENCE: Duration = Duration::from_secs(10);
