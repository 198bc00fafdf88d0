//! Layer 1: sockets, readiness, wake-ups and time, on `mio`. Knows nothing of WebSocket.
//!
//! There is one [`Reactor`] per worker thread; they share nothing. The layer above gives it a [`Handler`] and calls
//! [`run`](Reactor::run). A **turn** is one iteration of the event loop. It waits for readiness, then passes to the
//! handler: ready sockets, new connections, mail from other threads, a check of the deadlines, and the end of the turn,
//! where the handler does its batched work.
//!
//! | file | what |
//! |---|---|
//! | `clock.rs` | [`Tick`]: coarse time in four bytes, without the gaps in which the thread did not run |
//! | `slots.rs` | [`Slots`], [`Key`]: values with an identity that is never used again |
//! | `socket.rs` | [`Socket`]: non-blocking reads and writes, plain or with TLS |
//! | `tls/` | TLS: configurations, and the state of one connection |
//! | `buffers.rs` | [`Buffers`]: what a transport needs while it works |
//! | `listener.rs` | [`Listeners`], and an accept loop that survives running out of descriptors |
//! | `system.rs` | the system's sockets, or those of the simulation |
//! | `simulated/` | tests: a network and a clock driven by a seed, in place of the system's |
//! | `mailbox.rs` | [`Mailbox`]: a queue into a worker that reports when it is full, with one coalesced wake-up |
//!
//! The system does not promise everything. Readiness may be spurious, so "would block" is normal for every call.
//! Readiness is edge-triggered, so a handler that stops before "would block" must return to the socket without an
//! event.

mod buffers;
mod clock;
mod listener;
mod mailbox;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod simulated;
mod slots;
mod socket;
mod system;
#[cfg(feature = "tls")]
mod tls;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

pub(crate) use buffers::Buffers;
pub(crate) use clock::{Clock, Tick};
pub(crate) use listener::{Listeners, descriptor_limit, raise_descriptor_limit};
pub(crate) use mailbox::Mailbox;
pub(crate) use slots::{Key, Slots};
pub(crate) use socket::{Read, Readiness, Socket};
pub(crate) use system::Stopwatch;
#[cfg(feature = "tls")]
pub use tls::{Certificate, CertificateResolver, TlsBuilder, TlsConfig, TlsConfigError, TlsVersion};

use clock::{TurnClock, TurnTime};
use listener::Acceptors;
use mailbox::Inbox;
use system::{Listener, Registry, Waker};

/// The callbacks of the layer above.
pub(crate) trait Handler {
    /// The mail that other threads may post to this worker.
    type Mail: Send;

    /// A peer connected. [`Turn::register`] the socket to get its events.
    fn accepted(&mut self, socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>);

    /// The socket registered with `key` may be ready.
    fn ready(&mut self, key: Key, readiness: Readiness, turn: &mut Turn<'_>);

    /// Mail arrived.
    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>);

    /// Checks deadlines. Called in nearly every turn, so a cheap check whether one is due comes first. Events that were
    /// ready before have been passed to the handler, even if that took several turns.
    fn sweep(&mut self, turn: &mut Turn<'_>);

    /// Everything that was ready in this turn has been passed to the handler.
    fn end_of_turn(&mut self, turn: &mut Turn<'_>) -> Next;

    /// Returns the number of registered sockets.
    fn sockets(&self) -> usize;
}

/// The next step of the event loop after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Waits until something is ready, and at most this long if a time is given.
    Wait(Option<Duration>),
    /// Begins the next turn at once: there is work without an event.
    Again,
    /// Ends the loop.
    Done,
}

/// The values that a handler may use during a turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// When this turn began.
    pub(crate) now: Tick,
    /// This turn, or one since the last call of [`Handler::sweep`], began late: a peer whose bytes are found now has
    /// waited for the thread.
    pub(crate) is_late: bool,
    /// The worker's one read buffer.
    pub(crate) buffer: &'a mut [u8],
    registry: Registry<'a>,
    acceptors: &'a mut Acceptors,
}

impl Turn<'_> {
    /// Registers a socket for events in both directions, for its whole life.
    pub(crate) fn register(&self, socket: &mut Socket, key: Key) -> io::Result<()> {
        self.registry.watch(socket.source(), Token::from(key))
    }

    /// Closes this worker's listeners. No further connection is accepted.
    pub(crate) fn stop_listening(&mut self) {
        self.acceptors.close(self.registry);
    }
}

/// The event loop of one worker.
#[derive(Debug)]
pub(crate) struct Reactor<M> {
    poll: Poll,
    turns: Turns<M>,
}

/// The turns of an event loop, independent of the source of readiness and time.
#[derive(Debug)]
struct Turns<M> {
    acceptors: Acceptors,
    inbox: Inbox<M>,
    clock: TurnClock,
    buffer: Box<[u8]>,
    /// Events of sockets that were served since the last sweep, while more may have been ready.
    served: usize,
    /// A turn since the last sweep began late.
    is_late: bool,
}

