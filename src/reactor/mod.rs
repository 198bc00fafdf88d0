//! Floor 1: sockets, readiness, wake-ups and time, on `mio`. Has never heard of WebSocket.
//!
//! One [`Reactor`] per worker thread, sharing nothing with the others. A floor above gives it a [`Handler`] and lets
//! it [`run`](Reactor::run): each turn of the loop waits for readiness, hands over what is ready, then new
//! connections, then mail from other threads, then a look at the deadlines, and last the end of the turn, where a handler does what it has batched.
//!
//! | file | what |
//! |---|---|
//! | `clock.rs` | [`Tick`]: coarse time in four bytes |
//! | `slots.rs` | [`Slots`], [`Key`]: values with an identity that is never used again |
//! | `socket.rs` | [`Socket`]: reads and writes without blocking, and says what came of it |
//! | `listener.rs` | [`Listeners`], and an accept loop that survives running out of descriptors |
//! | `system.rs` | what is asked of the system |
//! | `simulated.rs` | tests: a network and time made up from a seed, in place of the system's |
//! | `mailbox.rs` | [`Mailbox`]: a queue into a worker that says when it is full, with one coalesced wake-up |
//!
//! What the system does not promise, and what follows: readiness may be spurious, so that "would block" is normal
//! everywhere; it is edge-triggered, so that who stops before "would block" must come back without being told.

mod clock;
mod listener;
mod mailbox;
#[cfg(test)]
pub(crate) mod simulated;
mod slots;
mod socket;
mod system;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};

pub(crate) use clock::{Clock, Tick};
pub(crate) use listener::{Listeners, raise_descriptor_limit};
pub(crate) use mailbox::Mailbox;
pub(crate) use slots::{Key, Slots};
pub(crate) use socket::{Read, Readiness, Socket};

use listener::Acceptor;
use mailbox::Inbox;
use system::{Listener, Registry, Waker};

/// What the floor above does with what happens.
pub(crate) trait Handler {
    /// What other threads may post to this worker.
    type Mail: Send;

    /// A peer connected. To hear of it again, [`Turn::register`] the socket.
    fn accepted(&mut self, socket: Socket, peer: SocketAddr, turn: &mut Turn<'_>);

    /// The socket registered with `key` may be ready.
    fn ready(&mut self, key: Key, readiness: Readiness, turn: &mut Turn<'_>);

    /// Mail came in.
    fn mail(&mut self, mail: Self::Mail, turn: &mut Turn<'_>);

    /// Time to look at deadlines: called in every turn, so a comparison comes first.
    fn sweep(&mut self, turn: &mut Turn<'_>);

    /// All that was ready has been handed over.
    fn end_of_turn(&mut self, turn: &mut Turn<'_>) -> Next;
}

/// What the loop does after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Waits until something is ready, or for this long, if that is given.
    Wait(Option<Duration>),
    /// Begins the next turn at once: there is work that no event will announce.
    Again,
    /// Ends the loop.
    Done,
}

/// What a handler may use during a turn.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// When this turn began.
    pub(crate) now: Tick,
    /// The worker's one read buffer.
    pub(crate) buffer: &'a mut [u8],
    registry: Registry<'a>,
    acceptor: &'a mut Acceptor,
}

impl Turn<'_> {
    /// Asks to hear of this socket, once for all, in both directions.
    pub(crate) fn register(&self, socket: &mut Socket, key: Key) -> io::Result<()> {
        self.registry.watch(socket.source(), Token::from(key))
    }

    /// Closes this worker's listener: no further connection is accepted.
    pub(crate) fn stop_listening(&mut self) {
        self.acceptor.close(self.registry);
    }
}

/// The event loop of one worker.
#[derive(Debug)]
pub(crate) struct Reactor<M> {
    poll: Poll,
    turns: Turns<M>,
}

/// The turns of a loop, whoever says what is ready and what time it is.
#[derive(Debug)]
struct Turns<M> {
    acceptor: Acceptor,
    inbox: Inbox<M>,
    clock: Clock,
    buffer: Box<[u8]>,
}

impl<M: Send> Reactor<M> {
    /// An event loop over one of the group's listeners, and the mailbox by which other threads reach it.
    pub(crate) fn new(
        listener: std::net::TcpListener,
        clock: Clock,
        mailbox_bytes: usize,
    ) -> io::Result<(Self, Mailbox<M>)> {
        let poll = Poll::new()?;
        let waker = Waker::Mio(mio::Waker::new(poll.registry(), WAKER)?);
        let (inbox, mailbox) = mailbox::pair(waker, mailbox_bytes);
        let listener = Listener::Tcp(mio::net::TcpListener::from_std(listener));
        let acceptor = Acceptor::new(listener, Registry::Mio(poll.registry()), LISTENER)?;
        let buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Ok((Self { poll, turns: Turns { acceptor, inbox, clock, buffer } }, mailbox))
    }

    /// Runs until the handler is done.
    ///
    /// # Errors
    /// When the system can no longer say what is ready.
    pub(crate) fn run<H: Handler<Mail = M>>(mut self, handler: &mut H) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut next = Next::Wait(None);
        while next != Next::Done {
            self.wait(&mut events, next)?;
            let Self { poll, turns } = &mut self;
            let ready = events.iter().map(|event| (event.token(), Readiness::of(event)));
            next = turns.turn(Instant::now(), ready, Registry::Mio(poll.registry()), handler);
        }
        Ok(())
    }

    fn wait(&mut self, events: &mut Events, next: Next) -> io::Result<()> {
        let timeout = self.turns.wait_timeout(next, Instant::now);
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }
}

impl<M: Send> Turns<M> {
    /// For how long to wait for readiness before the next turn.
    fn wait_timeout(&self, next: Next, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let wanted = match next {
            Next::Wait(timeout) => timeout,
            Next::Again | Next::Done => return Some(Duration::ZERO),
        };
        if self.inbox.prepare_to_sleep() {
            return Some(Duration::ZERO);
        }
        [wanted, self.acceptor.resumes_in(now)].into_iter().flatten().min()
    }

    fn turn<H: Handler<Mail = M>>(
        &mut self,
        now: Instant,
        ready: impl Iterator<Item = (Token, Readiness)>,
        registry: Registry<'_>,
        handler: &mut H,
    ) -> Next {
        let Self { acceptor, inbox, clock, buffer } = self;
        inbox.mark_awake();
        let mut turn = Turn { now: clock.tick(now), buffer, registry, acceptor };
        for (token, readiness) in ready {
            match token {
                LISTENER => turn.acceptor.set_ready(),
                WAKER => {} // the inbox is looked at in every turn
                token => handler.ready(Key::from(token), readiness, &mut turn),
            }
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Some((socket, peer)) = turn.acceptor.accept(now) else { break };
            handler.accepted(socket, peer, &mut turn);
        }
        for mail in inbox.take() {
            handler.mail(mail, &mut turn);
        }
        handler.sweep(&mut turn);
        handler.end_of_turn(&mut turn)
    }
}

/// The last two tokens; no [`Key`] is as large.
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// As much as is read from one connection in one turn.
const READ_BUFFER_BYTES: usize = 128 << 10;
const EVENTS_PER_TURN: usize = 1024;
/// New connections per turn, so that a crowd at the door does not starve those inside.
const ACCEPTS_PER_TURN: usize = 64;
