//! Access to connections and topics from any thread.

use std::{
    convert::Infallible,
    fmt, io,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{Config, SlowSubscriber, inbound::Mail};
#[cfg(feature = "tls")]
use crate::reactor::TlsConfig;
use crate::{
    CloseCode, Prepared,
    reactor::{Key, Mailbox},
};

/// The id of a connection: worker, slot and generation. Unique while the server runs; a restarted server starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    pub(super) worker: u16,
    pub(super) key: Key,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.worker, self.key.slot, self.key.generation)
    }
}

/// Parses the text that [`Display`](fmt::Display) writes, such as an id copied from a log. The connection need not
/// exist.
impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (worker, key) = text.split_once('.')?;
            let (slot, generation) = key.split_once('.')?;
            let key = Key { slot: slot.parse().ok()?, generation: generation.parse().ok()? };
            Some(Self { worker: worker.parse().ok()?, key })
        };
        // Integers also parse with a sign or with leading zeros; an id has one text.
        parse().filter(|id| id.to_string() == text).ok_or(InvalidConnectionId)
    }
}

/// The error of parsing a [`ConnectionId`]: the text is not `worker.slot.generation`, three decimal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvalidConnectionId;

impl fmt::Display for InvalidConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection id is three decimal numbers: worker.slot.generation")
    }
}

impl std::error::Error for InvalidConnectionId {}

/// A handle to every connection and topic of a server, for any thread. Cheap to clone.
///
/// Each call posts a command and returns at once. Each worker executes the commands of one thread in the order of the
/// calls.
///
/// `T` is [`App::Told`](super::App::Told): what [`tell`](Self::tell) takes. A handle from
/// [`Context::remote`](super::Context::remote) can tell nothing, so an app that does keeps the one that
/// [`Server::start`](super::Server::start) gives it.
///
/// ```rust
/// use std::thread;
/// use switchboard::{Config, Message, OriginPolicy, Server, apps::{Audience, Broadcast}};
///
/// let server = Server::bind("127.0.0.1:0".parse()?, Config::default())?;
/// let running = server.start(|_remote| Broadcast::new(Audience::All, OriginPolicy::Any))?;
/// let remote = running.remote().clone();
/// let news = thread::spawn(move || remote.publish("news", Message::Text("It rains.")));
/// # news.join().unwrap();
/// # running.stopper().stop();
/// # running.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Remote<T = Infallible> {
    workers: Arc<[Box<dyn CommandMailbox>]>,
    told: Arc<[Box<dyn ToldMailbox<T>>]>,
    /// The number of open connections of each worker, which that worker alone changes.
    open: Arc<[AtomicUsize]>,
}

/// A command to a worker, independent of its app.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Arc<[Publication]>),
    Send(Key, Prepared),
    Answer(Key, Prepared),
    Subscribe(Key, Box<str>, Option<SlowSubscriber>),
    Unsubscribe(Key, Box<str>),
    Close(Key, CloseCode, Box<str>),
    /// Closes a connection, and reads nothing more from it.
    Shut(Key, CloseCode, Box<str>),
    Resume(Key),
    /// Replaces the limits of the server.
    SetConfig(Box<Config>),
    /// Gives TLS another configuration.
    #[cfg(feature = "tls")]
    SetTls(TlsConfig),
    Stop,
}

/// A message for the subscribers of a topic.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) topic: Box<str>,
    pub(super) message: Prepared,
    /// A connection that does not get it.
    pub(super) except: Option<ConnectionId>,
}

impl Publication {
    /// Returns the connection of this worker that does not get it.
    pub(super) fn except_at(&self, worker: u16) -> Option<Key> {
        self.except.filter(|id| id.worker == worker).map(|id| id.key)
    }
}

/// A worker's mailbox, independent of the app's types: it takes commands.
trait CommandMailbox: Send + Sync {
    fn post(&self, command: Command, bytes: usize);
    fn post_all(&self, commands: &mut Vec<Command>, bytes: usize);
    fn is_full(&self) -> bool;
    fn waiting_bytes(&self) -> usize;
}

