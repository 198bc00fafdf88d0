//! The choices that a seed makes before its run begins: the server's configuration, the network, and the clients.

use std::{sync::Arc, time::Duration};

use super::super::{Config, SlowSubscriber, addresses::Addresses, worker::Capacity};
use crate::reactor::simulated::{Faults, MILLISECOND, Random, SECOND, Time, Wire};
#[cfg(feature = "deflate")]
use crate::{Deflate, DeflateConfig};

/// The focus of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Profile {
    /// Nothing goes wrong, and nothing waits for long.
    Calm,
    /// Connections stall for a while, or for good.
    Lossy,
    /// Peers read little, late or nothing.
    SlowReaders,
    /// Much is sent, to peers and between workers with small mailboxes.
    Floods,
    /// Peers end or reset connections, or break the protocol, at any point.
    Cuts,
    /// The server is stopped during the run.
    Stop,
    /// More connections than the server accepts.
    Crowd,
    /// A memory limit below what the peers would fill.
    Memory,
}

pub(super) const PROFILES: [Profile; 8] = [
    Profile::Calm,
    Profile::Lossy,
    Profile::SlowReaders,
    Profile::Floods,
    Profile::Cuts,
    Profile::Stop,
    Profile::Crowd,
    Profile::Memory,
];

/// How a client behaves, above all how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Behavior {
    /// Closes once it has sent everything.
    Closes,
    /// The same, and ends its side of TCP right after its Close frame.
    ClosesAndEnds,
    /// Asks the app to close.
    RequestsClose,
    /// The same, and does not answer the Close frame.
    IgnoresClose,
    /// Ends its side of TCP without a Close frame.
    Ends,
    /// Resets the TCP connection.
    Resets,
    /// Stops exchanging any bytes, in both directions, without an end.
    Vanishes,
    /// Stops reading.
    StopsReading,
    /// Begins a message, and answers Pings, but sends nothing more.
    StopsInMessage,
    /// Breaks a rule of the protocol.
    BreaksProtocol,
    /// Speaks plain HTTP.
    PlainHttp,
    /// Sends a part of its request.
    StopsInRequest,
    /// Sends nothing at all.
    Silent,
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadRate {
    /// Everything, at once.
    Eager,
    /// At most `bytes` at a time, with a pause of `every`.
    Slow { bytes: usize, every: Time },
}

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) profile: Profile,
    pub(super) workers: usize,
    pub(super) config: Config,
    /// For each of [`TOPICS`], the policy that the app chooses; `None` if it leaves that to the configuration.
    policies: [Option<SlowSubscriber>; TOPICS.len()],
    pub(super) capacity: Capacity,
    pub(super) faults: Faults,
    pub(super) mailbox_bytes: usize,
    pub(super) buffer_bytes: usize,
    pub(super) clients: usize,
    pub(super) stop_at: Option<Time>,
    /// The longest delay of a worker's turn after something became ready.
    pub(super) longest_wait: Time,
    /// All connections speak TLS.
    pub(super) is_tls: bool,
    /// Workers pause, sometimes in the worst moment.
    pub(super) has_pauses: bool,
    pub(super) pauses: Vec<Pause>,
}

/// A time in which a worker does not serve its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) at: Time,
    pub(super) length: Time,
    /// `None` means all workers.
    pub(super) worker: Option<usize>,
    pub(super) cause: PauseCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PauseCause {
    /// The worker is not scheduled: the process is stopped or the machine is suspended.
    Suspended,
    /// The worker computes.
    Slow,
}

impl Setting {
    /// Lets all connections speak TLS.
    #[cfg(feature = "tls")]
    pub(super) fn secured(mut self) -> Self {
        self.is_tls = true;
        self.config.tls = Some(super::transport::tls::server());
        // The longest message of TLS must fit.
        self.buffer_bytes = self.buffer_bytes.max(80_000);
        self
    }

