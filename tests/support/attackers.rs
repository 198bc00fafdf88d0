//! Attacks on the memory of a server in a process of its own: many sockets that send too much or read too little, a
//! client that must be served meanwhile, and the memory of the process.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::{
    process::{cpu_time, memory, peak_of_memory},
    server::{LONG, OPENING, builder, round_trip},
};

/// Many sockets of clients that do not care what becomes of their connections.
///
/// They come from several addresses of the machine, 500 from each.
pub struct Attackers {
    sockets: Vec<TcpStream>,
}

impl Attackers {
    /// Connects `count` sockets.
    pub fn connect(address: SocketAddr, count: usize) -> Self {
        Self::connect_with(address, count, |_| {})
    }

    /// Connects `count` sockets for which the kernel takes only about 50 KB while the client does not read.
    pub fn connect_with_short_segments(address: SocketAddr, count: usize) -> Self {
        Self::connect_with(address, count, |socket| {
            socket.set_recv_buffer_size(4096).unwrap();
            socket.set_tcp_mss(1460).unwrap();
        })
    }

    fn connect_with(address: SocketAddr, count: usize, prepare: impl Fn(&Socket)) -> Self {
        let connect = |number: usize| {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
            let source = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number / PER_ADDRESS).unwrap());
            socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
            prepare(&socket);
            socket.connect_timeout(&address.into(), LONG).unwrap();
            let stream = TcpStream::from(socket);
            stream.set_nonblocking(true).unwrap();
            stream
        };
        Self { sockets: (0..count).map(connect).collect() }
    }

    /// Sends the same bytes on each socket. A socket that the server has closed is dropped.
    ///
    /// # Panics
    /// If the server takes nothing from any of them for ten seconds.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut sending: Vec<_> = self.sockets.drain(..).map(|socket| (socket, 0)).collect();
        let mut last_progress = Instant::now();
        while !sending.is_empty() {
            assert!(last_progress.elapsed() < LONG, "the server takes nothing more from {} attackers", sending.len());
            sending.retain_mut(|(socket, sent)| {
                loop {
                    match socket.write(&bytes[*sent..]) {
                        Ok(count) => {
                            *sent += count;
                            last_progress = Instant::now();
                            if *sent == bytes.len() {
                                return true;
                            }
                        }
                        Err(error) => return error.kind() == ErrorKind::WouldBlock,
                    }
                }
            });
            let (done, rest): (Vec<_>, _) = sending.into_iter().partition(|(_, sent)| *sent == bytes.len());
            self.sockets.extend(done.into_iter().map(|(socket, _)| socket));
            sending = rest;
            if !sending.is_empty() {
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }

    /// Reads what has arrived, at most `limit` bytes of each socket, and drops the sockets that have ended.
    pub fn read_at_most(&mut self, limit: usize) {
        let mut buffer = vec![0; limit];
        self.sockets.retain_mut(|socket| match socket.read(&mut buffer) {
            Ok(count) => count > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
    }

    /// Returns the number of sockets that are not known to have ended.
    pub fn left(&self) -> usize {
        self.sockets.len()
    }
}

/// Sockets from one address.
const PER_ADDRESS: usize = 500;
/// A process that takes hardly any CPU time for this long is idle.
const IDLE: Duration = Duration::from_millis(500);
/// How often a process is looked at.
const STEP: Duration = Duration::from_millis(100);

/// A client that sends a message and waits for its echo, again and again, while an attack runs.
pub struct Witness {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Witness {
    /// Connects to an echo server.
    pub fn start(url: &str) -> Self {
        let mut client = builder().connect(url).unwrap();
        round_trip(&mut client);
        Self::of(move || round_trip(&mut client))
    }

    /// Calls `ask` again and again, which panics if the client is not served.
    pub fn of(mut ask: impl FnMut() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut served = 0;
            while !end.load(Ordering::Relaxed) {
                ask();
                served += 1;
                thread::park_timeout(Duration::from_millis(20));
            }
            served
        });
        Self { is_over, thread }
    }

    /// Ends the client.
    ///
    /// # Panics
    /// If it was not served.
    #[track_caller]
    pub fn expect_served(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let served = self.thread.join().expect("a well-behaved client is served throughout the attack");
        assert!(served > 0);
    }
}

/// The memory of a process, from before an attack until after it.
pub struct MemoryWatch {
    id: u32,
    baseline: usize,
}

impl MemoryWatch {
    pub fn start(id: u32) -> Self {
        Self { id, baseline: memory(id) }
    }

    /// Waits until the process is idle, except for a witness: until it has read all that lies in its sockets, or
    /// stopped to read.
    ///
    /// # Panics
    /// After half a minute.
    #[track_caller]
    pub fn wait_until_idle(&self) {
        let started = Instant::now();
        let (mut used, mut peak, mut idle_since) = (cpu_time(self.id), peak_of_memory(self.id), started);
        while idle_since.elapsed() < IDLE {
            assert!(started.elapsed() < PATIENCE, "the server is not idle after {PATIENCE:?}");
            thread::park_timeout(STEP);
            let now = (cpu_time(self.id), peak_of_memory(self.id));
            // The clock of CPU time has steps of 10 ms.
            if now.0 - used > STEP / 5 || now.1 != peak {
                idle_since = Instant::now();
            }
            (used, peak) = now;
        }
    }

    /// The most memory that the process has had beyond that at the start, in bytes.
    pub fn peak(&self) -> usize {
        peak_of_memory(self.id) - self.baseline
    }

    /// Waits until the process has at most `limit` bytes more than at the start, but not longer than a minute. Returns
    /// how many it has more.
    pub fn settled_to(&self, limit: usize) -> usize {
        let started = Instant::now();
        loop {
            let more = memory(self.id).saturating_sub(self.baseline);
            if more <= limit || started.elapsed() > SETTLING {
                return more;
            }
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// A request of `length` bytes whose head does not end.
pub fn unfinished_head(length: usize) -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ".to_vec();
    head.resize(length, b'a');
    head
}

/// The request of an opening handshake for this target.
pub fn opening_of(target: &str) -> String {
    OPENING.replacen("GET / ", &format!("GET {target} "), 1)
}

const PATIENCE: Duration = Duration::from_secs(30);
const SETTLING: Duration = Duration::from_secs(60);
