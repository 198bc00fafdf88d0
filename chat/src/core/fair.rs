//! A fair queue: every source of work gets an equal share of the thread's time.
//!
//! This is deficit round robin (Shreedhar and Varghese, 1995), charged with the time that the work took. A source whose
//! work took longer than its share waits until the others have had as much. Within a source its lines take turns, and
//! each line is in order.
//!
//! Users' work and strangers' work are apart: however many strangers wait, they get a quarter of the time while users
//! wait.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    net::IpAddr,
    time::Duration,
};

use super::super::interface::ClientId;
use super::super::store::UserId;

/// Whom a piece of work is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// The core itself, which goes first: the rest of work that has had its turn already.
    Core,
    User(UserId),
    /// A client that is not signed in, by the key of its address.
    Stranger(IpAddr),
}

/// Work that must stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    Connection(ClientId),
    /// Work of this source that belongs to no connection.
    Source(Source),
}

/// A fair queue of `T`.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    lines: HashMap<Line, VecDeque<T>>,
    sources: HashMap<Source, Waiting>,
    core: VecDeque<T>,
    users: VecDeque<Source>,
    strangers: VecDeque<Source>,
    /// By how many nanoseconds the users are ahead of [`STRANGERS_PART`] times what the strangers have had.
    users_lead: i64,
}

/// A source with work.
#[derive(Debug)]
struct Waiting {
    /// Nanoseconds that the source may still use in this round; negative if it has used more.
    credit: i64,
    /// The lines with work, in the order of their turns.
    lines: VecDeque<Line>,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            sources: HashMap::new(),
            core: VecDeque::new(),
            users: VecDeque::new(),
            strangers: VecDeque::new(),
            users_lead: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.core.is_empty() && self.lines.is_empty()
    }

    /// Adds work at the end of its line. If the line is empty, `source` says whom the work is for; otherwise the line
    /// stays where it is, so that it stays in order.
    pub(super) fn push(&mut self, line: Line, work: T, source: impl FnOnce() -> Source) {
        if line == Line::Source(Source::Core) {
            return self.core.push_back(work);
        }
        match self.lines.entry(line) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push_back(work),
            Entry::Vacant(vacant) => {
                vacant.insert(VecDeque::from([work]));
                let source = source();
                let waiting = self.sources.entry(source).or_insert_with(|| {
                    match source {
                        Source::User(_) => self.users.push_back(source),
                        Source::Stranger(_) | Source::Core => self.strangers.push_back(source),
                    }
                    Waiting { credit: SHARE, lines: VecDeque::new() }
                });
                waiting.lines.push_back(line);
            }
        }
    }

    /// Takes the next work. [`charge`](Self::charge) must then be called with the time that it took.
    pub(super) fn pop(&mut self) -> Option<(Source, T)> {
        if let Some(work) = self.core.pop_front() {
            return Some((Source::Core, work));
        }
        if self.users.is_empty() || self.strangers.is_empty() {
            self.users_lead = 0;
        }
        let strangers_turn = self.users.is_empty() || (!self.strangers.is_empty() && self.users_lead > 0);
        let turns = if strangers_turn { &mut self.strangers } else { &mut self.users };
        loop {
            let source = *turns.front()?;
            let waiting = self.sources.get_mut(&source)?;
            if waiting.credit <= 0 {
                waiting.credit += SHARE;
                turns.rotate_left(1);
                continue;
            }
            let line = waiting.lines.pop_front()?;
            let works = self.lines.get_mut(&line)?;
            let work = works.pop_front()?;
            if works.is_empty() {
                self.lines.remove(&line);
            } else {
                waiting.lines.push_back(line);
            }
            if waiting.lines.is_empty() {
                self.sources.remove(&source);
                turns.pop_front();
            }
            return Some((source, work));
        }
    }

    /// Charges a source with the time that its work took.
    pub(super) fn charge(&mut self, source: Source, took: Duration) {
        let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX).min(MAX_DEBT);
        match source {
            Source::Core => {}
            Source::User(_) => self.users_lead += took,
            Source::Stranger(_) => self.users_lead -= took * STRANGERS_PART,
        }
        if let Some(waiting) = self.sources.get_mut(&source) {
            waiting.credit = (waiting.credit - took).max(-MAX_DEBT);
        }
    }
}

/// Nanoseconds that a source gets in each round.
const SHARE: i64 = 100_000;
/// Nanoseconds that a source can be charged ahead: it is then left out for a hundred rounds.
const MAX_DEBT: i64 = 100 * SHARE;
/// Users together get this many times as much as strangers together, if both wait.
const STRANGERS_PART: i64 = 3;

#[cfg(test)]
mod tests {
    use super::{super::super::interface::RunId, *};

    fn user(number: i64) -> Source {
        Source::User(UserId::numbered(number))
    }