    pub(super) fn new(profile: Profile, random: &mut Random) -> Self {
        let mut config = Config {
            handshake_timeout: Duration::from_secs(4),
            keep_alive_timeout: Duration::from_secs(3),
            ping_after: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(6),
            close_timeout: Duration::from_secs(2),
            linger_timeout: Duration::from_secs(1),
            write_timeout: Duration::from_secs(4),
            message_timeout: Duration::from_secs(4),
            stop_timeout: Duration::from_secs(2),
            ..Config::default()
        };
        config.workers = 1 + random.below(3);
        config.limits.max_message_bytes = 100_000;
        config.limits.max_frame_bytes = 90_000;
        config.limits.max_empty_frames = 20;
        if profile != Profile::Calm {
            config.max_queued_bytes = [500, 5_000, 40_000, 1 << 20][random.below(4)];
            config.slow_subscriber = [SlowSubscriber::Close, SlowSubscriber::Skip][random.below(2)];
        }
        if profile == Profile::Memory {
            config.max_worker_bytes = [2_000, 20_000, 100_000][random.below(3)];
        }
        #[cfg(feature = "deflate")]
        {
            config.deflate = Some(deflate(random)).filter(|_| random.chance(3, 4));
        }
        let mut policies = [None; TOPICS.len()];
        // From a generator of its own, so that older seeds keep their runs.
        let mut own = random.clone();
        if own.chance(1, 2) {
            let choice = if profile == Profile::Calm { &POLICIES[..3] } else { &POLICIES };
            policies = policies.map(|_| Some(choice[own.below(choice.len())]));
        }
        let clients = 2 + random.below(9);
        if profile == Profile::Crowd && random.chance(1, 2) {
            config.max_connections_per_address = Some(1 + random.below(4));
        }
        let addresses = Arc::new(Addresses::new(&config));
        let has_pauses = random.chance(1, 2);
        let capacity = match profile {
            Profile::Crowd => Capacity { connections: 1 + random.below(3), over_capacity: random.below(3), addresses },
            _ => Capacity { connections: usize::MAX, over_capacity: 10, addresses },
        };
        Self {
            profile,
            workers: config.workers,
            config,
            policies,
            capacity,
            faults: Faults {
                spurious: [0, 10, 50][random.below(3)],
                interrupts: [0, 2, 20][random.below(3)],
                arrivals: [0, 5, 30][random.below(3)],
                refused_accepts: [0, 0, 30][random.below(3)],
                reports_all: random.chance(1, 2),
            },
            mailbox_bytes: if profile == Profile::Floods { [300, 3_000][random.below(2)] } else { 1 << 20 },
            is_tls: false,
            buffer_bytes: [64, 500, 4096, 65_536][random.below(4)],
            clients,
            stop_at: (profile == Profile::Stop).then(|| random.below(3 * SECOND as usize) as Time),
            longest_wait: [10, MILLISECOND, 50 * MILLISECOND][random.below(3)],
            has_pauses,
            pauses: if has_pauses { pauses(random) } else { Vec::new() },
        }
    }

    /// Returns the policy that the app chooses for a topic, if it does.
    pub(super) fn chosen_policy(&self, topic: &str) -> Option<SlowSubscriber> {
        TOPICS.iter().position(|name| *name == topic).and_then(|place| self.policies[place])
    }

    /// Returns the policy of a topic.
    pub(super) fn policy(&self, topic: &str) -> SlowSubscriber {
        self.chosen_policy(topic).unwrap_or(self.config.slow_subscriber)
    }

    /// Returns the compression that a client offers, if any.
    #[cfg(feature = "deflate")]
    pub(super) fn client_deflate(&self, random: &mut Random) -> Option<Deflate> {
        Some(Deflate::new(deflate(random))).filter(|_| random.chance(1, 2))
    }

    pub(super) fn behavior(&self, random: &mut Random) -> Behavior {
        const HONEST: [Behavior; 6] = [
            Behavior::Closes,
            Behavior::Closes,
            Behavior::Closes,
            Behavior::ClosesAndEnds,
            Behavior::RequestsClose,
            Behavior::PlainHttp,
        ];
        const LOSSY: [Behavior; 3] = [Behavior::Vanishes, Behavior::StopsInMessage, Behavior::IgnoresClose];
        const SLOW: [Behavior; 2] = [Behavior::StopsReading, Behavior::IgnoresClose];
        const CUTS: [Behavior; 5] =
            [Behavior::Ends, Behavior::Resets, Behavior::BreaksProtocol, Behavior::StopsInRequest, Behavior::Silent];
        let special: &[Behavior] = match self.profile {
            Profile::Calm | Profile::Crowd => &[],
            Profile::Lossy => &LOSSY,
            Profile::SlowReaders | Profile::Memory => &SLOW,
            Profile::Floods => &[Behavior::StopsReading, Behavior::Resets],
            Profile::Cuts => &CUTS,
            Profile::Stop => &[Behavior::IgnoresClose, Behavior::Vanishes, Behavior::Silent],
        };
        let special = if random.chance(1, 2) { special } else { &[] };
        if special.is_empty() { HONEST[random.below(HONEST.len())] } else { special[random.below(special.len())] }
    }

