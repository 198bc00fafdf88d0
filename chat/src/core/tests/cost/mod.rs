//! What the core's thread spends on each event: no event takes longer than its weight says, and none grows with what
//! others do unless the table of events says so.

mod events;
mod filled;
mod growth;
mod search;

pub(super) use growth::{each_event, filled as filled_chat};

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use switchboard::{CloseCode, Message, Prepared};

use self::filled::Filled;
use super::{
    super::{
        super::interface::{
            Audience, ClientId, Delivery, Effect, JsonDelivery, Outcome, RequestId, delivery::Transport,
        },
        state::State,
    },
    event_command,
};

/// A transport that does what the core's thread has to do for a connection, and drops the result.
#[derive(Default)]
struct DroppedTransport;

impl Transport for DroppedTransport {
    fn subscribe(&self, _: ClientId, topic: &str) {
        std::hint::black_box(topic.to_owned());
    }

    fn unsubscribe(&self, connection: ClientId, topic: &str) {
        self.subscribe(connection, topic);
    }

    fn send(&self, _: ClientId, text: &str) {
        std::hint::black_box(Prepared::text(text).uncompressed());
    }

    fn publish(&self, _: &str, text: &str, _: Option<ClientId>) {
        std::hint::black_box(Prepared::from(Message::Text(text)));
    }

    fn resume(&self, _: ClientId) {}

    fn shut(&self, connection: ClientId, code: CloseCode, reason: &str) {
        self.close(connection, code, reason);
    }

    fn close(&self, _: ClientId, _: CloseCode, reason: &str) {
        std::hint::black_box(reason.to_owned());
    }

    fn post(&self) {}

    fn complete(&self, _: RequestId, _: Outcome) {}

    fn is_overloaded(&self) -> bool {
        false
    }
}

const DROPPED: JsonDelivery<DroppedTransport> = JsonDelivery(DroppedTransport);

/// The cost of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Measured {
    /// CPU time of the core's thread, without the commit.
    took: Duration,
    /// Bytes of the first text that is sent: the reply.
    reply: usize,
}

/// Does work several times in a transaction that is rolled back, and returns the least cost. The first time is not
/// counted: it fills the caches. What `prepare` does is not counted either.
fn measure<W: FnOnce(&mut State)>(state: &mut State, runs: usize, prepare: impl Fn() -> W) -> Measured {
    (0..=runs).map(|_| measure_once(state, prepare())).skip(1).min().expect("at least one run")
}

/// Measures an event.
fn cost_of(filled: &mut Filled, event: &Value) -> Measured {
    let connection = filled.connection;
    measure(&mut filled.state, RUNS, || {
        let command = event_command(connection, event);
        move |state: &mut State| drop(state.run(&command).unwrap())
    })
}

fn measure_once(state: &mut State, work: impl FnOnce(&mut State)) -> Measured {
    state.store.begin().unwrap();
    let start = cpu_time();
    work(state);
    let mut reply = None;
    for effect in std::mem::take(&mut state.effects) {
        let effect = effect.map(|content| DROPPED.encode(content));
        if let Effect::Tell(Audience::One(_), json) = &effect {
            reply = reply.or(Some(JsonDelivery::<DroppedTransport>::bytes(json)));
        }
        DROPPED.deliver(effect);
    }
    let took = cpu_time() - start;
    state.store.roll_back();
    state.presence.roll_back();
    Measured { took, reply: reply.unwrap_or(0) }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
}

/// Returns how much longer this machine takes for a fixed piece of work than the one on which weights were measured,
/// but not less than 1.
fn slowness() -> f64 {
    let text = serde_json::to_string(&(0..2_000).map(|n| (n, format!("{n}"))).collect::<Vec<_>>()).unwrap();
    let once = || {
        let start = cpu_time();
        let value: Value = serde_json::from_str(&text).unwrap();
        std::hint::black_box(value.to_string());
        cpu_time() - start
    };
    let took = (0..50).map(|_| once()).min().expect("fifty runs");
    (took.as_secs_f64() / REFERENCE.as_secs_f64()).max(1.0)
}

/// Runs of each piece of work.
const RUNS: usize = 5;
/// How long the work of [`slowness`] takes in a release build on the machine on which weights were measured.
const REFERENCE: Duration = Duration::from_micros(350);
