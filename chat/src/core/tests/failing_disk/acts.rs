//! What users want to change while the disk fails, what they are answered, and what must therefore be there after a
//! crash.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{super::LOBBY, NAMES, ROOM};

/// A change that a user wants, with all attempts to make it.
pub(super) struct Act {
    pub(super) user: usize,
    pub(super) event: &'static str,
    pub(super) data: Value,
    /// A query for how often the change is in the store, and one for the number that a message has there.
    pub(super) count: String,
    pub(super) seq: Option<String>,
    /// The attempts in this life of the process.
    pub(super) attempts: Vec<Attempt>,
    /// What follows from the earlier ones.
    pub(super) known: Known,
}

/// An attempt at a change.
pub(super) struct Attempt {
    pub(super) batch: usize,
    pub(super) answer: Answer,
    /// The length of the log of calls before the attempt, and when it was answered.
    pub(super) began: usize,
    pub(super) answered: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Acknowledged, with the number of a message.
    Done(Value),
    /// Certainly not done.
    Refused,
    Unknown,
}

/// How often a change must be there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    Never,
    NeverOrOnce,
    /// Once, with this number if it is a message.
    Once(Value),
}

impl Attempt {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.answer, Answer::Done(_))
    }
}

impl Act {
    fn new(user: usize, event: &'static str, data: Value, count: String) -> Self {
        Self { user, event, data, count, seq: None, attempts: Vec::new(), known: Known::Never }
    }

    fn message(user: usize, event: &'static str, to: (&str, Value), number: u128, text: &str) -> Self {
        let data = json!({ to.0: to.1, "text": text, "key": Uuid::from_u128(number).to_string() });
        let seq = Some(format!("SELECT seq FROM messages WHERE text = '{text}'"));
        Self { seq, ..Self::new(user, event, data, format!("SELECT count(*) FROM messages WHERE text = '{text}'")) }
    }

    /// Returns whether a repeat does nothing if the change was made.
    pub(super) fn has_key(&self) -> bool {
        self.data["key"].is_string()
    }

    /// Returns what must be there if the process has crashed when the log was `end` long. The last batch in which
    /// anything was done by then is `last_done`.
    fn after_crash(&self, end: usize, last_done: Option<usize>) -> Known {
        let begun = || self.attempts.iter().filter(|attempt| attempt.began < end);
        let done = begun().filter(|attempt| attempt.answered <= end).find_map(|attempt| match &attempt.answer {
            Answer::Done(seq) => Some(Known::Once(seq.clone())),
            Answer::Refused | Answer::Unknown => None,
        });
        // Each commit settles what was unknown before.
        let is_open = |attempt: &Attempt| {
            attempt.answered > end || (attempt.answer == Answer::Unknown && last_done <= Some(attempt.batch))
        };
        match &self.known {
            Known::Once(_) => self.known.clone(),
            Known::Never if !begun().any(is_open) => done.unwrap_or(Known::Never),
            Known::Never | Known::NeverOrOnce => done.unwrap_or(Known::NeverOrOnce),
        }
    }
}

/// Works out what must be there if the process has crashed when the log was `end` long.
pub(super) fn note_crash(acts: &mut [Act], end: usize) {
    let attempts = acts.iter().flat_map(|act| &act.attempts);
    let last_done =
        attempts.filter(|attempt| attempt.is_done() && attempt.answered <= end).map(|done| done.batch).max();
    for act in acts {
        act.known = act.after_crash(end, last_done);
        act.attempts.clear();
    }
}

/// Returns the acts of one life of the process, batch by batch.
pub(super) fn script(life: usize) -> Vec<Vec<Act>> {
    let message = |user, event, to, number: usize, length| {
        Act::message(
            user,
            event,
            to,
            (life * 1000 + number) as u128,
            &format!("{life} {number} {}", "x".repeat(length)),
        )
    };
    let say = |user, number, length| message(user, "say", ("room", json!(LOBBY)), number, length);
    let tell = |user: usize, number, length| message(user, "tell", ("name", json!(NAMES[1 - user])), number, length);
    let create = |user, name: &str| {
        let name = format!("{name} {life}");
        let count = format!("SELECT count(*) FROM rooms WHERE name = '{name}'");
        Act::new(user, "create", json!({ "name": name }), count)
    };
    let topic = format!("topic {life}");
    let count = format!("SELECT count(*) FROM messages WHERE text = '{topic}'");
    let topic = Act::new(0, "topic", json!({ "room": ROOM, "topic": topic }), count);
    vec![
        vec![say(0, 1, 10), say(1, 2, 10), create(0, "Room")],
        vec![tell(1, 3, 3900)],
        (4..14).map(|number| say(number % 2, number, 3800)).collect(),
        vec![topic, say(1, 14, 1)],
        vec![say(0, 15, 100)],
        vec![tell(0, 16, 10), say(1, 17, 2000), create(1, "Attic")],
    ]
}
