//! Attacks that broke other WebSocket stacks, each a test that shows what answers it here. A test's name begins with
//! the id of its row.
//!
//! | id | rule | where others fell |
//! |---|---|---|
//! | HS-01 | a head past the cap gets 431, for linear work and one cap of memory | CVE-2023-43669 (tungstenite) |
//! | HS-02 | many fields, folded lines, NUL, bare LF, space before a colon get 431 or 400 | CVE-2024-37890 (ws) |
//! | HS-03 | a handshake has an absolute deadline, whatever trickles in | slowloris |
//! | HS-04 | lists in header fields are read in linear time | CVE-2021-32640 (ws), CVE-2020-7662/7663 (websocket-extensions) |
//! | HS-05 | a foreign Origin gets 403 before 101 | CWE-1385 |
//! | HS-06 | what breaks out of a header line is an error of the API | CVE-2026-1527 (undici) |
//! | HS-07 | a handshake with a body or a bad version ends the connection | request smuggling |
//! | HS-08 | each way to ask wrongly has its status | |
//! | HS-09 | frames in the packet of the request are delivered | |
//! | HS-10 | a client takes no answer but the right one, and little of any other | CVE-2026-1527 (undici) |
//! | FR-01 | a length that is out of range fails and costs nothing | CVE-2020-27813 (gorilla), CVE-2026-43678 (swift-nio), CVE-2026-1528 (undici), CVE-2026-27889 (nats-server), CVE-2020-13935 (Tomcat) |
//! | FR-02 | a length is minimal | |
//! | FR-03 | a length that is claimed reserves nothing | CVE-2022-35922 (websocket) |
//! | FR-04 | a client masks, a server does not | |
//! | FR-05 | reserved bits fail | |
//! | FR-06 | reserved opcodes fail before their length is known | CVE-2026-19204 (Jetty) |
//! | FR-07 | how bytes are cut changes nothing | |
//! | FR-08 | each client frame has a key of its own | CVE-2025-10148 (curl) |
//! | FR-09 | lengths at the borders and a key of zero are taken | |
//! | MS-01 | fragments count against the limit together | fastwebsockets #100 |
//! | MS-02 | a fragment costs its bytes and no object | CVE-2026-48779, #2331 (ws) |
//! | MS-03 | empty frames in a row have an end | #2329 (ws), RUSTSEC-2026-0258 (h2) |
//! | MS-04 | fragments come in order | |
//! | MS-05 | a message that is not gone on with has a deadline | |
//! | MS-06 | text that is not UTF-8 fails at the byte that shows it | |
//! | CT-01 | pongs that are not read are few | userver PR #1308, RUSTSEC-2020-0043 (ws-rs) |
//! | CT-02 | control frames are short and whole | bun PR #35030, OkHttp |
//! | CT-03 | a Pong passes the data that waits | uWebSockets #1876 |
//! | CL-01 | codes and reasons are those that may be sent | |
//! | CL-02 | a Close reaches whoever is still sending | |
//! | CL-03 | each connection ends once, and leaves nothing | |
//! | CL-04 | closes that cross, and data behind one, end cleanly | |
//! | CL-05 | a Close frame holds what was given and nothing else | CVE-2026-45736 (ws) |
//! | PM-01 | what is inflated is bounded while it is inflated | CVE-2026-1526 (undici), CVE-2018-1000518 |
//! | PM-02 | what is inflated in one turn is bounded | |
//! | PM-03 | offers and answers are taken, declined or refused, and never panic | CVE-2026-2229 (undici), madler/zlib #171 |
//! | PM-04 | what is no DEFLATE data of one message is refused | |
//! | PM-05 | RSV1 stands where it was agreed on, and only on a first frame | |
//! | PM-06 | context takeover keeps to its budget | |
//! | PM-07 | what must not be compressed is not | CRIME |
//! | RS-01 | who does not read costs nobody else | RUSTSEC-2020-0043 (ws-rs), #2441 (actix) |
//! | RS-02 | a short message that is kept pins no long buffer | tungstenite #480, socketioxide #448 |
//! | RS-03 | an idle connection is small | |
//! | RS-04 | a server out of descriptors serves on and takes newcomers again | bun PR #32705, libuv, libmill #182 |
//! | RS-05 | a flood of resets leaves nothing behind | RUSTSEC-2023-0034, -2024-0003 (h2) |
//! | RS-07 | who sends without end keeps nobody waiting | |
//!
//! Crowds and repetitions are scaled down to keep the run short; `SWITCHBOARD_LONG=1` runs them in full. What cannot be
//! tested here is said at the test that comes nearest.
#![cfg(target_os = "linux")]

mod close;
mod control;
mod deflate;
mod frames;
mod handshake;
mod messages;
mod process;
mod resources;

use std::sync::{Mutex, MutexGuard, PoisonError};
use switchboard_tests::counting::CountingAllocator;

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// How many, how long: `usual`, or `long` where the run may take its time.
fn scaled<T>(usual: T, long: T) -> T {
    if std::env::var_os("SWITCHBOARD_LONG").is_some_and(|value| value == "1") { long } else { usual }
}

/// Whoever needs thousands of descriptors, or compares times, waits for the others who do.
fn exclusively() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    turn
}
