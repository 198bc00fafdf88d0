//! Starts servers, and measures them under load.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    chat_load::{ChatLoad, Pace},
    checker::Latency,
    clients::{Clients, Size},
    data_dir::DataDir,
    flood::{Flood, FloodKind, Stage},
};
use crate::{
    load::{Times, Work, measure},
    process::{Cores, Server, thread_nanoseconds, written_bytes},
};

/// Where the chat keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Memory,
    Durable,
}

/// The program, the machine and the size of a run.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) program: PathBuf,
    /// The directory in which data directories are created.
    pub(super) data_root: PathBuf,
    pub(super) cores: Cores,
    pub(super) size: Size,
    pub(super) times: Times,
}

/// The results of one run.
#[derive(Debug)]
pub(super) struct Measurement {
    /// Messages per second.
    pub(super) acknowledged: f64,
    /// Deliveries per second.
    pub(super) delivered: f64,
    /// CPU time of the server per message, in nanoseconds.
    pub(super) cpu: f64,
    /// The part of it that the chat thread has used.
    pub(super) chat_cpu: f64,
    /// The part of the time in which the server was busy.
    pub(super) busy: f64,
    /// From sending a message to each member's receipt, in nanoseconds.
    pub(super) delivery: Histogram<u64>,
    /// From sending a message to its acknowledgement, in nanoseconds.
    pub(super) acknowledgement: Histogram<u64>,
    /// How late messages were sent after their scheduled times, in nanoseconds; empty if the pace has no schedule.
    pub(super) lateness: Histogram<u64>,
    pub(super) disk: Option<DiskUsage>,
}

/// The disk usage of messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskUsage {
    /// Bytes that the server wrote during the measurement, per message acknowledged in it.
    pub(super) written: f64,
    /// The size of the data after the server has stopped.
    pub(super) bytes: u64,
    /// The number of all messages acknowledged in the run.
    pub(super) messages: u64,
}

/// The results of a run in which others flood the chat.
#[derive(Debug)]
pub(super) struct Flooded {
    /// From sending a message to each member's receipt, in nanoseconds.
    pub(super) delivery: Histogram<u64>,
    /// The part of the messages that the server has refused.
    pub(super) refused: f64,
    /// How late messages were sent after their scheduled times, in nanoseconds.
    pub(super) lateness: Histogram<u64>,
    /// What the flood has got per second: see [`Flood::got`].
    pub(super) got: f64,
}

impl Storage {
    pub(super) const ALL: [Self; 2] = [Self::Memory, Self::Durable];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Memory => "in memory",
            Self::Durable => "durable",
        }
    }
}

impl Runner {
    /// Starts a server, connects the users, and measures while they send messages.
    pub(super) fn run(&self, storage: Storage, pace: Pace) -> io::Result<Measurement> {
        let dir = self.create_data_dir(storage)?;
        let server = self.start(dir.as_ref())?;
        let clients = Clients::connect(server.address(), self.size)?;
        let mut load = ChatLoad::new(clients, pace)?;
        load.run_until(Instant::now() + self.times.warm_up)?;
        load.reset();
        let (chat, written) = (thread_nanoseconds(server.id(), CHAT_THREAD)?, written_bytes(server.id())?);
        let delivered = load.clients.checker.delivered();
        let measured = measure(&mut load, server.id(), Times { warm_up: Duration::ZERO, ..self.times })?;
        let delivered = load.clients.checker.delivered() - delivered;
        let chat = thread_nanoseconds(server.id(), CHAT_THREAD)? - chat;
        let written = written_bytes(server.id())? - written;

        let ChatLoad { mut clients, lateness, .. } = load;
        let Latency { delivery, acknowledgement } = clients.checker.latency.clone();
        clients.settle()?;
        let messages = clients.checker.acknowledged();
        let done = measured.done as f64;
        Ok(Measurement {
            acknowledged: done / measured.elapsed.as_secs_f64(),
            delivered: delivered as f64 / measured.elapsed.as_secs_f64(),
            cpu: measured.cpu.nanoseconds as f64 / done,
            chat_cpu: chat as f64 / done,
            busy: measured.busy(),
            delivery,
            acknowledgement,
            lateness,
            disk: stop(server, clients, dir)?.map(|bytes| DiskUsage {
                written: written as f64 / done,
                bytes,
                messages,
            }),
        })
    }

