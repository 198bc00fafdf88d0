//! The chat without sockets: the events that each client gets, in order.

mod clock;
mod cost;
mod devices;
mod events;
#[cfg(target_os = "linux")]
mod failing_disk;
mod lines;
mod messages;
mod names;
mod notices;
mod positions;
mod protocol;
mod quotas;
mod random_sequences;
mod removal;
mod rooms;
mod sessions;
mod storage_failures;
mod thread;
mod unread;
mod users;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use switchboard::CloseCode;
use uuid::Uuid;

use self::protocol::assert_documented;
use super::{
    super::{
        ChatConfig, Data, Name,
        backlog::{Backlog, EventMemory},
        config::SharedConfig,
        device::DeviceKey,
        front::Front,
        interface::{
            Ask, Callbacks, ChatCore as _, ClientId, Credential, FindAccount, FindSession, JsonDelivery, LogIn, LogOut,
            NewClient, Outcome, Request, RequestId, RunId, SignInError, SignUp, delivery::Transport,
        },
        password::Hasher,
        store::{Role, RoomId, Store, UserId},
        token::{Token, TokenHash},
        user_agent::UserAgent,
        wire::{self, EventId},
    },
    clock::Now,
    events::Event,
    fair::{Line, Source},
    handle::CoreHandle,
    process::{Command, Commands},
    queue::{CommandReceiver, Ticket, command_queue},
    state::State,
};

/// A transport that records what each connection gets.
#[derive(Default)]
struct RecordedTransport {
    output: Mutex<BTreeMap<ClientId, Vec<Value>>>,
    subscribers: Mutex<BTreeSet<(String, ClientId)>>,
    closed: Mutex<Vec<(ClientId, u16)>>,
    resumed: Mutex<Vec<ClientId>>,
    /// How many more times an overload is reported.
    overloaded: AtomicUsize,
    callbacks: Arc<Callbacks>,
}

impl Transport for RecordedTransport {
    fn subscribe(&self, connection: ClientId, topic: &str) {
        self.subscribers.lock().unwrap().insert((topic.to_owned(), connection));
    }

    fn unsubscribe(&self, connection: ClientId, topic: &str) {
        self.subscribers.lock().unwrap().remove(&(topic.to_owned(), connection));
    }

    fn send(&self, connection: ClientId, text: &str) {
        assert_eq!(self.overloaded.load(Ordering::Relaxed), 0, "sent during an overload");
        let event = serde_json::from_str(text).unwrap();
        self.output.lock().unwrap().entry(connection).or_default().push(event);
    }

    fn publish(&self, topic: &str, text: &str, except: Option<ClientId>) {
        let subscribers = self.subscribers.lock().unwrap().clone();
        for (_, connection) in subscribers.iter().filter(|(name, id)| name == topic && Some(*id) != except) {
            self.send(*connection, text);
        }
    }

    fn resume(&self, connection: ClientId) {
        self.resumed.lock().unwrap().push(connection);
    }

    fn shut(&self, connection: ClientId, code: CloseCode, reason: &str) {
        self.close(connection, code, reason);
    }

    fn close(&self, connection: ClientId, code: CloseCode, _: &str) {
        self.subscribers.lock().unwrap().retain(|(_, other)| *other != connection);
        self.closed.lock().unwrap().push((connection, code.into()));
    }

    fn post(&self) {}

    fn complete(&self, request: RequestId, outcome: Outcome) {
        self.callbacks.complete(request, outcome);
    }

    fn is_overloaded(&self) -> bool {
        let one_less = |times: usize| times.checked_sub(1);
        self.overloaded.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// A chat in memory with its own clock, and its connections.
struct TestChat {
    state: State,
    delivery: JsonDelivery<RecordedTransport>,
    front: Front,
    commands: CommandReceiver<Event, Request>,
    now: Now,
    /// The monotonic clock at the start.
    start: Instant,
    connections: u32,
    last_id: u64,
    /// Whether the test does the background work piece by piece.
    in_pieces: bool,
}

impl TestChat {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut ChatConfig)) -> Self {
        let mut config = ChatConfig::default();
        change(&mut config);
        Self::start(Store::open(&Data::Memory).unwrap(), config)
    }