impl<M: From<Command> + Send> CommandMailbox for Mailbox<M> {
    fn post(&self, command: Command, bytes: usize) {
        // A worker that has ended has no connections left.
        let _ = Mailbox::post(self, command.into(), bytes);
    }

    fn post_all(&self, commands: &mut Vec<Command>, bytes: usize) {
        let _ = Mailbox::post_all(self, commands.drain(..).map(M::from), bytes);
    }

    fn is_full(&self) -> bool {
        Mailbox::is_full(self)
    }

    fn waiting_bytes(&self) -> usize {
        Mailbox::waiting_bytes(self)
    }
}

/// A worker's mailbox, independent of the app's peers: it takes what the app is told.
trait ToldMailbox<T>: Send + Sync {
    fn tell(&self, key: Key, told: T);
    fn tell_all(&self, make: Box<dyn Fn() -> T + Send>);
}

impl<P: Send, T: Send> ToldMailbox<T> for Mailbox<Mail<P, T>> {
    fn tell(&self, key: Key, told: T) {
        let _ = Mailbox::post(self, Mail::Tell(key, told), COMMAND_BYTES + size_of::<T>());
    }

    fn tell_all(&self, make: Box<dyn Fn() -> T + Send>) {
        let _ = Mailbox::post(self, Mail::TellAll(make), COMMAND_BYTES + size_of::<T>());
    }
}

impl<T: Send + 'static> Remote<T> {
    pub(super) fn new<P: Send + 'static>(mailboxes: &[Mailbox<Mail<P, T>>]) -> Self {
        let workers = mailboxes.iter().map(|mailbox| Box::new(mailbox.clone()) as Box<dyn CommandMailbox>).collect();
        let told = mailboxes.iter().map(|mailbox| Box::new(mailbox.clone()) as Box<dyn ToldMailbox<T>>).collect();
        let open = mailboxes.iter().map(|_| AtomicUsize::new(0)).collect();
        Self { workers, told, open }
    }

    /// Tells the app something about one connection: [`App::told`](super::App::told) is called with it. Does nothing if
    /// the connection is not open by then.
    ///
    /// While it waits it counts as 64 bytes and the size of `T`, so what is large belongs behind an [`Arc`].
    ///
    /// # Examples
    /// Slow work on another thread, whose result comes back to the connection. One lookup per connection waits:
    ///
    /// ```
    /// use std::sync::mpsc::{Receiver, Sender};
    /// use switchboard::{App, ConnectionId, Context, Handshake, Message, Remote, Verdict};
    ///
    /// struct Lookup(Sender<(ConnectionId, String)>);
    ///
    /// impl App for Lookup {
    ///     type Peer = bool; // whether a lookup waits
    ///     type Told = String;
    ///
    ///     fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<bool>) {
    ///         verdict.accept(false);
    ///     }
    ///
    ///     fn message(&mut self, waits: &mut bool, message: Message<'_>, context: &mut Context<'_>) {
    ///         match message {
    ///             Message::Text(key) if !*waits => *waits = self.0.send((context.id(), key.to_owned())).is_ok(),
    ///             _ => context.send(Message::Text("one at a time")),
    ///         }
    ///     }
    ///
    ///     fn told(&mut self, waits: &mut bool, value: String, context: &mut Context<'_>) {
    ///         *waits = false;
    ///         context.send(Message::Text(&value));
    ///     }
    /// }
    ///
    /// fn look_up(requests: Receiver<(ConnectionId, String)>, remote: Remote<String>) {
    ///     for (id, key) in requests {
    ///         remote.tell(id, format!("the value of {key}")); // after a while
    ///     }
    /// }
    /// ```
    pub fn tell(&self, id: ConnectionId, told: T) {
        if let Some(worker) = self.told.get(usize::from(id.worker)) {
            worker.tell(id.key, told);
        }
    }

    /// Tells the app the same about each connection that is open when the command is executed. Each worker calls
    /// [`App::told`](super::App::told) for all of its connections in one turn.
    pub fn tell_all(&self, told: T)
    where
        T: Clone,
    {
        for worker in self.told.iter() {
            let told = told.clone();
            worker.tell_all(Box::new(move || told.clone()));
        }
    }
}