    /// Starts a server in memory, connects the users, and measures while they send messages and others flood the
    /// server.
    pub(super) fn run_flooded(&self, flood: Option<FloodKind>, stage: Stage, pace: Pace) -> io::Result<Flooded> {
        let server = self.start(None)?;
        let address = server.address();
        let room = stage.set_up(address, self.size)?;
        let mut clients = Clients::connect(address, self.size)?;
        clients.checker.allow_refusals();
        let flood = flood.map(|kind| Flood::begin(kind, address, self.size, stage, room)).transpose()?;
        let mut load = ChatLoad::new(clients, pace)?;
        load.flood = flood;
        load.run_until(Instant::now() + self.times.warm_up)?;
        load.reset();
        let got = |load: &ChatLoad| load.flood.as_ref().map_or(0, Flood::got);
        let (begin, got_before) = (Instant::now(), got(&load));
        load.run_until(begin + self.times.window)?;
        let got = (got(&load) - got_before) as f64 / begin.elapsed().as_secs_f64();

        // Late messages count with their full delay.
        load.flood = None;
        let ChatLoad { mut clients, lateness, .. } = load;
        clients.settle()?;
        let checker = &clients.checker;
        let refused = checker.refused() as f64 / (checker.refused() + checker.acknowledged()) as f64;
        let delivery = checker.latency.delivery.clone();
        stop(server, clients, None)?;
        Ok(Flooded { delivery, refused, lateness, got })
    }

    /// Returns the size of the data after all users have joined and before the first message.
    pub(super) fn baseline_bytes(&self) -> io::Result<u64> {
        let dir = self.create_data_dir(Storage::Durable)?;
        let server = self.start(dir.as_ref())?;
        let clients = Clients::connect(server.address(), self.size)?;
        Ok(stop(server, clients, dir)?.unwrap_or(0))
    }

    /// Measures how long it takes to write 4 KiB durably, in nanoseconds.
    pub(super) fn write_times(&self, count: u64) -> io::Result<Histogram<u64>> {
        DataDir::new(&self.data_root)?.write_times(count)
    }

    fn create_data_dir(&self, storage: Storage) -> io::Result<Option<DataDir>> {
        match storage {
            Storage::Memory => Ok(None),
            Storage::Durable => DataDir::new(&self.data_root).map(Some),
        }
    }

    /// Starts our program with one worker, and with limits too high to be reached.
    fn start(&self, data: Option<&DataDir>) -> io::Result<Server> {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--quiet", "--workers", "1", "--guests", "--data"]);
        command.arg(data.map_or(Path::new(":memory:"), DataDir::path));
        for limit in [
            "--sign-in-rate",
            "--sign-up-rate",
            "--entry-rate",
            "--event-rate",
            "--message-rate",
            "--conversation-rate",
        ] {
            command.args([limit, "1000000+1000000/s"]);
        }
        for limit in ["--max-rooms", "--max-owned-rooms"] {
            command.args([limit, "1000000"]);
        }
        // All clients are on this machine.
        command.args(["--max-connections-per-address", "0"]);
        Server::start(command, &self.cores.for_workers(1))
    }
}

/// Disconnects the users and stops the server. Returns the size of its data, if it is on a disk. The server has then
/// moved its write-ahead log into the database.
fn stop(server: Server, clients: Clients, dir: Option<DataDir>) -> io::Result<Option<u64>> {
    drop(clients);
    server.stop()?;
    dir.map(|dir| dir.bytes()).transpose()
}

/// The name of the thread that handles all commands and writes to the database.
const CHAT_THREAD: &str = "switchboard-chat";