    fn stranger(number: u8) -> Source {
        Source::Stranger(IpAddr::from([192, 0, 2, number]))
    }

    fn connection(number: u32) -> Line {
        Line::Connection(RunId::new(1).client(format!("0.{number}.0").parse().unwrap()))
    }

    /// Takes work for `time`, each piece costing what `cost` says, and returns how long each source was served.
    fn serve<T>(queue: &mut FairQueue<T>, time: Duration, cost: impl Fn(Source) -> u64) -> HashMap<Source, u64> {
        let mut served = HashMap::new();
        let mut left = time.as_micros();
        while let Some((source, _)) = queue.pop() {
            let took = cost(source);
            queue.charge(source, Duration::from_micros(took));
            *served.entry(source).or_insert(0) += took;
            left = left.saturating_sub(took.into());
            if left == 0 {
                break;
            }
        }
        served
    }

    #[test]
    fn each_line_is_in_order_and_everything_is_taken_once() {
        let mut queue = FairQueue::new();
        let mut expected: HashMap<Line, Vec<u32>> = HashMap::new();
        let mut random = 7_u32;
        for number in 0..10_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slot = (random >> 16) % 50;
            let line = connection(slot);
            // A connection that signs in belongs to another source from then on.
            let source =
                if number > 5_000 { user(i64::from(slot % 7)) } else { stranger(u8::try_from(slot % 5).unwrap()) };
            queue.push(line, (line, number), || source);
            expected.entry(line).or_default().push(number);
            if random >> 30 == 0 {
                let (source, (line, number)) = queue.pop().unwrap();
                queue.charge(source, Duration::from_micros((random >> 8 & 0xFFF).into()));
                assert_eq!(expected.get_mut(&line).unwrap().remove(0), number);
            }
        }
        while let Some((_, (line, number))) = queue.pop() {
            assert_eq!(expected.get_mut(&line).unwrap().remove(0), number);
        }
        assert!(queue.is_empty() && expected.values().all(Vec::is_empty));
        assert!(queue.sources.is_empty() && queue.users.is_empty() && queue.strangers.is_empty());
    }

    #[test]
    fn every_source_gets_the_same_time_whatever_its_work_costs_and_however_many_connections_it_has() {
        let mut queue = FairQueue::new();
        let costs = [1, 10, 100, 450, 2_000];
        for (number, cost) in (0..).zip(costs) {
            // The cheapest has one connection, the others more and more.
            for slot in 0..=number {
                let line = connection(u32::try_from(100 * number + slot).unwrap());
                (0..100_000 / cost).for_each(|_| queue.push(line, (), || user(number)));
            }
        }
        let cost_of = |source| (0..).zip(costs).find(|(number, _)| user(*number) == source).unwrap().1;
        let served = serve(&mut queue, Duration::from_millis(200), cost_of);
        for (number, cost) in (0..).zip(costs) {
            let time = served[&user(number)];
            assert!(time.abs_diff(40_000) <= 2 * 2_000 + 100, "work of {cost} µs each got {time} µs of 40,000");
        }
    }

    #[test]
    fn strangers_get_a_quarter_while_users_wait_and_everything_if_none_do() {
        let mut queue = FairQueue::new();
        for number in 0..100_u8 {
            for _ in 0..1_000 {
                queue.push(Line::Source(stranger(number)), (), || stranger(number));
            }
        }
        let alone = serve(&mut queue, Duration::from_millis(10), |_| 10);
        assert_eq!(alone.values().sum::<u64>(), 10_000);
        (0..10_000).for_each(|_| queue.push(connection(1), (), || user(1)));
        let served = serve(&mut queue, Duration::from_millis(40), |_| 10);
        assert!(served[&user(1)].abs_diff(30_000) <= 100, "{} µs of 40,000", served[&user(1)]);
    }

    #[test]
    fn a_newcomer_is_served_within_one_round_of_those_who_wait() {
        let mut queue = FairQueue::new();
        for number in 0..10 {
            (0..1_000).for_each(|_| queue.push(Line::Source(user(number)), (), || user(number)));
        }
        serve(&mut queue, Duration::from_millis(100), |_| 450);
        queue.push(connection(1), (), || user(99));
        let mut before = 0;
        while let Some((source, ())) = queue.pop() {
            if source == user(99) {
                break;
            }
            queue.charge(source, Duration::from_micros(450));
            before += 450;
        }
        assert!(before <= 10 * (450 + 100), "{before} µs");
    }

    #[test]
    fn the_core_goes_first() {
        let mut queue = FairQueue::new();
        queue.push(connection(1), 1, || user(1));
        queue.push(Line::Source(Source::Core), 2, || Source::Core);
        assert_eq!(queue.pop(), Some((Source::Core, 2)));
        assert_eq!(queue.pop(), Some((user(1), 1)));
        assert_eq!(queue.pop(), None);
    }
}