impl<T> Remote<T> {
    /// Returns a handle to the same server that can tell nothing, for functions that need no more.
    #[must_use]
    pub fn untyped(&self) -> Remote {
        Remote { workers: Arc::clone(&self.workers), told: Arc::default(), open: Arc::clone(&self.open) }
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Notes that an app has been told of a new connection of this worker, or of the end of one.
    pub(super) fn note_open(&self, worker: u16, change: impl FnOnce(usize) -> usize) {
        if let Some(open) = self.open.get(usize::from(worker)) {
            open.store(change(open.load(Relaxed)), Relaxed);
        }
    }

    /// Returns how many connections are open on all workers: those of which an app knows.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.iter().map(|open| open.load(Relaxed)).sum()
    }

    /// Returns how many connections are open on each worker.
    pub fn connections_of_workers(&self) -> impl Iterator<Item = usize> {
        self.open.iter().map(|open| open.load(Relaxed))
    }

    /// Returns an empty batch of commands, to post many at once.
    #[must_use]
    pub fn batch(&self) -> Batch {
        let commands = self.workers.iter().map(|_| (Vec::new(), 0)).collect();
        Batch { workers: Arc::clone(&self.workers), commands }
    }

    /// Publishes a message to all subscribers of `topic`: a [`Message`](crate::Message) or a [`Prepared`] one.
    pub fn publish(&self, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(topic, message.into(), None);
    }

    /// Publishes a message to all subscribers of `topic` except the connection `id`.
    pub fn publish_to_others(&self, id: ConnectionId, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(topic, message.into(), Some(id));
    }

    fn publish_everywhere(&self, topic: &str, message: Prepared, except: Option<ConnectionId>) {
        let batch: Arc<[_]> = [Publication { topic: topic.into(), message, except }].into();
        for worker in self.workers.iter() {
            worker.post(Command::Publish(Arc::clone(&batch)), weight(&batch));
        }
    }

    /// Publishes to the subscribers on all workers except `worker`, which has already served its own.
    pub(super) fn publish_from(&self, worker: u16, batch: &Arc<[Publication]>) {
        for (number, other) in self.workers.iter().enumerate() {
            if number != usize::from(worker) {
                other.post(Command::Publish(Arc::clone(batch)), weight(batch));
            }
        }
    }

    /// Sends a message to one connection. Does nothing if it does not exist.
    /// [`Config::slow_subscriber`](super::Config::slow_subscriber) applies if it is too slow.
    pub fn send(&self, id: ConnectionId, message: impl Into<Prepared>) {
        self.post(id, Command::Send(id.key, message.into()));
    }

    /// Sends a message to one connection as the answer to its own request.
    ///
    /// [`Config::slow_subscriber`](super::Config::slow_subscriber) does not apply. Instead, the server reads nothing
    /// from the connection while more than [`Config::max_queued_bytes`](super::Config::max_queued_bytes) wait for it.
    pub fn answer(&self, id: ConnectionId, message: impl Into<Prepared>) {
        self.post(id, Command::Answer(id.key, message.into()));
    }

    /// Subscribes one connection to `topic`. Of this thread's publications, it gets those after this call and none from
    /// before.
    pub fn subscribe(&self, id: ConnectionId, topic: &str) {
        self.post(id, Command::Subscribe(id.key, topic.into(), None));
    }

    /// As [`subscribe`](Self::subscribe), with a policy for this connection in this topic: see
    /// [`Context::subscribe_with`](super::Context::subscribe_with).
    pub fn subscribe_with(&self, id: ConnectionId, topic: &str, policy: SlowSubscriber) {
        self.post(id, Command::Subscribe(id.key, topic.into(), Some(policy)));
    }

    /// Unsubscribes one connection from `topic`.
    pub fn unsubscribe(&self, id: ConnectionId, topic: &str) {
        self.post(id, Command::Unsubscribe(id.key, topic.into()));
    }

