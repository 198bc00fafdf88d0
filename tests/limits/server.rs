//! The limits of the server and, in it, of the engine.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use switchboard::{
    Config, DeflateConfig, OriginPolicy, Server,
    apps::Echo,
    client::{Client, ClientError, Message},
    raise_descriptor_limit,
};
use switchboard_tests::{
    fields::{assert_complete, fields_of},
    process::cpu_time,
    server::{LONG, Raw, builder, config},
};

use super::{ANY, EXTREMES, Extreme, Failed, Invalid, Limit, Outcome, Refused, Works};

/// A field of [`Config`], how to set it, and the possible outcomes at 0, at 1 and at its maximum.
type Row = (&'static str, fn(&mut Config, Extreme), [&'static [Outcome]; 3]);

const ROWS: &[Row] = &[
    ("workers", |c, at| c.workers = Limit::at(at), [&[Invalid], &[Works], &[Invalid]]),
    ("limits.max_message_bytes", |c, at| c.limits.max_message_bytes = Limit::at(at), [&[Failed], &[Failed], &[Works]]),
    ("limits.max_frame_bytes", |c, at| c.limits.max_frame_bytes = Limit::at(at), [&[Failed], &[Failed], &[Works]]),
    ("limits.max_empty_frames", |c, at| c.limits.max_empty_frames = Limit::at(at), [&[Works]; 3]),
    ("deflate.level", |c, at| deflate(c).level = Limit::at(at), [&[Works]; 3]),
    ("deflate.min_bytes", |c, at| deflate(c).min_bytes = Limit::at(at), [&[Works]; 3]),
    ("deflate.max_bytes", |c, at| deflate(c).max_bytes = Limit::at(at), [&[Works]; 3]),
    ("deflate.memory_bytes", |c, at| deflate(c).memory_bytes = Limit::at(at), [&[Works]; 3]),
    ("deflate.max_unfinished", |c, at| deflate(c).max_unfinished = Limit::at(at), [&[Works]; 3]),
    ("head.max_bytes", |c, at| c.head.max_bytes = Limit::at(at), [&[Refused], &[Refused], &[Works]]),
    ("head.max_headers", |c, at| c.head.max_headers = Limit::at(at), [&[Refused], &[Refused], &[Works]]),
    ("max_body_bytes", |c, at| c.max_body_bytes = Limit::at(at), [&[Works]; 3]),
    ("handshake_timeout", |c, at| c.handshake_timeout = Limit::at(at), [&ANY, &ANY, &[Works]]),
    ("keep_alive_timeout", |c, at| c.keep_alive_timeout = Limit::at(at), [&[Works]; 3]),
    ("ping_after", |c, at| c.ping_after = Limit::at(at), [&[Works]; 3]),
    ("idle_timeout", |c, at| c.idle_timeout = Limit::at(at), [&[Invalid], &[Invalid], &[Works]]),
    ("close_timeout", |c, at| c.close_timeout = Limit::at(at), [&[Works]; 3]),
    ("linger_timeout", |c, at| c.linger_timeout = Limit::at(at), [&[Works]; 3]),
    ("write_timeout", |c, at| c.write_timeout = Limit::at(at), [&ANY, &ANY, &[Works]]),
    ("message_timeout", |c, at| c.message_timeout = Limit::at(at), [&ANY, &ANY, &[Works]]),
    ("stop_timeout", |c, at| c.stop_timeout = Limit::at(at), [&[Works]; 3]),
    ("max_queued_bytes", |c, at| c.max_queued_bytes = Limit::at(at), [&[Works]; 3]),
    ("max_worker_bytes", |c, at| c.max_worker_bytes = Limit::at(at), [&[Refused], &[Refused], &[Works]]),
    (
        "max_connections_per_address",
        |c, at| c.max_connections_per_address = Limit::at(at),
        [&[Refused], &[Works], &[Works]],
    ),
    ("reserved_descriptors", |c, at| c.reserved_descriptors = Limit::at(at), [&[Works]; 3]),
    ("max_connections", |c, at| c.max_connections = Limit::at(at), [&[Refused], &[Works], &[Works]]),
];

/// Fields that are no limits.
const OTHERS: &[&str] = &[
    "extra_methods",
    "slow_subscriber",
    "uncounted_networks",
    #[cfg(feature = "tls")]
    "tls",
];

fn deflate(config: &mut Config) -> &mut DeflateConfig {
    config.deflate.as_mut().expect("the default is compression")
}

/// Starts a server, opens a connection, sends two messages through it, and stops the server.
fn outcome(config: Config) -> Outcome {
    let server = match Server::bind("127.0.0.1:0".parse().unwrap(), config) {
        Ok(server) => server,
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
            return Invalid;
        }
    };
    let running = server.start(|_| Echo::new(OriginPolicy::Any)).unwrap();
    let outcome = match builder().connect(&format!("ws://{}/", running.local_addr())) {
        Ok(mut client) => {
            let works = ["x", &"x".repeat(1000)].iter().all(|text| echoes(&mut client, text).is_ok_and(|same| same));
            stays_idle();
            if works { Works } else { Failed }
        }
        Err(_) => Refused,
    };
    running.stopper().stop();
    running.join().unwrap();
    outcome
}

