//! The search for the event that costs most, by changes that make an event more expensive.

use std::time::{Duration, Instant};

use serde_json::Value;
use switchboard_tests::random::Random;

use super::{
    super::{
        super::{
            super::wire,
            events::{EVENTS, decode},
            state::ANSWER_BYTES,
            state::State,
        },
        try_event_command,
    },
    Measured, RUNS, cost_of, cpu_time,
    events::{change, draw},
    filled::{Filled, Sizes, open},
    measure, slowness,
};

/// The findings for one event.
#[derive(Default)]
struct Found {
    /// Of drawn events, those that were not refused.
    ordinary: Vec<Duration>,
    /// The event that took the largest part of its budget.
    worst: Option<(Measured, Value)>,
    /// The text whose decoding took the largest part of its budget.
    worst_decoding: Option<(Duration, String)>,
}

/// In a release build this fails if any event takes longer than its weight allows: 50 µs for each, and for each
/// [`ANSWER_BYTES`] of its reply. A debug build is ten times as slow, and only looks for what is out of all proportion.
///
/// `COST_SECONDS=600` searches longer, `SEED=7` elsewhere.
#[test]
fn no_event_costs_more_than_its_weight() {
    let number = |name, default| std::env::var(name).map_or(default, |value| value.parse().expect("a number"));
    let (seconds, seed) = (number("COST_SECONDS", if cfg!(debug_assertions) { 6 } else { 30 }), number("SEED", 1));
    let slowness = allowance();
    let mut filled = Filled::new(if cfg!(debug_assertions) { SMALL } else { LARGE });
    let each = Duration::from_secs(seconds) / u32::try_from(EVENTS.len()).expect("few events");
    let mut report = format!("slowness {slowness:.2}\nevent: weight, budget; p50; most expensive\n");
    let mut failures = Vec::new();
    let token = filled.token.hash();
    let mut welcome_again = || measure(&mut filled.state, RUNS, || move |state: &mut State| open(state, token));
    let welcome = welcome_again();
    report += &format!("<opened>: {:?} of {WELCOME_BUDGET:?}, welcome of {} bytes\n", welcome.took, welcome.reply);
    if welcome.took > WELCOME_BUDGET.mul_f64(slowness) && stays_above(WELCOME_BUDGET, || welcome_again().took) {
        failures.push(format!("a welcome takes {:?}", welcome.took));
    }
    for row in EVENTS {
        let found = search(&mut filled, row.name, row.weight, each, &mut Random::new(seed));
        let mut ordinary = found.ordinary;
        ordinary.sort_unstable();
        let p50 = ordinary.get(ordinary.len() / 2).copied().unwrap_or_default();
        if let Some((measured, data)) = &found.worst {
            let budget = budget_of(row.weight, measured.reply);
            let shown: String = data.to_string().chars().take(100).collect();
            let line = format!(
                "{}: {}, {budget:?}; {p50:?}; {:?}, reply of {} bytes, {shown}",
                row.name, row.weight, measured.took, measured.reply
            );
            report += &format!("{line}\n");
            let event = serde_json::json!([row.name, data, 1]);
            let again = || cost_of(&mut filled, &event).took;
            if measured.took > budget.mul_f64(slowness) && stays_above(budget, again) {
                failures.push(line);
            }
        }
        if let Some((took, text)) = &found.worst_decoding {
            let budget = decoding_budget_of(text.len());
            let line = format!("{}: decoding {} bytes took {took:?} of {budget:?}", row.name, text.len());
            report += &format!("    {line}\n");
            if *took > budget.mul_f64(slowness) && stays_above(budget, || decoding_time(text)) {
                failures.push(line);
            }
        }
    }
    eprintln!("{report}");
    assert!(failures.is_empty(), "above the budget:\n{}", failures.join("\n"));
}

/// How many times its budget an event may take on this machine, as slow as it is now.
fn allowance() -> f64 {
    slowness() * if cfg!(debug_assertions) { DEBUG_SLACK } else { 1.0 }
}