    /// Begins the closing handshake of one connection. If a Close frame cannot hold the code or reason, 1011 is sent.
    pub fn close(&self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.post(id, Command::Close(id.key, code, reason.into()));
    }

    /// As [`close`](Self::close), but reads nothing more from the peer: see [`Context::shut`](super::Context::shut).
    pub fn shut(&self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.post(id, Command::Shut(id.key, code, reason.into()));
    }

    /// Resumes reading from a connection after [`Context::pause`](super::Context::pause).
    pub fn resume(&self, id: ConnectionId) {
        self.post(id, Command::Resume(id.key));
    }

    /// Returns whether any worker is too far behind with its commands. Commands are still accepted, but an app should
    /// refuse new work ("try again later").
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.workers.iter().any(|worker| worker.is_full())
    }

    /// Returns the bytes of the commands that wait for the worker that is furthest behind. What is posted now, it
    /// executes after them.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.workers.iter().map(|worker| worker.waiting_bytes()).max().unwrap_or(0)
    }

    /// Replaces the limits of the server while it runs. No connection ends by that: all deadlines start again.
    ///
    /// - For all connections: the deadlines, `max_body_bytes`, `max_connections_per_address`, `uncounted_networks`. The
    ///   connections of an address that has more of them than it may have now remain. Those that came while there was
    ///   no limit are not counted.
    /// - For those that come from now on: `limits`, `head`.
    /// - Not at all: `workers`, `deflate`, `max_queued_bytes`, `slow_subscriber`, `max_worker_bytes`,
    ///   `max_connections`, `reserved_descriptors`, and `tls`, for which there is [`set_tls`](Self::set_tls).
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`]: the configuration makes no sense ([`Config::check`]), and nothing is replaced.
    pub fn set_config(&self, config: &Config) -> io::Result<()> {
        config.check()?;
        for worker in self.workers.iter() {
            let command = Command::SetConfig(Box::new(config.clone()));
            let bytes = command.weight();
            worker.post(command, bytes);
        }
        Ok(())
    }

    /// Gives the server another TLS configuration, for the connections that come from now on: a new certificate, for
    /// example. The open ones live on with theirs. Sessions still resume, unless [`TlsConfig`] says otherwise.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, config: &TlsConfig) {
        for worker in self.workers.iter() {
            let command = Command::SetTls(config.clone());
            let bytes = command.weight();
            worker.post(command, bytes);
        }
    }

    /// Tells all workers to stop.
    pub(super) fn stop(&self) {
        for worker in self.workers.iter() {
            worker.post(Command::Stop, 0);
        }
    }

    fn post(&self, id: ConnectionId, command: Command) {
        if let Some(worker) = self.workers.get(usize::from(id.worker)) {
            let bytes = command.weight();
            worker.post(command, bytes);
        }
    }
}

/// Commands that are posted together: see [`Remote::batch`].
///
/// Each worker executes its part in one turn of its event loop. A connection then gets all that the commands send to it
/// in one write, and the worker is woken once.
#[derive(Debug)]
pub struct Batch {
    workers: Arc<[Box<dyn CommandMailbox>]>,
    /// The commands for each worker, and their weight.
    commands: Box<[(Vec<Command>, usize)]>,
}

impl Batch {
    /// Adds a [`Remote::publish`].
    pub fn publish(&mut self, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(topic, message.into(), None);
    }

    /// Adds a [`Remote::publish_to_others`].
    pub fn publish_to_others(&mut self, id: ConnectionId, topic: &str, message: impl Into<Prepared>) {
        self.publish_everywhere(topic, message.into(), Some(id));
    }

    fn publish_everywhere(&mut self, topic: &str, message: Prepared, except: Option<ConnectionId>) {
        let publications: Arc<[_]> = [Publication { topic: topic.into(), message, except }].into();
        for (commands, bytes) in &mut self.commands {
            commands.push(Command::Publish(Arc::clone(&publications)));
            *bytes += weight(&publications);
        }
    }

    /// Adds a [`Remote::send`].
    pub fn send(&mut self, id: ConnectionId, message: impl Into<Prepared>) {
        self.add(id, Command::Send(id.key, message.into()));
    }

    /// Adds a [`Remote::answer`].
    pub fn answer(&mut self, id: ConnectionId, message: impl Into<Prepared>) {
        self.add(id, Command::Answer(id.key, message.into()));
    }

    /// Adds a [`Remote::subscribe`].
    pub fn subscribe(&mut self, id: ConnectionId, topic: &str) {
        self.add(id, Command::Subscribe(id.key, topic.into(), None));
    }

    /// Adds a [`Remote::subscribe_with`].
    pub fn subscribe_with(&mut self, id: ConnectionId, topic: &str, policy: SlowSubscriber) {
        self.add(id, Command::Subscribe(id.key, topic.into(), Some(policy)));
    }

    /// Adds a [`Remote::unsubscribe`].
    pub fn unsubscribe(&mut self, id: ConnectionId, topic: &str) {
        self.add(id, Command::Unsubscribe(id.key, topic.into()));
    }

    /// Adds a [`Remote::close`].
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.add(id, Command::Close(id.key, code, reason.into()));
    }

    /// Adds a [`Remote::shut`].
    pub fn shut(&mut self, id: ConnectionId, code: CloseCode, reason: &str) {
        self.add(id, Command::Shut(id.key, code, reason.into()));
    }

    /// Adds a [`Remote::resume`].
    pub fn resume(&mut self, id: ConnectionId) {
        self.add(id, Command::Resume(id.key));
    }

    fn add(&mut self, id: ConnectionId, command: Command) {
        if let Some((commands, bytes)) = self.commands.get_mut(usize::from(id.worker)) {
            *bytes += command.weight();
            commands.push(command);
        }
    }

    /// Posts all commands. The batch is then empty.
    pub fn post(&mut self) {
        for (worker, (commands, bytes)) in self.workers.iter().zip(&mut self.commands) {
            if !commands.is_empty() {
                worker.post_all(commands, std::mem::take(bytes));
                commands.shrink_to(MAX_KEPT_COMMANDS);
            }
        }
    }
}

impl Command {
    /// Returns the weight in the mailbox, in bytes.
    fn weight(&self) -> usize {
        match self {
            Self::Publish(batch) => weight(batch),
            Self::Send(_, message) | Self::Answer(_, message) => COMMAND_BYTES + message.frame().len(),
            Self::Subscribe(..)
            | Self::Unsubscribe(..)
            | Self::Close(..)
            | Self::Shut(..)
            | Self::Resume(_)
            | Self::Stop => COMMAND_BYTES,
            Self::SetConfig(config) => COMMAND_BYTES + size_of_val(&**config),
            #[cfg(feature = "tls")]
            Self::SetTls(_) => COMMAND_BYTES,
        }
    }
}

impl<T> Clone for Remote<T> {
    fn clone(&self) -> Self {
        Self { workers: Arc::clone(&self.workers), told: Arc::clone(&self.told), open: Arc::clone(&self.open) }
    }
}

impl<T> fmt::Debug for Remote<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("workers", &self.workers.len()).finish()
    }
}

impl fmt::Debug for dyn CommandMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker's mailbox")
    }
}

fn weight(batch: &[Publication]) -> usize {
    batch.iter().map(|publication| COMMAND_BYTES + publication.message.frame().len()).sum()
}

/// The weight of a command in the mailbox in addition to its payload, in bytes.
const COMMAND_BYTES: usize = 64;
/// The largest capacity of a batch that is kept after it was posted, in commands for one worker.
const MAX_KEPT_COMMANDS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_from_its_text_and_from_no_other() {
        let id = ConnectionId { worker: 65535, key: Key { slot: 4_294_967_295, generation: 7 } };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.",
            ".1.2",
            "+1.2.3",
            "01.2.3",
            "1.2.-3",
            "65536.0.0",
            "0.4294967296.0",
            "a.b.c",
            "1.2.3 ",
        ] {
            assert_eq!(text.parse::<ConnectionId>(), Err(InvalidConnectionId), "{text}");
        }
    }
}
