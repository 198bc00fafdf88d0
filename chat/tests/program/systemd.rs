//! A supervisor is told what the chat does, as systemd expects it; and the unit for it is valid.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

use crate::support::program::{self, LONG, PATH, start_command};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/systemd/switchboard.service");

/// Receives what the program says, in the place of systemd.
struct Supervisor {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Supervisor {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        socket.set_read_timeout(Some(LONG)).expect("a timeout");
        Self { folder, socket }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PATH);
        command.args(arguments).args(["--listen", "127.0.0.1:0"]);
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        command
    }

    /// Returns the next message, without the numbers in it.
    fn next(&self) -> String {
        let mut message = [0; 1024];
        let length = self.socket.recv(&mut message).expect("a message");
        let message = std::str::from_utf8(&message[..length]).expect("text");
        message.chars().filter(|char| !char.is_ascii_digit() || *char == '1').collect()
    }
}

#[test]
fn a_supervisor_is_told_of_start_reload_and_stop() {
    for arguments in [&["start", "--data", ":memory:"][..], &["start", "--data", ":memory:", "--tls-self-signed"]] {
        let supervisor = Supervisor::new();
        let mut program = start_command(&mut supervisor.command(arguments));
        assert_eq!(supervisor.next(), "READY=1\n");
        // Also without anything to reload, since a supervisor does not know that.
        for _ in 0..2 {
            program.signal("HUP");
            assert!(supervisor.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
            assert_eq!(supervisor.next(), "READY=1\n");
        }
        program.signal("TERM");
        assert_eq!(supervisor.next(), "STOPPING=1\n");
        assert!(program.wait().success());
        supervisor.socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        assert!(supervisor.socket.recv(&mut [0]).is_err(), "nothing else");
    }
}

#[test]
fn the_units_command_line_is_valid() {
    let unit = fs::read_to_string(UNIT).expect("the unit");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let settings = tempfile::NamedTempFile::new().expect("a file");
    let path = settings.path().to_str().expect("a path in UTF-8");
    let command = command.replace("/etc/switchboard/switchboard.toml", path);
    let arguments: Vec<_> = command.split(' ').skip(2).collect();
    let ended = program::run(Command::new(PATH).args(["config", "show"]).args(arguments));
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.contains("data = \"/var/lib/switchboard\""), "{}", ended.stdout);
}

/// Checked where systemd is there.
#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("switchboard.service");
    let text = fs::read_to_string(UNIT).expect("the unit");
    fs::write(&unit, text.replace("/usr/local/bin/switchboard", PATH)).expect("a file");
    let checked = program::run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    let found: Vec<_> = checked.stderr.lines().filter(|line| line.contains("switchboard.service")).collect();
    assert!(checked.status.success() && found.is_empty(), "{found:#?}");
}
