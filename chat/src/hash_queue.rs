//! The queue of passwords to be hashed, which nobody can fill for others.
//!
//! A hash takes about 20 ms, so whoever waits behind 64 of them waits longer than a second. Those who ask take turns: a
//! network of strangers that asks for a thousand hashes gets one at a time between all others. In a full queue the
//! longest row gives way. Devices that have signed in before have three turns of four, and places of their own; so have
//! users who are signed in, who share the rest of the turns with strangers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::rate::Network;

/// Who asks for a hash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// A device on which a user has signed in before, by the key of the user's name.
    Device(String),
    /// A user who is signed in, by the user's id.
    User(String),
    Stranger(Network),
}

/// The queue is full, and others had fewer jobs in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

/// The sending end of a queue of `T`. The queue ends when it is dropped.
pub(super) struct HashQueue<T>(Arc<Shared<T>>);

/// The receiving end.
pub(super) struct HashJobs<T>(Arc<Shared<T>>);

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    has_more: Condvar,
}

struct Queue<T> {
    devices: Rows<T>,
    users: Rows<T>,
    strangers: Rows<T>,
    /// Devices served since the last other.
    devices_in_a_row: usize,
    /// Whether the last one that was served, devices left out, was a user who is signed in.
    was_user: bool,
    is_closed: bool,
}

/// The waiting jobs of each who asks.
struct Rows<T> {
    rows: HashMap<Asker, VecDeque<T>>,
    /// Those with a row, in the order of their turns.
    turns: VecDeque<Asker>,
    waiting: usize,
}

/// Returns the two ends of a new queue.
pub(super) fn hash_queue<T>() -> (Arc<HashQueue<T>>, HashJobs<T>) {
    let rows = || Rows { rows: HashMap::new(), turns: VecDeque::new(), waiting: 0 };
    let queue = Queue {
        devices: rows(),
        users: rows(),
        strangers: rows(),
        devices_in_a_row: 0,
        was_user: false,
        is_closed: false,
    };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), has_more: Condvar::new() });
    (Arc::new(HashQueue(Arc::clone(&shared))), HashJobs(shared))
}

impl<T> HashQueue<T> {
    /// Adds a job. Returns a job that is refused for it, perhaps this one.
    pub(super) fn push(&self, asker: Asker, job: T) -> Option<T> {
        let mut queue = self.0.lock();
        let rows = match asker {
            Asker::Device(_) => &mut queue.devices,
            Asker::User(_) => &mut queue.users,
            Asker::Stranger(_) => &mut queue.strangers,
        };
        let refused = rows.push(asker, job);
        self.0.has_more.notify_one();
        refused
    }
}

impl<T> Drop for HashQueue<T> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.has_more.notify_one();
    }
}