    /// Starts a chat over these data.
    fn start(store: Store, config: ChatConfig) -> Self {
        let (sender, commands) = command_queue(1 << 20);
        let state = State::new(store, SharedConfig::new(config));
        let delivery = JsonDelivery::<RecordedTransport>::default();
        let core = CoreHandle::over(sender, Arc::clone(&delivery.0.callbacks));
        let now = Now { wall: 1_800_000_000_000, instant: Instant::now() };
        Self {
            state,
            delivery,
            front: Front::over(RUN, core, hasher(), DeviceKey::random()),
            commands,
            now,
            start: now.instant,
            connections: 0,
            last_id: 0,
            in_pieces: false,
        }
    }

    /// Sets the wall clock forward or back, but not to before 1970.
    fn set_wall_clock(&mut self, step: i64) {
        self.now.wall = self.now.wall.saturating_add_signed(step);
    }

    /// Advances the clock, and ticks.
    fn advance(&mut self, time: Duration) {
        self.now.wall += u64::try_from(time.as_millis()).unwrap();
        self.now.instant += time;
        self.state.tick(self.now, &self.delivery);
        self.finish_background_work();
    }

    /// Finishes the background work, unless the test does it piece by piece.
    fn finish_background_work(&mut self) {
        while self.state.has_work() && !self.in_pieces {
            self.state.work_in_background(self.now, &self.delivery);
        }
    }

    /// Does the smallest piece of background work. Returns whether there may be more.
    fn work_in_background(&mut self) -> bool {
        self.state.work_in_background(self.now, &self.delivery);
        self.state.has_work()
    }

    /// Runs commands in this order, in one transaction unless they take long.
    fn process(&mut self, commands: Vec<Command>) {
        let mut commands = InOrder(commands.into());
        while !commands.0.is_empty() {
            self.state.process(&mut commands, self.now, &self.delivery);
            self.finish_background_work();
        }
    }

    /// Processes the commands that other threads have sent meanwhile. There must be some.
    fn process_queue(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let presence = &self.state.presence;
        assert!(self.commands.wait(deadline, |connection| presence.user_of(connection)), "the queue is open");
        let commands: Vec<_> = std::iter::from_fn(|| self.commands.pop()).map(|(_, command)| command).collect();
        assert!(!commands.is_empty(), "nothing was sent to the queue");
        self.process(commands);
    }

    /// Runs a request, and returns its result.
    fn request<A: Ask>(&mut self, request: A) -> Result<A::Found, SignInError> {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let id = self.delivery.0.callbacks.add::<A>(move |value| *result.lock().unwrap() = Some(value));
        let ticket = Ticket { id, line: Line::Source(Source::Core), source: Source::Core, event: None };
        self.process(vec![Command::Request(ticket, request.into())]);
        slot.lock().unwrap().take().expect("every request calls back")
    }

    /// Creates an account, and returns the token of a session.
    fn account(&mut self, name: &str) -> Result<TokenHash, SignInError> {
        self.sign_up(name, Some("a hash"))
    }

    fn guest(&mut self, name: &str) -> Result<TokenHash, SignInError> {
        self.sign_up(name, None)
    }

    fn sign_up(&mut self, name: &str, hash: Option<&str>) -> Result<TokenHash, SignInError> {
        let (name, token, agent) = (Name::new(name).unwrap(), Token::random().hash(), UserAgent::default());
        let password_hash = hash.map(str::to_owned);
        self.request(SignUp { name, password_hash, token, agent }).map(|_| token)
    }

    /// Begins a session of a user with this hash of a password, and returns its token.
    fn log_in(&mut self, user: UserId, hash: &str) -> Result<TokenHash, SignInError> {
        let (token, agent) = (Token::random().hash(), UserAgent::default());
        self.request(LogIn { user, password_hash: hash.to_owned(), token, agent }).map(|_| token)
    }