    pub(super) fn read_rate(&self, down: Wire, random: &mut Random) -> ReadRate {
        match self.profile {
            Profile::SlowReaders | Profile::Memory | Profile::Floods if random.chance(1, 2) => {
                let bytes = 1 + random.below(3000);
                // At least ten thousand bytes per second.
                let longest = 100 * bytes.min(down.receive_buffer);
                ReadRate::Slow { bytes, every: 1 + random.below(longest) as Time }
            }
            _ => ReadRate::Eager,
        }
    }

    pub(super) fn wire(&self, random: &mut Random) -> Wire {
        let mut room = || [64, 300, 2_000, 16_384, 65_536][random.below(5)];
        let (send_buffer, receive_buffer) = (room(), room());
        let least = send_buffer.min(receive_buffer) / 8;
        let piece = [least, least * 3, usize::MAX][random.below(3)];
        // Full buffers on both sides are delivered within about half a second.
        let longest = 500_000 * piece.min(receive_buffer) / (send_buffer + receive_buffer);
        let delay = [10, MILLISECOND, 10 * MILLISECOND, 30 * MILLISECOND][random.below(4)];
        Wire { send_buffer, receive_buffer, delay: delay.min(longest as Time), piece }
    }

    /// Returns how many messages a client sends.
    pub(super) fn messages(&self, random: &mut Random) -> usize {
        random.below(if self.profile == Profile::Floods { 40 } else { 16 })
    }

    /// Returns the length of a message, suited to the client's wire.
    pub(super) fn length(&self, wire: Wire, random: &mut Random) -> usize {
        let max = 20 * wire.send_buffer.min(wire.receive_buffer);
        let length = [0, 1, 30, 100, 126, 300, 2_000, 20_000, 70_000][random.below(9)];
        let large = matches!(self.profile, Profile::Floods | Profile::Memory | Profile::SlowReaders);
        if length >= 20_000 && !large && random.chance(3, 4) { 10 } else { length.min(max) }
    }
}

impl Pause {
    pub(super) fn random(at: Time, worker: Option<usize>, random: &mut Random) -> Self {
        let cause = [PauseCause::Suspended, PauseCause::Slow][random.below(2)];
        let length = match cause {
            PauseCause::Suspended => [5, 12, 40][random.below(3)] * SECOND,
            PauseCause::Slow => [300 * MILLISECOND, 5 * SECOND, 25 * SECOND][random.below(3)],
        };
        Self { at, length, worker, cause }
    }
}

/// Returns the pauses that do not depend on the clients.
fn pauses(random: &mut Random) -> Vec<Pause> {
    let count = random.below(4);
    let pause = |_| {
        let (at, worker) = (random.below(12 * SECOND as usize) as Time, random.chance(1, 2).then(|| random.below(3)));
        Pause::random(at, worker, random)
    };
    (0..count).map(pause).collect()
}

/// Returns a random configuration, with extreme values.
#[cfg(feature = "deflate")]
fn deflate(random: &mut Random) -> DeflateConfig {
    DeflateConfig {
        level: [1, 1, 0, 6, 9][random.below(5)],
        min_bytes: [0, 30, 256][random.below(3)],
        max_bytes: [1000, 1 << 20][random.below(2)],
        memory_bytes: [0, 0, 40_000, 400_000, 10 << 20][random.below(5)],
        max_unfinished: [0, 1, 16][random.below(3)],
    }
}

pub(super) const TOPICS: [&str; 3] = ["hall", "yard", "roof"];
/// The last one also drops messages for a peer that is not slow, of one turn.
const POLICIES: [SlowSubscriber; 4] =
    [SlowSubscriber::Close, SlowSubscriber::Skip, SlowSubscriber::DropOldest, SlowSubscriber::Latest];
