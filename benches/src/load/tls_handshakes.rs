//! Handshakes of TLS alone, over some connections at a time, each of which is then reset. Never waits: each step goes
//! on with one connection.

use std::{
    io::{self, ErrorKind, Read, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mio::net::TcpStream;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use socket2::SockRef;

use super::{Target, Work, clients, transport::tls_client};

/// How far a handshake goes, and how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsHandshakeKind {
    /// With the server's certificate, until the server has sent a ticket.
    Full,
    /// With the ticket of an earlier handshake, until the server has sent another one.
    Resumed,
    /// The client sends its ClientHello, and leaves when the server has answered it.
    Aborted,
}

/// A load of handshakes. It includes the server's work for a connection's end.
#[derive(Debug)]
pub struct TlsHandshakes {
    target: Target,
    config: Arc<ClientConfig>,
    tickets: Arc<Tickets>,
    kind: TlsHandshakeKind,
    /// What a client sends if it goes no further.
    client_hello: Vec<u8>,
    places: Vec<Option<Place>>,
    /// The index of the place that has the next turn.
    next: usize,
    done: u64,
}

#[derive(Debug)]
struct Place {
    socket: TcpStream,
    /// The bytes that are not sent yet, if the client goes no further than that.
    client_hello: Vec<u8>,
    /// `None` if the client goes no further.
    connection: Option<Box<ClientConnection>>,
    /// What the handshake must be if the client goes on. The first ones have no tickets to resume with.
    expected: HandshakeKind,
}

impl TlsHandshakes {
    /// The number of connections at a time.
    pub const AT_ONCE: usize = clients::AT_ONCE;

    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The target does not speak TLS, or its configuration makes no sense.
    pub fn new(target: Target, kind: TlsHandshakeKind) -> io::Result<Self> {
        let config = target.tls.as_ref().ok_or_else(|| io::Error::other("the target does not speak TLS"))?;
        let keeps = kind == TlsHandshakeKind::Resumed;
        let tickets = Arc::new(Tickets { keeps, kept: Mutex::default(), count: AtomicU64::new(0) });
        let mut config = ClientConfig::clone(config);
        config.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
        let config = Arc::new(config);
        let mut client_hello = Vec::new();
        tls_client(&target, &config)?.write_tls(&mut client_hello)?;
        let places = (0..clients::AT_ONCE).map(|_| None).collect();
        Ok(Self { target, config, tickets, kind, client_hello, places, next: 0, done: 0 })
    }

    /// Goes on with one connection.
    ///
    /// # Errors
    /// A system call fails, or the server does not complete the handshake as it should.
    pub fn step(&mut self) -> io::Result<()> {
        let at = self.next;
        self.next = (at + 1) % self.places.len();
        match &mut self.places[at] {
            None => self.places[at] = Some(self.open()?),
            Some(place) => {
                if place.is_done(&self.tickets)? {
                    place.check()?;
                    self.done += u64::from(place.expected == self.kind.expected());
                    self.places[at] = None;
                }
            }
        }
        Ok(())
    }

    fn open(&self) -> io::Result<Place> {
        let socket = TcpStream::connect(self.target.address)?;
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        socket.set_nodelay(true)?;
        if self.kind == TlsHandshakeKind::Aborted {
            let (client_hello, expected) = (self.client_hello.clone(), self.kind.expected());
            return Ok(Place { socket, client_hello, connection: None, expected });
        }
        let expected =
            if self.tickets.change(|kept| kept.is_empty()) { HandshakeKind::Full } else { HandshakeKind::Resumed };
        let connection = tls_client(&self.target, &self.config)?;
        Ok(Place { socket, client_hello: Vec::new(), connection: Some(connection), expected })
    }
}

impl TlsHandshakeKind {
    fn expected(self) -> HandshakeKind {
        match self {
            Self::Full | Self::Aborted => HandshakeKind::Full,
            Self::Resumed => HandshakeKind::Resumed,
        }
    }
}

impl Work for TlsHandshakes {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            self.step()?;
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.done
    }
}

impl Place {
    /// Fails unless a complete handshake is the one that it should be.
    fn check(&self) -> io::Result<()> {
        let Self { connection: Some(connection), expected, .. } = self else { return Ok(()) };
        match connection.handshake_kind() {
            Some(seen) if seen == *expected => Ok(()),
            seen => Err(io::Error::other(format!("a handshake is {seen:?}, not {expected:?}"))),
        }
    }

    /// Goes on. Returns whether the client has seen all that it waits for.
    fn is_done(&mut self, tickets: &Tickets) -> io::Result<bool> {
        match self.go_on(tickets) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(false),
            result => result,
        }
    }

    fn go_on(&mut self, tickets: &Tickets) -> io::Result<bool> {
        let mut buffer = [0; 8 << 10];
        let Some(connection) = &mut self.connection else {
            while !self.client_hello.is_empty() {
                let length = self.socket.write(&self.client_hello)?;
                self.client_hello.drain(..length);
            }
            let length = self.socket.read(&mut buffer)?;
            return if buffer[..length].first() == Some(&HANDSHAKE) { Ok(true) } else { Err(ended()) };
        };
        while connection.wants_write() {
            connection.write_tls(&mut self.socket)?;
        }
        let before = tickets.count.load(Ordering::Relaxed);
        let length = self.socket.read(&mut buffer)?;
        let mut ciphertext = &buffer[..length];
        if ciphertext.is_empty() {
            return Err(ended());
        }
        while !ciphertext.is_empty() {
            connection.read_tls(&mut ciphertext)?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
        while connection.wants_write() {
            connection.write_tls(&mut self.socket)?;
        }
        Ok(tickets.count.load(Ordering::Relaxed) > before)
    }
}

fn ended() -> io::Error {
    io::Error::other("the server ends a handshake")
}

/// The tickets of all connections. Each is used once, as the protocol asks.
#[derive(Debug)]
struct Tickets {
    keeps: bool,
    kept: Mutex<Vec<Tls13ClientSessionValue>>,
    count: AtomicU64,
}

impl Tickets {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Tls13ClientSessionValue>) -> T) -> T {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.keeps {
            self.change(|kept| kept.push(ticket));
        }
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.change(Vec::pop)
    }
}

/// The type of a record of the handshake ([RFC 8446, §5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1)).
const HANDSHAKE: u8 = 22;
