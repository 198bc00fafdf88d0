//! `switchboard stop`, `reload` and `infos`: a chat that runs is managed by commands.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    chat_user::{ChatUser, End},
    program::{self, Ended, PATH, Program, start},
};

/// A chat, and the folder of its data.
struct Chat {
    folder: TempDir,
    program: Program,
}

impl Chat {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = start(&[&["start", "--data", &path_of(&folder)], arguments].concat());
        Self { folder, program }
    }

    /// Runs another command on the same data.
    fn run(&self, arguments: &[&str]) -> Ended {
        run(&self.folder, arguments)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }
}

fn path_of(folder: &TempDir) -> String {
    folder.path().to_str().expect("a path in UTF-8").to_owned()
}

fn run(folder: &TempDir, arguments: &[&str]) -> Ended {
    program::run(Command::new(PATH).args(arguments).args(["--data", &path_of(folder)]))
}

fn json_infos(chat: &Chat) -> Value {
    let ended = chat.run(&["infos", "--json"]);
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[test]
fn infos_say_what_runs_and_who_is_connected() {
    let chat = Chat::start(&["--workers", "2"]);
    let (address, data) = (chat.program.address().to_string(), path_of(&chat.folder));
    let infos = json_infos(&chat);
    assert_eq!(infos["version"], "0.1.0");
    assert_eq!(infos["pid"], chat.program.id());
    assert_eq!(infos["addresses"], serde_json::json!([address]));
    assert_eq!(infos["data"], data.as_str());
    assert_eq!((&infos["settings"], &infos["last_reload"]), (&Value::Null, &Value::Null));
    assert_eq!(infos["connections"], serde_json::json!([0, 0]));
    assert_eq!(infos["sockets"]["Listen"], 2, "{infos}");
    let users = [(); 3].map(|()| ChatUser::unauthenticated(chat.program.address()));
    let infos = json_infos(&chat);
    let open: u64 = infos["connections"].as_array().expect("a list").iter().filter_map(Value::as_u64).sum();
    // Both ends of each connection are on this machine, but only one is at the address.
    assert_eq!((open, &infos["sockets"]["Established"]), (3, &3.into()), "{infos}");
    let ended = chat.run(&["infos"]);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert!(lines.contains(&&*format!("addresses     {address}")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("connections   3 open, on 2 workers: ")), "{lines:?}");
    assert_eq!(lines.last(), Some(&"last reload   none"));
    drop(users);
}

#[test]
fn stop_tells_clients_and_can_wait_for_the_end() {
    let mut chat = Chat::start(&[]);
    let mut user = ChatUser::guest(chat.program.address(), "Ann");
    let seen = std::thread::spawn(move || user.until_end().1);
    let ended = chat.run(&["stop", "--wait"]);
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), "stopped\n"), "{ended:?}");
    assert!(!chat.socket().exists(), "the chat has removed its socket");
    assert!(chat.program.wait().success());
    assert!(matches!(seen.join().expect("a user"), End::Closed(1001)));

    let mut chat = Chat::start(&[]);
    let ended = chat.run(&["stop"]);
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), "stopping\n"), "{ended:?}");
    assert!(chat.program.wait().success());
}

#[test]
fn the_pid_file_is_there_while_the_chat_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chat.pid");
    let mut chat = Chat::start(&["--pid-file", file.to_str().expect("a path in UTF-8")]);
    assert_eq!(fs::read_to_string(&file).expect("a file"), format!("{}\n", chat.program.id()));
    chat.run(&["stop", "--wait"]);
    assert!(chat.program.wait().success());
    assert!(!file.exists());
    let ended = program::run(Command::new(PATH).args([
        "--data",
        ":memory:",
        "--listen",
        "127.0.0.1:0",
        "--pid-file",
        "/nowhere/pid",
    ]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("choose another file with --pid-file"), "{ended:?}");
}

#[test]
fn reload_answers_as_the_signal_does_and_infos_remember_it() {
    let settings = tempfile::NamedTempFile::new().expect("a file");
    let file = settings.path().to_str().expect("a path in UTF-8");
    let chat = Chat::start(&["--config", file]);
    fs::write(settings.path(), "max-rooms = 3\nworkers = 1").expect("a file");
    let expected = "reloaded: max-rooms; restart it for the new workers";
    let ended = chat.run(&["reload"]);
    assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), &*format!("{expected}\n")), "{ended:?}");
    let infos = json_infos(&chat);
    assert_eq!((&infos["settings"], &infos["last_reload"]["answer"]), (&file.into(), &expected.into()));

    let chat = Chat::start(&["--tls-self-signed"]);
    let ended = chat.run(&["reload"]);
    assert!(ended.stdout.starts_with("the certificates are loaded"), "{ended:?}");
    let ended = chat.run(&["infos"]);
    assert!(ended.stdout.contains("\ncertificate   ") && ended.stdout.contains("localhost"), "{ended:?}");
    let ended = Chat::start(&[]).run(&["reload"]);
    assert_eq!(ended.stdout, "there is neither a file of settings nor a certificate to reload\n");
}

#[test]
fn without_a_chat_each_command_says_so_with_exit_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = |folder: &TempDir| {
        format!("switchboard: no chat runs with its data in {}; name another folder with --data DIR\n", path_of(folder))
    };
    for command in ["stop", "reload", "infos"] {
        let ended = run(&folder, &[command]);
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.stderr, expected(&folder));
        let ended = program::run(Command::new(PATH).args([command, "--data", ":memory:"]));
        assert_eq!(ended.status.code(), Some(1));
        assert!(ended.stderr.contains("reached by signals alone"), "{ended:?}");
    }
    // One that was killed leaves its socket.
    let mut chat = Chat::start(&[]);
    chat.program.kill();
    assert!(chat.socket().exists());
    assert_eq!(chat.run(&["stop"]).stderr, expected(&chat.folder));
    let program = start(&["--data", &path_of(&chat.folder)]);
    let chat = Chat { folder: chat.folder, program };
    assert_eq!(json_infos(&chat)["pid"], chat.program.id());
}

#[test]
fn the_socket_is_its_owners_alone_and_answers_rubbish_with_an_error() {
    let chat = Chat::start(&[]);
    let mode = fs::metadata(chat.socket()).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for rubbish in ["\n", "rubbish\n", "\"restart\"\n", "{}\n", &("x".repeat(2000) + "\n")] {
        let mut stream = UnixStream::connect(chat.socket()).expect("a connection");
        // The chat need not read all of it.
        let _ = stream.write_all(rubbish.as_bytes());
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer).expect("an answer");
        assert!(answer.starts_with(r#"{"failed":"not a request: "#), "{rubbish:?}: {answer}");
    }
    drop(UnixStream::connect(chat.socket()));
    assert_eq!(json_infos(&chat)["pid"], chat.program.id());
}

#[test]
fn a_folder_whose_path_is_too_long_for_a_socket_is_served_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("x".repeat(120));
    let data = data.to_str().expect("a path in UTF-8");
    let program = start(&["--data", data]);
    ChatUser::unauthenticated(program.address());
    let ended = program::run(Command::new(PATH).args(["infos", "--data", data]));
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("cannot reach the chat in"), "{ended:?}");
}