/// Tells whether work that was above its budget once still is when it is measured again, beside a new measurement of
/// how slow the machine is: others on it can slow it down for a while, and no weight is to answer for them.
fn stays_above(budget: Duration, mut again: impl FnMut() -> Duration) -> bool {
    (0..CONFIRMATIONS).all(|_| again() > budget.mul_f64(allowance()))
}

fn budget_of(weight: u32, reply: usize) -> Duration {
    Duration::from_micros(50).mul_f64(f64::from(weight) + reply as f64 / ANSWER_BYTES as f64)
}

/// Returns the budget of a connection's thread: mostly for the rules of names, which are short.
fn decoding_budget_of(bytes: usize) -> Duration {
    Duration::from_micros(250) + Duration::from_nanos(20).mul_f64(bytes as f64)
}

/// Climbs from several starts for as long as `time`.
fn search(filled: &mut Filled, event: &str, weight: u32, time: Duration, random: &mut Random) -> Found {
    let deadline = Instant::now() + time;
    let mut found = Found::default();
    while Instant::now() < deadline {
        let mut current = draw(event, &filled.pools, random);
        let mut height = part_of_budget(filled, event, weight, &current, &mut found).unwrap_or(0.0);
        let mut tries = 0;
        while tries < TRIES && Instant::now() < deadline {
            let next = change(event, &current, &filled.pools, random);
            match part_of_budget(filled, event, weight, &next, &mut found) {
                Some(higher) if higher > height => (current, height, tries) = (next, higher, 0),
                _ => tries += 1,
            }
        }
    }
    found
}

/// Measures an event, and returns the larger part of its two budgets that it takes. Returns `None` if it is too long or
/// malformed.
fn part_of_budget(filled: &mut Filled, event: &str, weight: u32, data: &Value, found: &mut Found) -> Option<f64> {
    let value = serde_json::json!([event, data, 1]);
    let text = value.to_string();
    let bytes = text.len();
    if bytes > MAX_EVENT {
        return None;
    }
    let decoding = decoding_time(&text);
    let decoding_part = decoding.as_secs_f64() / decoding_budget_of(bytes).as_secs_f64();
    let part = |took: Duration, bytes| took.as_secs_f64() / decoding_budget_of(bytes).as_secs_f64();
    if found.worst_decoding.as_ref().is_none_or(|(took, worst)| part(*took, worst.len()) < decoding_part) {
        found.worst_decoding = Some((decoding, text));
    }
    try_event_command(filled.connection, &value).ok()?;
    let measured = cost_of(filled, &value);
    found.ordinary.push(measured.took);
    let part = |measured: Measured| measured.took.as_secs_f64() / budget_of(weight, measured.reply).as_secs_f64();
    if found.worst.as_ref().is_none_or(|(worst, _)| part(*worst) < part(measured)) {
        found.worst = Some((measured, data.clone()));
    }
    Some(part(measured).max(decoding_part))
}

/// Measures the work of a connection's thread.
fn decoding_time(text: &str) -> Duration {
    let once = || {
        let start = cpu_time();
        let decoded = wire::decode(text).map(|event| {
            let mut data = serde_json::Deserializer::from_str(event.data.get());
            decode(&event.event, &mut data)
        });
        let took = cpu_time() - start;
        drop(decoded);
        took
    };
    (0..RUNS).map(|_| once()).min().expect("some runs")
}

/// Maximum length of an event: the longest message that the chat accepts.
const MAX_EVENT: usize = 64 << 10;
/// How long a new connection may take. Each user has one a second.
const WELCOME_BUDGET: Duration = Duration::from_millis(1);
/// Changes without success after which the search begins elsewhere.
const TRIES: usize = 30;
/// Measurements that must all be above a budget before it counts as exceeded.
const CONFIRMATIONS: usize = 10;
/// How many times as long a debug build may take.
const DEBUG_SLACK: f64 = 5.0;

const SMALL: Sizes =
    Sizes { online: 200, rooms: 210, members: 100, messages: 220, sessions: 20, blocks: 50, conversations: 100 };
const LARGE: Sizes = Sizes {
    online: 2_000,
    rooms: 10_000,
    members: 2_000,
    messages: 2_000,
    sessions: 100,
    blocks: 1_000,
    conversations: 1_000,
};
