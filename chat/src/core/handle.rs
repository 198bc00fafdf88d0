//! Starts the core's thread, and sends it commands.

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use switchboard::{ConnectionId, exit_on_panic};

use super::{
    super::{
        ChatConfig, Name,
        backlog::{Backlog, Flow},
        device::{DeviceClaim, DeviceKey},
        hash_queue::Asker,
        interface::{
            Admit, Callback, ChatCore, Credential, Delivery, FoundAccount, FoundSession, NewClient, SignInError,
            SignedIn,
        },
        password::{Hasher, Password},
        rate::Network,
        store::Store,
        token::TokenHash,
        wire::{EventError, EventId, Incoming},
    },
    clock::Now,
    events,
    fair::Source,
    queue::{Command, CommandReceiver, CommandSender, Request, command_queue},
    state::State,
};

/// A handle to the core's thread.
pub(crate) struct CoreHandle {
    commands: CommandSender<State>,
    hasher: Hasher,
}

impl CoreHandle {
    /// Starts the thread.
    pub(crate) fn start(
        store: Store,
        config: Arc<ChatConfig>,
        device_key: DeviceKey,
        delivery: impl Delivery + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let hasher = Hasher::start()?;
        let (sender, receiver) = command_queue(config.waiting_event_bytes);
        let state = State::new(store, config, device_key, sender.clone(), hasher.clone());
        let thread = Builder::new().name("switchboard-chat".to_owned()).spawn(move || {
            exit_on_panic("the chat's thread", move || run(state, receiver, &delivery));
        })?;
        Ok((Self { commands: sender, hasher }, thread))
    }

    /// Stops the thread after all earlier commands.
    pub(crate) fn stop(&self) {
        self.commands.send(Command::Stop);
    }
}

impl ChatCore for CoreHandle {
    fn opened(&self, connection: ConnectionId, credential: Credential, address: IpAddr) -> Arc<Backlog> {
        let backlog = self.commands.backlog(address);
        self.commands.send(Command::Opened(connection, credential, Arc::clone(&backlog)));
        backlog
    }

    fn event(
        &self,
        connection: ConnectionId,
        event: Incoming,
        bytes: usize,
        backlog: &Arc<Backlog>,
    ) -> Result<Flow, (EventError, Option<EventId>)> {
        let event = events::decode(event)?;
        self.commands.send_event(connection, Box::new(event), bytes, backlog)
    }

    fn wake(&self) {
        self.commands.wake();
    }

    fn closed(&self, connection: ConnectionId, backlog: &Arc<Backlog>) {
        self.commands.send(Command::Closed(connection, Arc::clone(backlog)));
    }

    fn register(
        &self,
        NewClient { from, agent }: NewClient,
        name: Name,
        password: Password,
        callback: Callback<Result<SignedIn, SignInError>>,
    ) {
        let commands = self.commands.clone();
        self.hasher.hash(Asker::Stranger(Network::widest_of(from)), password, move |hash| match hash {
            Ok(hash) => {
                let sign_up = move |state: &mut State| state.sign_up(&name, Some(&hash), agent);
                commands.request(Source::Core, Request::new(sign_up, callback));
            }
            Err(error) => callback(Err(error.into())),
        });
    }

    fn find_account(
        &self,
        from: IpAddr,
        name: Name,
        claim: Option<DeviceClaim>,
        callback: Callback<Result<FoundAccount, SignInError>>,
    ) {
        // A known device waits behind no stranger.
        let source = if claim.is_some() { Source::Core } else { Source::Stranger(from) };
        let find = move |state: &mut State| state.find_account(&name, claim.as_ref());
        self.commands.request(source, Request::new(find, callback));
    }

    fn log_in(
        &self,
        NewClient { from, agent }: NewClient,
        account: FoundAccount,
        is_known: bool,
        password: Password,
        admit: Admit,
        callback: Callback<Result<SignedIn, SignInError>>,
    ) {
        let FoundAccount { name, credentials, device } = account;
        let asker =
            if is_known { Asker::Device(name.key().to_owned()) } else { Asker::Stranger(Network::widest_of(from)) };
        let (commands, hash) = (self.commands.clone(), credentials.as_ref().map(|(_, hash)| hash.clone()));
        self.hasher.verify_if_admitted(asker, password, hash, admit, move |verified| match (verified, credentials) {
            (Ok(true), Some((user, hash))) => {
                let log_in = move |state: &mut State| state.log_in(user, &hash, device, agent);
                commands.request(Source::Core, Request::new(log_in, callback));
            }
            (Ok(_), _) => callback(Err(SignInError::BadCredentials)),
            (Err(error), _) => callback(Err(error)),
        });
    }

    fn enter_as_guest(&self, client: NewClient, name: Name, callback: Callback<Result<SignedIn, SignInError>>) {
        let sign_up = move |state: &mut State| state.sign_up(&name, None, client.agent);
        self.commands.request(Source::Stranger(client.from), Request::new(sign_up, callback));
    }

    fn log_out(&self, from: IpAddr, tokens: Vec<TokenHash>, callback: Callback<Result<(), SignInError>>) {
        let log_out = move |state: &mut State| state.log_out(&tokens);
        self.commands.request(Source::Stranger(from), Request::new(log_out, callback));
    }

    fn session(&self, from: IpAddr, tokens: Vec<TokenHash>, callback: Callback<Result<FoundSession, SignInError>>) {
        let session = move |state: &mut State| state.session(&tokens);
        self.commands.request(Source::Stranger(from), Request::new(session, callback));
    }
}

/// Runs commands and ticks on the calling thread, until a [`Command::Stop`].
pub(super) fn run(mut state: State, mut commands: CommandReceiver<State>, delivery: &impl Delivery) {
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