    /// Ends the sessions of these tokens, without confirming that rooms are removed.
    fn log_out(&mut self, tokens: &[TokenHash]) -> Result<(), SignInError> {
        let request = LogOut { tokens: tokens.to_vec(), remove: Vec::new() };
        self.request(request).map(|logged_out| logged_out.expect("no room is removed"))
    }

    /// Sends an event with passwords. The hasher's thread goes on: see [`process_queue`](Self::process_queue).
    fn prove(&mut self, connection: ClientId, event: &Value) {
        let text = event.to_string();
        let incoming = wire::decode(&text).unwrap_or_else(|_| panic!("{event} is well formed"));
        let id = connection.connection_to(RUN).expect("a connection of this run");
        self.front.event(id, incoming, text.len(), &backlog()).unwrap_or_else(|_| panic!("{event} is accepted"));
        self.process_queue();
    }

    /// Opens a connection with this credential.
    fn open(&mut self, credential: Credential) -> ClientId {
        self.connections += 1;
        let connection = connection_numbered(self.connections);
        self.process(vec![Command::Opened(connection, credential, backlog())]);
        connection
    }

    /// Opens a connection of a user. Leaves its welcome in the output.
    fn connect(&mut self, token: TokenHash) -> ClientId {
        self.open(Credential::Tokens(vec![token]))
    }

    /// Creates an account, opens a connection for it, and takes the welcome from the output.
    fn connect_user(&mut self, name: &str) -> ClientId {
        let token = self.account(name).unwrap();
        let connection = self.connect(token);
        assert_eq!(self.take_output(connection)[0][0], "welcome");
        connection
    }

    fn close(&mut self, connection: ClientId) {
        self.delivery.0.subscribers.lock().unwrap().retain(|(_, other)| *other != connection);
        self.process(vec![Command::Closed(connection, backlog())]);
    }

    /// Sends an event, and returns its reply.
    fn call(&mut self, connection: ClientId, event: &str, data: Value) -> Result<Value, String> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(connection, &json!([event, data, id]));
        let reply = self.reply_to(connection, id);
        if let Err(code) = &reply {
            assert_documented(event, code);
        }
        reply
    }

    /// Sends an event. If it is malformed, the error reply is added to the output at once, as a worker does.
    fn send(&mut self, connection: ClientId, event: &Value) {
        match try_event_command(connection, event) {
            Ok(command) => self.process(vec![command]),
            Err(reply) => self.delivery.0.send(connection, &reply),
        }
    }

    /// Takes the reply to an event from the output.
    fn reply_to(&mut self, connection: ClientId, id: impl Into<Value>) -> Result<Value, String> {
        let id = id.into();
        let mut output = self.delivery.0.output.lock().unwrap();
        let output = output.entry(connection).or_default();
        let at = output.iter().position(|event| event[2] == id).unwrap_or_else(|| panic!("no reply in {output:?}"));
        let reply = output.remove(at);
        match reply[0].as_str() {
            Some("ack") => Ok(reply[1].clone()),
            Some("error") => Err(reply[1]["code"].as_str().unwrap().to_owned()),
            other => panic!("{other:?} is not a reply"),
        }
    }

    /// Sends a message with a new key to a room, and returns its sequence number.
    fn say(&mut self, connection: ClientId, room: u64, text: &str) -> Result<u64, String> {
        let key = self.key();
        self.advance(Duration::from_secs(1));
        let said = self.call(connection, "say", json!({ "room": room, "text": text, "key": key }))?;
        Ok(said["seq"].as_u64().unwrap())
    }

    /// Returns a new key for a message.
    fn key(&mut self) -> String {
        self.last_id += 1;
        Uuid::from_u128(self.last_id.into()).to_string()
    }

    /// Joins a room by its number, without a position.
    fn join(&mut self, connection: ClientId, room: u64) -> Result<Value, String> {
        self.call(connection, "join", json!({ "room": room }))
    }

    /// Creates a room, and returns its number.
    fn create(&mut self, connection: ClientId, name: &str, kind: &str) -> u64 {
        let entered = self.call(connection, "create", json!({ "name": name, "kind": kind })).unwrap();
        entered["room"]["room"].as_u64().unwrap()
    }

    /// Takes a connection's output, without the presence events.
    fn take_output(&self, connection: ClientId) -> Vec<Value> {
        let mut output = self.take_all_output(connection);
        output.retain(|event| event[0] != "presence");
        output
    }

    fn take_all_output(&self, connection: ClientId) -> Vec<Value> {
        let mut output = self.delivery.0.output.lock().unwrap();
        std::mem::take(output.entry(connection).or_default())
    }

    /// Takes a connection's output, and returns the data of its events of one name.
    fn pushes_of(&self, connection: ClientId, event: &str) -> Vec<Value> {
        self.take_all_output(connection)
            .into_iter()
            .filter(|output| output[0] == event)
            .map(|output| output[1].clone())
            .collect()
    }

    /// Drops all output.
    fn clear_output(&self) {
        self.delivery.0.output.lock().unwrap().clear();
    }

    fn closed_with(&self, connection: ClientId) -> Option<u16> {
        self.delivery.0.closed.lock().unwrap().iter().find(|(other, _)| *other == connection).map(|(_, code)| *code)
    }
}

