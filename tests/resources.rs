//! The program when memory or descriptors are asked for that it should not, or cannot, give.
#![cfg(all(feature = "chat", feature = "client", target_os = "linux"))]

#[path = "support/program.rs"]
mod program;
#[path = "support/server.rs"]
mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use program::{PATH, Program, start, start_command};
use support::{LONG, Raw, builder, header, round_trip};

#[test]
fn a_length_that_is_claimed_costs_nothing() {
    let program = start(&["echo", "--workers", "1"]);
    let mut witness = builder().connect(program.url()).unwrap();
    round_trip(&mut witness);
    let before = peak_of_memory(&program);
    let mut peers = Vec::new();
    for _ in 0..200 {
        let mut raw = Raw::connect(program.address());
        raw.shake_hands();
        raw.write(header(0x82, 16 << 20));
        raw.write([0]);
        let mut post = Raw::connect(program.address());
        post.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n");
        peers.push((raw, post));
    }
    round_trip(&mut witness);
    round_trip(&mut witness);
    // 3,200 MiB are claimed.
    let more = peak_of_memory(&program) - before;
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
}

/// The most address space that it ever had, in bytes.
fn peak_of_memory(program: &Program) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn out_of_descriptors_those_inside_are_served_and_new_ones_get_in_once_others_leave() {
    let limited = ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", PATH, "echo", "--workers", "1", "--listen", "127.0.0.1:0"];
    let program = start_command(Command::new("sh").args(limited));
    let mut clients: Vec<_> = (0..200).map(|_| Raw::connect(program.address())).collect();
    for client in &mut clients {
        client.write(support::OPENING);
    }
    let (inside, outside) = clients.split_at_mut(30);
    for client in &mut *inside {
        assert_eq!(client.head().status, 101);
    }
    // Who waits at the door costs next to no time.
    let before = cpu_time(&program);
    assert!(outside.last_mut().unwrap().hears_nothing_for(Duration::from_secs(1)));
    let used = cpu_time(&program) - before;
    assert!(used < Duration::from_millis(300), "{used:?} in one second of waiting");
    for client in inside {
        client.text("served");
        client.expect_frame(0x81, "served");
    }
    drop(clients);
    let started = Instant::now();
    let mut late = loop {
        match builder().connect(program.url()) {
            Ok(client) => break client,
            Err(error) => assert!(started.elapsed() < LONG, "{error}"),
        }
    };
    round_trip(&mut late);
}

/// The time that it has spent computing.
fn cpu_time(program: &Program) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    // proc_pid_stat(5): utime and stime are the fields 14 and 15; the name, field 2, is in parentheses.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(10 * ticks)
}
