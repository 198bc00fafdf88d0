//! Starts the core's thread, and sends it commands.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use switchboard::exit_on_panic;

use super::{
    super::{
        backlog::Backlog,
        config::SharedConfig,
        interface::{Ask, Callbacks, ClientId, Delivery, Request, SignInError},
        store::Store,
    },
    clock::Now,
    events::Event,
    fair::{Line, Source},
    process::Command,
    queue::{CommandReceiver, CommandSender, Ticket, Unfinished, command_queue},
    state::State,
};

/// A handle to the core's thread.
#[derive(Clone)]
pub(crate) struct CoreHandle {
    commands: CommandSender<Event, Request>,
    callbacks: Arc<Callbacks>,
}

impl CoreHandle {
    /// Starts the thread. The `delivery` completes the `callbacks`.
    pub(crate) fn start(
        store: Store,
        config: SharedConfig,
        callbacks: Arc<Callbacks>,
        delivery: impl Delivery + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (commands, receiver) = command_queue(config.get().waiting_event_bytes);
        let state = State::new(store, config);
        let thread = Builder::new().name("switchboard-chat".to_owned()).spawn(move || {
            exit_on_panic("the chat's thread", move || run(state, receiver, &delivery));
        })?;
        Ok((Self { commands, callbacks }, thread))
    }

    /// For tests: returns a handle to a thread that the test takes the place of.
    #[cfg(test)]
    pub(super) fn over(commands: CommandSender<Event, Request>, callbacks: Arc<Callbacks>) -> Self {
        Self { commands, callbacks }
    }

    /// Sends a command, however many wait. If the thread has ended, the server has ended too, and the command is
    /// dropped.
    pub(crate) fn send(&self, command: Command) {
        self.commands.send(command);
    }

    /// Sends a command. The thread may not see it before a call of [`wake`](Self::wake).
    pub(crate) fn send_quietly(&self, command: Command) {
        self.commands.send_quietly(command);
    }

    /// Wakes the thread if it waits although commands were sent.
    pub(crate) fn wake(&self) {
        self.commands.wake();
    }

    /// Returns the backlog of a new connection.
    pub(crate) fn backlog(&self, address: IpAddr) -> Arc<Backlog> {
        self.commands.backlog(address)
    }

    /// Sends a request from this source. `callback` is called with the result, on the core's thread, which it must not
    /// block.
    pub(crate) fn ask<A: Ask>(
        &self,
        source: Source,
        request: A,
        callback: impl FnOnce(Result<A::Found, SignInError>) + Send + 'static,
    ) {
        let id = self.callbacks.add::<A>(callback);
        let ticket = Ticket { id, line: Line::Source(source), source, event: None };
        self.send(Command::Request(ticket, request.into()));
    }

    /// Returns a request that an event of a connection makes. Otherwise like [`ask`](Self::ask).
    pub(crate) fn request_of_event<A: Ask>(
        &self,
        (connection, unfinished): (ClientId, Unfinished),
        request: A,
        callback: impl FnOnce(Result<A::Found, SignInError>) + Send + 'static,
    ) -> Command {
        let id = self.callbacks.add::<A>(callback);
        let source = Source::Stranger(unfinished.backlog.address());
        let ticket = Ticket { id, line: Line::Connection(connection), source, event: Some((connection, unfinished)) };
        Command::Request(ticket, request.into())
    }
}

/// Runs commands and ticks on the calling thread, until a [`Command::Stop`].
pub(super) fn run(mut state: State, mut commands: CommandReceiver<Event, Request>, delivery: &impl Delivery) {
    let mut next_tick = Instant::now();
    loop {
        let deadline = if state.has_work() { Instant::now() } else { next_tick };
        if !commands.wait(deadline, |connection| state.presence.user_of(connection)) {
            break;
        }
        wait_while(|| delivery.is_overloaded());
        let now = Now::read();
        allow_for_pause(&mut state, now, next_tick);
        state.process(&mut commands, now, delivery);
        if Instant::now() >= next_tick {
            state.tick(now, delivery);
            next_tick = Instant::now() + TICK_INTERVAL;
        }
        state.work_in_background(now, delivery);
    }
    state.close(Now::read());
}

/// Gives clients that sign in the time for which this thread did not run: what they have sent meanwhile may not have
/// arrived yet.
pub(super) fn allow_for_pause(state: &mut State, now: Now, next_tick: Instant) {
    let late = now.instant.saturating_duration_since(next_tick);
    if late > LATE {
        state.presence.postpone_auth(late);
    }
}

/// Waits until the workers are no longer overloaded, so that unsent text does not pile up. Waits at most [`MAX_WAIT`]:
/// workers that have ended never catch up.
fn wait_while(overloaded: impl Fn() -> bool) {
    let deadline = Instant::now() + MAX_WAIT;
    while overloaded() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// How long the thread waits for workers that do not keep up.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// How often the thread ends overdue sessions and publishes presence.
const TICK_INTERVAL: Duration = Duration::from_millis(250);
/// A tick that comes later than this follows a pause of the thread: the process was stopped, or the machine was busy.
const LATE: Duration = Duration::from_secs(2);