/// Returns the hasher that all tests share: starting one takes as long as a hash.
fn hasher() -> Hasher {
    static HASHER: OnceLock<Hasher> = OnceLock::new();
    HASHER.get_or_init(|| Hasher::start().unwrap()).clone()
}

/// Commands in a fixed order.
struct InOrder(VecDeque<Command>);

impl Commands for InOrder {
    fn pop(&mut self) -> Option<(Source, Command)> {
        self.0.pop_front().map(|command| (Source::Core, command))
    }

    fn charge(&mut self, _: Source, _: Duration) {}
}

/// Returns a command with this event, which is well formed.
fn event_command(connection: ClientId, event: &Value) -> Command {
    try_event_command(connection, event).unwrap_or_else(|error| panic!("{event}: {error}"))
}

/// Returns a command with this event, or the error reply if it is malformed.
fn try_event_command(connection: ClientId, event: &Value) -> Result<Command, String> {
    let text = event.to_string();
    let incoming = wire::decode(&text).map_err(|(error, id)| wire::error(&error, id.as_ref()))?;
    // Nobody takes the commands that a proof sends to this queue.
    let (sender, _) = command_queue(1 << 20);
    let front = Front::over(RUN, CoreHandle::over(sender, Arc::default()), hasher(), DeviceKey::random());
    let command = front.command(connection, incoming, text.len(), &backlog());
    command.map(|(command, _)| command).map_err(|(error, id)| wire::error(&error, id.as_ref()))
}

/// Returns the backlog of a connection of its own.
fn backlog() -> Arc<Backlog> {
    Arc::new(Backlog::new(Ipv4Addr::LOCALHOST.into(), Arc::new(EventMemory::new(1 << 20))))
}

/// Returns the texts of messages.
fn texts(messages: &Value) -> Vec<&str> {
    messages.as_array().unwrap().iter().filter_map(|message| message["text"].as_str()).collect()
}

/// Returns the kinds of messages.
fn kinds(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["kind"].as_str().unwrap()).collect()
}

/// Returns a credential whose token belongs to no session.
fn unknown_token() -> Credential {
    Credential::Tokens(vec![Token::random().hash()])
}

const LOBBY: u64 = 1;

/// Returns the id of a client that is connected to no server.
fn connection_numbered(slot: u32) -> ClientId {
    RUN.client(format!("0.{slot}.0").parse().expect("an id"))
}

const RUN: RunId = RunId::new(1);