impl<T> HashJobs<T> {
    /// Waits for the next job. Returns `None` when the queue has ended and is empty.
    pub(super) fn next(&self) -> Option<T> {
        let mut queue = self.0.lock();
        loop {
            if let Some(job) = queue.pop() {
                return Some(job);
            }
            if queue.is_closed {
                return None;
            }
            queue = self.0.has_more.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Queue<T> {
    fn pop(&mut self) -> Option<T> {
        let others_turn = self.devices_in_a_row >= DEVICES_IN_A_ROW && self.users.waiting + self.strangers.waiting > 0;
        if !others_turn && let Some(job) = self.devices.pop() {
            self.devices_in_a_row += 1;
            return Some(job);
        }
        self.devices_in_a_row = 0;
        let users_turn = self.strangers.waiting == 0 || (!self.was_user && self.users.waiting > 0);
        self.was_user = users_turn;
        if users_turn { self.users.pop() } else { self.strangers.pop() }
    }
}

impl<T> Rows<T> {
    fn push(&mut self, asker: Asker, job: T) -> Option<T> {
        let own = self.rows.get(&asker).map_or(0, VecDeque::len);
        let refused = if self.waiting < MAX_WAITING {
            None
        } else {
            let longest =
                self.rows.iter().max_by_key(|(_, row)| row.len()).map(|(other, row)| (other.clone(), row.len()));
            match longest {
                Some((other, length)) if length > own + 1 => self.drop_last(&other),
                _ => return Some(job),
            }
        };
        let row = self.rows.entry(asker.clone()).or_default();
        if row.is_empty() {
            self.turns.push_back(asker);
        }
        row.push_back(job);
        self.waiting += 1;
        refused
    }

    /// Removes the last job of a row that has others before it.
    fn drop_last(&mut self, asker: &Asker) -> Option<T> {
        let job = self.rows.get_mut(asker)?.pop_back()?;
        self.waiting -= 1;
        Some(job)
    }

    fn pop(&mut self) -> Option<T> {
        let asker = self.turns.pop_front()?;
        let row = self.rows.get_mut(&asker)?;
        let job = row.pop_front()?;
        self.waiting -= 1;
        if row.is_empty() {
            self.rows.remove(&asker);
        } else {
            self.turns.push_back(asker);
        }
        Some(job)
    }
}

/// Maximum jobs of all devices, of all users, and of all strangers: those at the end of the queue wait 1.3 s.
pub(super) const MAX_WAITING: usize = 64;
/// Devices that are served one after the other while others wait.
const DEVICES_IN_A_ROW: usize = 3;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn stranger(network: u8) -> Asker {
        Asker::Stranger(Network::widest_of(IpAddr::from([192, 0, network, 1])))
    }

    /// Takes all jobs of a queue that ends.
    fn rest<T>(queue: Arc<HashQueue<T>>, jobs: &HashJobs<T>) -> Vec<T> {
        drop(queue);
        std::iter::from_fn(|| jobs.next()).collect()
    }

    #[test]
    fn strangers_take_turns_by_network() {
        let (queue, jobs) = hash_queue();
        for job in ["a1", "a2", "a3", "b1", "c1", "c2"] {
            assert_eq!(queue.push(stranger(job.as_bytes()[0]), job), None);
        }
        assert_eq!(rest(queue, &jobs), ["a1", "b1", "c1", "a2", "c2", "a3"]);
    }

    #[test]
    fn the_longest_row_gives_way_in_a_full_queue() {
        let (queue, jobs) = hash_queue();
        for number in 0..MAX_WAITING {
            assert_eq!(queue.push(stranger(1), (1, number)), None);
        }
        assert_eq!(queue.push(stranger(1), (1, 99)), Some((1, 99)), "it is the longest itself");
        for number in 0..MAX_WAITING / 2 {
            assert_eq!(queue.push(stranger(2), (2, number)), Some((1, MAX_WAITING - 1 - number)));
        }
        assert_eq!(queue.push(stranger(2), (2, 99)), Some((2, 99)), "both are equally long");
        assert_eq!(queue.push(stranger(3), (3, 0)).map(|(row, _)| row == 1 || row == 2), Some(true));
        let served: Vec<_> = rest(queue, &jobs).into_iter().take(3).collect();
        assert_eq!(served, [(1, 0), (2, 0), (3, 0)], "a newcomer waits for one job of each other");
    }

    #[test]
    fn known_devices_have_three_turns_of_four_and_places_that_others_cannot_fill() {
        let (queue, jobs) = hash_queue();
        for number in 0..2 * MAX_WAITING {
            queue.push(stranger(u8::try_from(number).unwrap()), "stranger");
            queue.push(Asker::User(number.to_string()), "user");
        }
        for name in ["Ada", "Bob", "Ada", "Cem", "Ada"] {
            assert_eq!(queue.push(Asker::Device(name.to_owned()), name), None);
        }
        let served: Vec<_> = rest(queue, &jobs).into_iter().take(10).collect();
        let expected = ["Ada", "Bob", "Cem", "user", "Ada", "Ada", "stranger", "user", "stranger", "user"];
        assert_eq!(served, expected);
    }
}
