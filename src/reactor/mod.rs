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
//! | `mailbox.rs` | [`Mailbox`]: a queue into a worker that says when it is full, with one coalesced wake-up |
//!
//! What the system does not promise, and what follows: readiness may be spurious, so that "would block" is normal
//! everywhere; it is edge-triggered, so that who stops before "would block" must come back without being told.

mod clock;
mod listener;
mod mailbox;
mod slots;
mod socket;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Registry, Token};

pub(crate) use clock::{Clock, Tick};
pub(crate) use listener::{Listeners, raise_descriptor_limit};
pub(crate) use mailbox::Mailbox;
pub(crate) use slots::{Key, Slots};
pub(crate) use socket::{Read, Readiness, Socket};

use listener::Acceptor;
use mailbox::Inbox;

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
    registry: &'a Registry,
    acceptor: &'a mut Acceptor,
}

impl Turn<'_> {
    /// Asks to hear of this socket, once for all, in both directions.
    pub(crate) fn register(&self, socket: &mut Socket, key: Key) -> io::Result<()> {
        self.registry.register(socket.source(), Token::from(key), Interest::READABLE | Interest::WRITABLE)
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
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let (inbox, mailbox) = mailbox::pair(waker, mailbox_bytes);
        let acceptor = Acceptor::new(listener, poll.registry(), LISTENER)?;
        let buffer = vec![0; READ_BUFFER_BYTES].into_boxed_slice();
        Ok((Self { poll, acceptor, inbox, clock, buffer }, mailbox))
    }

    /// Runs until the handler is done.
    ///
    /// # Errors
    /// When the system can no longer say what is ready.
    pub(crate) fn run<H: Handler<Mail = M>>(mut self, handler: &mut H) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut next = Next::Wait(None);
        loop {
            self.wait(&mut events, next)?;
            let now = Instant::now();
            let Self { poll, acceptor, inbox, clock, buffer } = &mut self;
            let mut turn = Turn { now: clock.tick(now), buffer, registry: poll.registry(), acceptor };
            for event in &events {
                match event.token() {
                    LISTENER => turn.acceptor.is_ready(),
                    WAKER => {} // the inbox is looked at in every turn
                    token => handler.ready(Key::from(token), Readiness::of(event), &mut turn),
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
            next = handler.end_of_turn(&mut turn);
            if next == Next::Done {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, events: &mut Events, next: Next) -> io::Result<()> {
        let now = Instant::now();
        let wanted = match next {
            Next::Wait(timeout) => timeout,
            Next::Again | Next::Done => Some(Duration::ZERO),
        };
        let mut timeout = [wanted, self.acceptor.resumes_in(now)].into_iter().flatten().min();
        if self.inbox.falls_asleep() {
            timeout = Some(Duration::ZERO);
        }
        let polled = self.poll.poll(events, timeout);
        self.inbox.wakes_up();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            polled => polled,
        }
    }
}

/// The last two tokens; no [`Key`] is as large.
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// As much as is read from one connection in one turn.
const READ_BUFFER_BYTES: usize = 64 << 10;
const EVENTS_PER_TURN: usize = 1024;
/// New connections per turn, so that a crowd at the door does not starve those inside.
const ACCEPTS_PER_TURN: usize = 64;