impl<M: Send> Reactor<M> {
    /// Creates an event loop for the listeners of a worker, and the mailbox by which other threads reach it.
    pub(crate) fn new(
        listeners: Vec<std::net::TcpListener>,
        clock: Clock,
        mailbox_bytes: usize,
    ) -> io::Result<(Self, Mailbox<M>)> {
        let poll = Poll::new()?;
        let waker = Waker::Mio(mio::Waker::new(poll.registry(), WAKER)?);
        let (inbox, mailbox) = mailbox::pair(waker, mailbox_bytes);
        let listeners = listeners.into_iter().map(|listener| Listener::Tcp(mio::net::TcpListener::from_std(listener)));
        let acceptors = Acceptors::new(listeners, Registry::Mio(poll.registry()))?;
        let buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Ok((Self { poll, turns: Turns::new(acceptors, inbox, clock, buffer) }, mailbox))
    }

    /// Runs until the handler is done.
    ///
    /// # Errors
    /// Returns the system's error if it cannot report readiness.
    pub(crate) fn run<H: Handler<Mail = M>>(mut self, handler: &mut H) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        // The handler may have timers already.
        let mut next = Next::Again;
        while next != Next::Done {
            self.wait(&mut events, next)?;
            let Self { poll, turns } = &mut self;
            let time = turns.clock.begin_turn(Instant::now(), system::thread_cpu_time);
            let ready = events.iter().map(|event| (event.token(), Readiness::of(event)));
            next = turns.turn(time, ready, EVENTS_PER_TURN, Registry::Mio(poll.registry()), handler);
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events, next: Next) -> io::Result<()> {
        let timeout = self.turns.wait_timeout(next, Instant::now);
        wait_for_events(timeout, |timeout| self.poll.poll(events, timeout))
    }
}

impl<M: Send> Turns<M> {
    fn new(acceptors: Acceptors, inbox: Inbox<M>, clock: Clock, buffer: Box<[u8]>) -> Self {
        Self { acceptors, inbox, clock: TurnClock::new(clock), buffer, served: 0, is_late: false }
    }

    /// Returns how long to wait for readiness before the next turn; `None` means without a limit.
    fn wait_timeout(&mut self, next: Next, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let timeout = match next {
            Next::Again | Next::Done => Some(Duration::ZERO),
            Next::Wait(_) if self.inbox.prepare_to_sleep() => Some(Duration::ZERO),
            Next::Wait(wanted) => [wanted, self.acceptors.resumes_in(now)].into_iter().flatten().min(),
        };
        self.clock.set_wait(timeout);
        timeout
    }

    /// Runs a turn. `max_events` is the number of events that one wait can return.
    fn turn<H: Handler<Mail = M>>(
        &mut self,
        time: TurnTime,
        ready: impl Iterator<Item = (Token, Readiness)>,
        max_events: usize,
        registry: Registry<'_>,
        handler: &mut H,
    ) -> Next {
        let Self { acceptors, inbox, buffer, served, is_late, .. } = self;
        inbox.mark_awake();
        if time.is_late {
            (*is_late, *served) = (true, 0);
        }
        let mut turn = Turn { now: time.tick, is_late: *is_late, buffer, registry, acceptors };
        let (mut events, mut of_sockets) = (0, 0);
        for (token, readiness) in ready {
            events += 1;
            match token {
                WAKER => {} // every turn takes the mail anyway
                token if turn.acceptors.set_ready(token) => {}
                token => {
                    of_sockets += 1;
                    handler.ready(Key::from(token), readiness, &mut turn);
                }
            }
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Some((socket, peer)) = turn.acceptors.accept(time.instant) else { break };
            handler.accepted(socket, peer, &mut turn);
        }
        for mail in inbox.take() {
            handler.mail(mail, &mut turn);
        }
        inbox.release();
        // The system reports in the order of arrival. So after as many events as there are sockets, each event that was
        // ready at the first of these turns has been served.
        if events >= max_events && *served < handler.sockets() {
            *served += of_sockets;
        } else {
            (*is_late, *served) = (false, 0);
            handler.sweep(&mut turn);
        }
        handler.end_of_turn(&mut turn)
    }
}

/// Waits with `poll`. If a signal interrupts the wait, gets what is ready by then: a turn without these events would
/// find its peers late.
fn wait_for_events<T>(
    mut timeout: Option<Duration>,
    mut poll: impl FnMut(Option<Duration>) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match poll(timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => timeout = Some(Duration::ZERO),
            polled => return polled,
        }
    }
}

/// The largest tokens: those of the waker and of the first listener; each further listener has the next one below. No
/// [`Key`] is as large.
const WAKER: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);

/// The size of the worker's read buffer: at most this is read from one connection in one turn.
const READ_BUFFER_BYTES: usize = 128 << 10;
const EVENTS_PER_TURN: usize = 1024;
/// At most this many new connections are accepted per turn, so that a burst of them does not starve the open ones.
const ACCEPTS_PER_TURN: usize = 64;
