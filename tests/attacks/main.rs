//! Attacks that broke other WebSocket implementations, and the defence against each. A test's name begins with the id
//! of its row.
//!
//! | file | ids | subject |
//! |---|---|---|
//! | `handshake` | HS | the opening handshake |
//! | `frames` | FR | frame headers |
//! | `messages` | MS | fragments and text |
//! | `control` | CT | Pings and Pongs |
//! | `close` | CL | the closing handshake and every other end of a connection |
//! | `deflate` | PM | permessage-deflate |
//! | `addresses` | RS | connections from one address |
//! | `resources` | RS | memory, descriptors and turns that many peers share |
//! | `time` | TM | times in which the server does not run, and what arrives meanwhile |
//! | `memory` | ME | the memory that all peers together can take |
//! | `log` | LG | what peers write into the log |
//! | `tls` | TL | TLS |
//! | `process` | | servers in processes of their own |
//!
//! | id | rule | where other implementations failed |
//! |---|---|---|
//! | HS-01 | a head over the limit gets 431, in linear time and bounded memory | CVE-2023-43669 (tungstenite) |
//! | HS-02 | many fields, folded lines, NUL, bare LF, space before a colon get 431 or 400 | CVE-2024-37890 (ws) |
//! | HS-03 | a handshake has an absolute deadline, however slowly bytes come | slowloris |
//! | HS-04 | lists in header fields are read in linear time | CVE-2021-32640 (ws), CVE-2020-7662/7663 (websocket-extensions) |
//! | HS-05 | a foreign Origin gets 403 before 101 | CWE-1385 |
//! | HS-06 | text that would break out of a header line is refused by the API | CVE-2026-1527 (undici) |
//! | HS-07 | a handshake with a body or a bad version ends the connection | request smuggling |
//! | HS-08 | each invalid request has its status | |
//! | HS-09 | frames in the packet of the request are delivered | |
//! | HS-10 | a client accepts only the right response, and reads little of any other | CVE-2026-1527 (undici) |
//! | FR-01 | a length out of range fails and allocates nothing | CVE-2020-27813 (gorilla), CVE-2026-43678 (swift-nio), CVE-2026-1528 (undici), CVE-2026-27889 (nats-server), CVE-2020-13935 (Tomcat) |
//! | FR-02 | a length has its shortest form | |
//! | FR-03 | a length that is claimed reserves nothing | CVE-2022-35922 (websocket) |
//! | FR-04 | a client masks, a server does not | |
//! | FR-05 | reserved bits fail | |
//! | FR-06 | reserved opcodes fail before their length is known | CVE-2026-19204 (Jetty) |
//! | FR-07 | the result does not depend on how reads cut the bytes | |
//! | FR-08 | each client frame has a masking key of its own | CVE-2025-10148 (curl) |
//! | FR-09 | lengths at the limits of each form and a masking key of zero are accepted | |
//! | MS-01 | fragments count against the limit together | fastwebsockets #100 |
//! | MS-02 | a fragment takes no more memory than its payload | CVE-2026-48779, #2331 (ws) |
//! | MS-03 | the number of empty frames in a row is limited | #2329 (ws), RUSTSEC-2026-0258 (h2) |
//! | MS-04 | fragments come in order | |
//! | MS-05 | an unfinished message without progress has a deadline | |
//! | MS-06 | text that is not UTF-8 fails at the byte that shows it | |
//! | CT-01 | few Pongs wait for a peer that does not read | userver PR #1308, RUSTSEC-2020-0043 (ws-rs) |
//! | CT-02 | control frames are short and not fragmented | bun PR #35030, OkHttp |
//! | CT-03 | a Pong is sent before data that waits | uWebSockets #1876 |
//! | CL-01 | only valid codes and reasons are accepted and sent | |
//! | CL-02 | a Close reaches a peer that is still sending | |
//! | CL-03 | each connection ends once, and leaves nothing behind | |
//! | CL-04 | closes that cross, and data behind one, end cleanly | |
//! | CL-05 | a Close frame holds its code and reason and no other bytes | CVE-2026-45736 (ws) |
//! | PM-01 | the inflated size is limited while a message is inflated | CVE-2026-1526 (undici), CVE-2018-1000518 |
//! | PM-02 | the bytes inflated in one turn are limited | |
//! | PM-03 | no offer and no response causes a panic | CVE-2026-2229 (undici), madler/zlib #171 |
//! | PM-04 | invalid DEFLATE data is refused | |
//! | PM-05 | RSV1 is valid only if negotiated, and only on a first frame | |
//! | PM-06 | context takeover keeps to its budget | |
//! | PM-07 | a message that must not be compressed is not | CRIME |
//! | RS-01 | a peer that does not read does not delay others | RUSTSEC-2020-0043 (ws-rs), #2441 (actix) |
//! | RS-02 | a short message that an app keeps does not keep a long buffer | tungstenite #480, socketioxide #448 |
//! | RS-03 | an idle connection is small | |
//! | RS-04 | a server out of descriptors serves its connections, then accepts again | bun PR #32705, libuv, libmill #182 |
//! | RS-05 | a flood of resets leaves nothing behind | RUSTSEC-2023-0034, -2024-0003 (h2) |
//! | RS-07 | a peer that sends without end does not delay others | |
//! | RS-12 | an address has a bounded number of connections, and the others have theirs | CWE-770 |
//! | TM-01 | peers that answer while the process is stopped stay, others are closed in their time | |
//! | TM-02 | a slow server closes silent peers, and no peer whose answer it has not read | |
//! | TM-03 | an urgent byte of TCP delays no frame | |
//! | TM-04 | a client whose process was stopped reads what arrived meanwhile | |
//! | ME-01 | unfinished heads of requests count against the memory limit of the worker | slowloris |
//! | ME-02 | so do unfinished bodies, and a body that is refused is not kept | |
//! | ME-03 | so do unfinished messages | |
//! | ME-04 | a peer that takes waiting bytes too slowly is closed | |
//! | ME-05 | input that waits for the app counts | |
//! | ME-06 | publications for slow subscribers count | |
//! | ME-07 | unfinished compressed messages count, and what is inflated of them | |
//! | ME-08 | answers on their way to peers that do not read count | |
//! | ME-09 | responses to pipelined requests count | |
//! | TL-01 | what breaks the rules of TLS ends one connection, with bounded work | RUSTSEC-2024-0399, -0336 (rustls) |
//! | TL-03 | a flood of handshakes delays others by little | |
//! | TL-04 | a peer that does not read over TLS makes the server keep no more than without: `tests/bounds` | |
//! | TL-06 | versions before 1.2 get an alert | |
//! | LG-01 | what a peer sends is escaped and cut in each line of the log and in each error | CWE-117, CWE-150 |
//!
//! The numbers of peers and repetitions are scaled down to keep the run short; `ATTACKS_LONG=1` runs them in full.
//! Rules that cannot be tested here are named at the nearest test.
#![cfg(target_os = "linux")]

mod addresses;
mod close;
mod control;
mod deflate;
mod frames;
mod handshake;
mod log;
mod memory;
mod messages;
mod process;
mod resources;
mod time;
#[cfg(feature = "tls")]
mod tls;

use std::sync::{Mutex, MutexGuard, PoisonError};

use switchboard_tests::counting::CountingAllocator;

#[global_allocator]
static COUNTING: CountingAllocator = CountingAllocator;

/// Returns `usual`, or `long` in a long run.
fn scaled<T>(usual: T, long: T) -> T {
    if std::env::var_os("ATTACKS_LONG").is_some_and(|value| value == "1") { long } else { usual }
}

/// Waits until no other test that calls this function runs. For tests that need thousands of descriptors or compare
/// times.
fn exclusively() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    let guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    guard
}
