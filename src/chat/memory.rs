//! The backplane of one process: everything behind one lock.
//!
//! The lock orders all that happens: whoever holds it writes the log, makes the event and hands it to the exchange, so
//! every worker gets the lobby's events in the order of the log. It is held longest for a welcome, which is at most
//! [`KEPT_BYTES`] and the names of who is there.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{Arrival, Backplane, EnterError, Exchange, Name, Said, SayError, Since, wire};
use crate::{CloseCode, ConnectionId};

/// Log, presence and fan-out within one process. All is gone when it ends, and the next one begins a new epoch.
pub struct MemoryBackplane<E> {
    exchange: E,
    epoch: String,
    lobby: Mutex<Lobby>,
    random: fn() -> String,
}

#[derive(Debug, Default)]
struct Lobby {
    /// The latest messages; their numbers have no holes.
    log: VecDeque<Entry>,
    /// Bytes of the log's messages as they are told.
    log_bytes: usize,
    last: Option<Said>,
    /// Who is in, by the key of the name, so that names are in an order.
    people: BTreeMap<String, Person>,
    /// The key of the name of whom each connection belongs to.
    connections: HashMap<ConnectionId, String>,
}

#[derive(Debug)]
struct Person {
    name: Name,
    token: String,
    connection: ConnectionId,
}

/// A message as it is told.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    said: Said,
    from: String,
    text: String,
    /// The length of the event that tells it.
    #[serde(skip)]
    bytes: usize,
}

#[derive(Serialize)]
struct Welcome<'a> {
    you: &'a str,
    token: &'a str,
    epoch: &'a str,
    seq: u64,
    online: Vec<&'a str>,
    messages: Vec<&'a Entry>,
    gap: bool,
}

#[derive(Serialize)]
struct Presence<'a> {
    name: &'a str,
}

impl<E: Exchange> MemoryBackplane<E> {
    /// An empty lobby. `random` must give a text that nobody can guess, a new one each time.
    pub fn new(exchange: E, random: fn() -> String) -> Self {
        Self { exchange, epoch: random(), lobby: Mutex::default(), random }
    }

    /// A thread that panicked has ended the process; only a test goes on.
    fn lock(&self) -> MutexGuard<'_, Lobby> {
        self.lobby.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Exchange> Backplane for MemoryBackplane<E> {
    fn enter(&self, arrival: &Arrival<'_>) -> Result<(), EnterError> {
        let mut lobby = self.lock();
        let key = arrival.name.key().to_owned();
        let returns = match lobby.people.get(&key) {
            None => false,
            Some(person) if arrival.token == Some(&*person.token) => true,
            Some(_) => return Err(EnterError::NameTaken),
        };
        if self.exchange.is_overloaded() {
            return Err(EnterError::Overloaded);
        }
        // Who returns keeps the name as the others know it, whatever its case is now.
        let (name, token) = match lobby.people.remove(&key) {
            Some(person) => {
                // The same person over a new connection: the old one is not known to be dead, or is another window.
                lobby.connections.remove(&person.connection);
                self.exchange.close(person.connection, REPLACED, "replaced by a newer connection");
                (person.name, person.token)
            }
            None => (arrival.name.clone(), (self.random)()),
        };
        let person = Person { name: name.clone(), token: token.clone(), connection: arrival.connection };
        lobby.people.insert(key.clone(), person);
        lobby.connections.insert(arrival.connection, key);

        if !returns {
            self.exchange.publish(LOBBY, &wire::event("joined", &Presence { name: name.as_str() }));
        }
        let (messages, gap) = lobby.missed(&self.epoch, arrival.since);
        let welcome = Welcome {
            you: name.as_str(),
            token: &token,
            epoch: &self.epoch,
            seq: lobby.last.map_or(0, |said| said.seq),
            online: lobby.people.values().map(|person| person.name.as_str()).collect(),
            messages,
            gap,
        };
        self.exchange.answer(arrival.connection, &wire::event("welcome", &welcome));
        self.exchange.subscribe(arrival.connection, LOBBY);
        Ok(())
    }

    fn say(&self, connection: ConnectionId, text: &str) -> Result<Said, SayError> {
        let mut lobby = self.lock();
        let from = match lobby.connections.get(&connection).and_then(|key| lobby.people.get(key)) {
            Some(person) => person.name.as_str().to_owned(),
            None => return Err(SayError::NotIn),
        };
        if self.exchange.is_overloaded() {
            return Err(SayError::Overloaded);
        }
        let last = lobby.last.unwrap_or(Said { seq: 0, time: 0 });
        let said = Said { seq: last.seq + 1, time: now().max(last.time) };
        let mut entry = Entry { said, from, text: text.to_owned(), bytes: 0 };
        let event = wire::event("message", &entry);
        entry.bytes = event.len();
        self.exchange.publish(LOBBY, &event);
        lobby.append(entry);
        Ok(said)
    }

    fn leave(&self, connection: ConnectionId) {
        let mut lobby = self.lock();
        let Some(key) = lobby.connections.remove(&connection) else { return };
        if let Some(person) = lobby.people.remove(&key) {
            self.exchange.publish(LOBBY, &wire::event("left", &Presence { name: person.name.as_str() }));
        }
    }
}

impl Lobby {
    fn append(&mut self, entry: Entry) {
        self.last = Some(entry.said);
        self.log_bytes += entry.bytes;
        self.log.push_back(entry);
        while (self.log.len() > KEPT_MESSAGES || self.log_bytes > KEPT_BYTES)
            && let Some(oldest) = self.log.pop_front()
        {
            self.log_bytes -= oldest.bytes;
        }
    }

    /// What somebody who saw everything up to `since` has missed, and whether some of that is lost. Who was not here
    /// before gets the latest few.
    fn missed(&self, epoch: &str, since: Option<&Since>) -> (Vec<&Entry>, bool) {
        let last = self.last.map_or(0, |said| said.seq);
        let known = since.filter(|since| since.epoch == epoch && since.seq <= last);
        match known {
            Some(since) => {
                let oldest = self.log.front().map_or(last + 1, |entry| entry.said.seq);
                let missed = self.log.iter().filter(|entry| entry.said.seq > since.seq).collect();
                (missed, since.seq + 1 < oldest)
            }
            None => {
                let latest = self.log.iter().skip(self.log.len().saturating_sub(SHOWN_MESSAGES)).collect();
                (latest, since.is_some())
            }
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The topic of all who are in.
const LOBBY: &str = "lobby";
/// The close code for a connection whose name another one has taken over.
const REPLACED: CloseCode = CloseCode::new(4000);
/// Messages that are kept for who comes back, and their bytes.
const KEPT_MESSAGES: usize = 1000;
const KEPT_BYTES: usize = 512 << 10;
/// Messages that somebody sees who was not here before.
const SHOWN_MESSAGES: usize = 50;
