//! The server's workers among simulated clients, in simulated time: everything from one seed, on one thread.
//!
//! | file | what |
//! |---|---|
//! | `setting.rs` | what a seed decides before its run: profiles, configuration, behaviors |
//! | `run.rs` | one run: who goes when, and what holds after every turn and at the end |
//! | `ledger.rs` | what must come to whom, and how a connection may end |
//! | `app.rs` | the service that the clients speak to |
//! | `client.rs` | the clients |
//!
//! `SEED=n` runs one seed and prints what happens in it, `SEEDS=n` runs so many.

mod app;
mod client;
mod ledger;
mod run;
mod setting;

use std::{
    collections::BTreeMap,
    env,
    panic::catch_unwind,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::End;
use crate::ProtocolError;
use run::{Outcome, run};
use setting::Behavior;

/// Runs a seed; `None` where it panics, which is then written with the way to replay it.
fn run_seed(seed: u64, print: bool) -> Option<Outcome> {
    let outcome = catch_unwind(|| run(seed, print));
    if outcome.is_err() {
        eprintln!("failed with seed {seed}; to replay it: SEED={seed} cargo test --lib simulation -- --nocapture");
    }
    outcome.ok()
}

fn env_number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn whatever_the_network_does_nothing_is_lost_and_all_ends_as_it_should() {
    if let Some(seed) = env_number("SEED") {
        println!("{:#?}", run_seed(seed, true).expect("it passes"));
        return;
    }
    let seeds = env_number("SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    let counts = Mutex::new(BTreeMap::<String, u64>::new());
    let work = || {
        while failed.load(Ordering::Relaxed) < MAX_FAILURES {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let Some(outcome) = run_seed(seed, false) else {
                failed.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let mut counts = counts.lock().expect("nobody panics who holds it");
            for (what, count) in outcome.counts {
                *counts.entry(what).or_default() += count;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    assert_eq!(failed.into_inner(), 0, "seeds failed: see above");
    let counts = counts.into_inner().expect("nobody panicked who held it");
    for (what, count) in &counts {
        println!("{count:>8} {what}");
    }
    if seeds >= SEEDS {
        let missing: Vec<_> = expected().into_iter().filter(|what| !counts.contains_key(what)).collect();
        assert_eq!(missing, [""; 0], "never happened in {seeds} seeds");
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..24 {
        let outcome = run_seed(seed, false);
        assert!(outcome.is_some() && outcome == run_seed(seed, false), "seed {seed}");
    }
}

/// All that must happen in a few seeds: every end, every behavior.
fn expected() -> Vec<String> {
    let code = None;
    let ends = [
        End::Closed { by_us: true, code },
        End::Closed { by_us: false, code },
        End::Failed(ProtocolError::UnmaskedFrame),
        End::Vanished,
        End::Broken(std::io::ErrorKind::ConnectionReset),
        End::NoPong,
        End::NoClose,
        End::WriteStalled,
        End::MessageStalled,
        End::TooSlow,
        End::Overloaded,
        End::Stopped,
    ];
    let behaviors = [
        Behavior::Closes,
        Behavior::ClosesAndEnds,
        Behavior::RequestsClose,
        Behavior::IgnoresClose,
        Behavior::Ends,
        Behavior::Resets,
        Behavior::Vanishes,
        Behavior::StopsReading,
        Behavior::StopsInMessage,
        Behavior::BreaksProtocol,
        Behavior::PlainHttp,
        Behavior::StopsInRequest,
        Behavior::Silent,
    ];
    let others = [
        "paused",
        "stands still",
        "pinged by the server",
        "answered plainly",
        "skipped for a slow subscriber",
        "refused with 403",
        "refused with 500",
        "refused with 503",
        "a worker does not keep up with its mail",
        "stopped in the middle of it",
        #[cfg(feature = "deflate")]
        "permessage-deflate",
        #[cfg(feature = "deflate")]
        "permessage-deflate; client_no_context_takeover",
        #[cfg(feature = "deflate")]
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ];
    let ends = ends.iter().map(|end| ledger::name(end).to_owned());
    ends.chain(behaviors.iter().map(|behavior| format!("{behavior:?}"))).chain(others.map(Into::into)).collect()
}

/// As many as are worth the time of every `cargo test`.
const SEEDS: u64 = 200;
/// Failed seeds after which no more are run.
const MAX_FAILURES: u64 = 10;