/// Sends a text, and returns whether the same comes back.
fn echoes(client: &mut Client, text: &str) -> Result<bool, ClientError> {
    client.send_text(text)?;
    loop {
        match client.receive()? {
            Message::Ping(_) => {}
            message => return Ok(message == Message::Text(text.into())),
        }
    }
}

/// Asserts that the process waits without using the CPU. Another test may use it now and then.
#[track_caller]
fn stays_idle() {
    let is_idle = || {
        let before = cpu_time(std::process::id());
        thread::park_timeout(WAIT);
        cpu_time(std::process::id()) - before < WAIT / 2
    };
    assert!((0..20).any(|_| is_idle()), "the server uses the CPU while it waits");
}

const WAIT: Duration = Duration::from_millis(80);

#[test]
fn each_limit_of_the_server_at_its_extremes_is_refused_or_harmless() {
    let names: Vec<_> = ROWS.iter().map(|(name, ..)| *name).chain(OTHERS.iter().copied()).collect();
    assert_complete(&names, &fields_of(&Config::default()));
    for (name, set, expected) in ROWS {
        for (extreme, expected) in EXTREMES.into_iter().zip(expected) {
            let mut config = config();
            set(&mut config, extreme);
            let started = Instant::now();
            let found = outcome(config);
            assert!(expected.contains(&found), "{name} at {extreme:?}: {found:?}");
            assert!(started.elapsed() < LONG, "{name} at {extreme:?}: the client waits in vain");
        }
    }
}

#[test]
fn all_limits_of_the_server_at_their_maximum_carry_messages() {
    let mut config = config();
    for (name, set, _) in ROWS {
        if *name != "workers" {
            set(&mut config, Extreme::Max);
        }
    }
    config.stop_timeout = Duration::from_secs(1);
    assert_eq!(outcome(config), Works);
}

#[test]
fn a_body_may_have_its_limit_and_no_more() {
    for (limit, length, status) in [(0, 0, 405), (0, 1, 413), (1, 1, 405), (1, 2, 413), (usize::MAX, 2, 405)] {
        let mut config = config();
        config.max_body_bytes = limit;
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let running = server.start(|_| Echo::new(OriginPolicy::Any)).unwrap();
        let mut raw = Raw::connect(running.local_addr());
        raw.write(format!("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length)));
        assert_eq!(raw.response().status, status, "{length} bytes, limit {limit}");
        drop(raw);
        running.stopper().stop();
        running.join().unwrap();
    }
}

#[test]
fn a_second_request_is_served_unless_there_is_no_time_for_it() {
    for extreme in EXTREMES {
        let mut config = config();
        config.keep_alive_timeout = Limit::at(extreme);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        let running = server.start(|_| Echo::new(OriginPolicy::Any)).unwrap();
        let mut raw = Raw::connect(running.local_addr());
        for _ in 0..2 {
            raw.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(raw.response().status, 200, "{extreme:?}");
            if extreme != Extreme::Max {
                raw.expect_end();
                break;
            }
        }
        drop(raw);
        running.stopper().stop();
        running.join().unwrap();
    }
}

#[test]
fn only_a_silence_longer_than_the_time_to_a_ping_makes_sense() {
    let second = Duration::from_secs(1);
    let rows = [
        (second, 2 * second, true),
        (second, second + Duration::from_nanos(1), true),
        (second, second, false),
        (2 * second, second, false),
        (second, Duration::MAX, true),
        (Duration::MAX, second, true),
        (Duration::MAX, Duration::MAX, true),
    ];
    for (ping_after, idle_timeout, valid) in rows {
        let mut config = Config::default();
        (config.ping_after, config.idle_timeout) = (ping_after, idle_timeout);
        let checked = config.check().map_err(|error| error.kind());
        let expected = if valid { Ok(()) } else { Err(io::ErrorKind::InvalidInput) };
        assert_eq!(checked, expected, "Ping after {ping_after:?}, silence {idle_timeout:?}");
    }
}

#[test]
fn the_limit_of_open_files_changes_only_on_request() {
    let files = rlimit::Resource::NOFILE;
    let hard = files.get_hard().unwrap();
    let lowered = files.get_soft().unwrap().min(hard - 1);
    files.set(lowered, hard).unwrap();
    assert_eq!(outcome(config()), Works);
    assert_eq!(files.get_soft().unwrap(), lowered);
    assert_eq!(raise_descriptor_limit().unwrap(), hard);
    assert_eq!(files.get_soft().unwrap(), hard);
}
