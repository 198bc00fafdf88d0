//! `--listen`, more than once.

use std::process::Command;

use switchboard_tests::server::{builder, round_trip};

use crate::support::program::{self, PATH, start, start_command};

#[test]
fn each_address_is_served_and_printed() {
    for workers in ["1", "2"] {
        let addresses = ["--listen", "127.0.0.1:0", "--listen", "[::1]:0"];
        let program = start_command(Command::new(PATH).args(["echo", "--workers", workers]).args(addresses));
        let lines = [program.greeting.clone(), program.next_line(), program.next_line()];
        assert!(lines[0].starts_with("echo at http://127.0.0.1:"), "{lines:?}");
        assert!(lines[1].starts_with("echo at http://[::1]:"), "{lines:?}");
        assert_eq!(lines[2], "Ctrl-C stops it");
        for line in &lines[..2] {
            let url = line.split_whitespace().last().unwrap();
            round_trip(&mut builder().connect(url).unwrap());
        }
    }
}

#[test]
fn all_addresses_are_those_of_both_families() {
    let program = start_command(Command::new(PATH).args(["echo", "--listen", "[::]:0"]));
    let (place, port) = program.url().trim_end_matches('/').rsplit_once(':').unwrap();
    assert_eq!(place, "ws://localhost");
    for host in ["127.0.0.1", "[::1]"] {
        round_trip(&mut builder().connect(&format!("ws://{host}:{port}/")).unwrap());
    }
}

#[test]
fn an_address_that_cannot_be_bound_is_named_whichever_it_is() {
    let first = start(&["echo", "--workers", "1"]);
    let taken = first.address().to_string();
    for (address, expected) in [(&*taken, "is in use"), ("192.0.2.1:0", "is not an address of this machine")] {
        let mut command = Command::new(PATH);
        let ended = program::run(command.args(["echo", "--listen", "127.0.0.1:0", "--listen", address]));
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
        assert!(ended.stderr.contains(&format!("{address} {expected}")), "{ended:?}");
    }
    let ended = program::run(Command::new(PATH).args(["echo", "--listen", &taken, "--listen", &taken]));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("is given as well"), "{ended:?}");
}
