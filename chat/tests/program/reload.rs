//! SIGHUP: the settings of the file are used anew, and no connection ends.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use serde_json::json;
use switchboard_tests::server::builder;

use crate::support::{
    chat_user::{ChatUser, PASSWORD, post},
    program::{LONG, Program, start_with_warnings, wait_for_line},
};

/// A chat with a file of settings.
struct Chat {
    folder: tempfile::TempDir,
    program: Program,
}

impl Chat {
    fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("chat.toml");
        fs::write(&file, settings).expect("a file");
        let file = file.to_str().expect("a path in UTF-8");
        let program = start_with_warnings(&["--config", file, "--data", ":memory:"], &folder.path().join("log"));
        Self { folder, program }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a log")
    }

    /// Writes the file, sends the signal, and returns the answer.
    fn reload(&self, settings: &str) -> String {
        fs::write(self.file(), settings).expect("a file");
        let before = self.log().len();
        self.program.signal("HUP");
        let started = Instant::now();
        loop {
            if let Some(line) = self.log()[before..].lines().find_map(|line| line.strip_prefix("switchboard: ")) {
                return line.to_owned();
            }
            assert!(started.elapsed() < LONG, "no answer: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("chat.toml")
    }
}

/// Says something in the public room.
fn say(user: &mut ChatUser, text: &str) -> Result<serde_json::Value, String> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let key = uuid::Uuid::from_u128(NUMBER.fetch_add(1, Ordering::Relaxed).into()).to_string();
    user.ask("say", json!({"room": 1, "text": text, "key": key}))
}

#[test]
fn limits_rates_and_rights_count_from_now_on_and_connections_remain() {
    let chat = Chat::start("");
    let address = chat.program.address();
    let mut ann = ChatUser::guest(address, "Ann");
    say(&mut ann, "hello").expect("it is short");
    let answer = chat.reload("max-text-chars = 4\nguests = false\nregistration = false\nmessage-rate = \"2+1/m\"");
    assert_eq!(answer, "reloaded: guests, registration, max-text-chars, message-rate");
    assert_eq!(say(&mut ann, "hello"), Err("too_long".to_owned()));
    say(&mut ann, "hell").expect("it is shorter");
    assert_eq!(say(&mut ann, "hell"), Err("too_fast".to_owned()));
    let guest = post(address, "/api/guest", &json!({"name": "Bob", "token": true}));
    let account = post(address, "/api/register", &json!({"name": "Bob", "password": PASSWORD, "token": true}));
    assert_eq!((guest.status, account.status), (403, 403), "{guest:?} {account:?}");
    // A setting that is removed from the file has its default again.
    let answer = chat.reload("registration = false");
    assert_eq!(answer, "reloaded: guests, max-text-chars, message-rate");
    say(&mut ChatUser::guest(address, "Bob"), "hello").expect("it is short");
    assert_eq!(chat.reload("registration = false"), "reloaded, no setting has changed");
}

#[test]
fn origins_and_limits_of_the_server_count_for_new_connections() {
    let chat = Chat::start("");
    let url = format!("{}ws", chat.program.url().replace("http", "ws"));
    let from = |origin: &str| builder().origin(origin).connect(&url).is_ok();
    assert!(!from("https://other.example"));
    assert_eq!(chat.reload("origin = \"https://other.example\""), "reloaded: origin");
    assert!(from("https://other.example") && !from("https://third.example"));
    let mut before = ChatUser::guest(chat.program.address(), "Ann");
    let answer = chat.reload("max-message-bytes = 100\nping-after = \"9s\"");
    assert_eq!(answer, "reloaded: max-message-bytes, origin, ping-after");
    assert!(!from("https://other.example"));
    let long = format!(r#"["nothing",{{"text":"{}"}}]"#, "x".repeat(200));
    before.send_text(&long);
    assert_eq!(before.receive().expect("an answer").name, "error");
    let mut after = ChatUser::unauthenticated(chat.program.address());
    after.send_text(&long);
    assert_eq!(format!("{:?}", after.until_end().1), "Closed(1009)");
}

#[test]
fn what_is_wrong_or_fixed_is_named_and_changes_nothing() {
    let chat = Chat::start("max-text-chars = 4");
    let file = chat.file().display().to_string();
    let mut ann = ChatUser::guest(chat.program.address(), "Ann");
    for (settings, expected) in [
        ("max-text-chars = 5\nmax-rooms = many", format!("nothing is reloaded: {file}:2: not TOML: ")),
        (
            "max-text-chars = 5\nmax-roms = 1",
            format!("nothing is reloaded: {file}:2: max-roms: there is no such setting"),
        ),
        (
            "max-text-chars = 5\nidle-timeout = \"1s\"",
            "nothing is reloaded: --idle-timeout 1s must be longer".to_owned(),
        ),
        (
            "max-text-chars = 5\ntls-cert = \"/a\"\ntls-key = \"/a\"",
            "nothing is reloaded: TLS begins or ends only".to_owned(),
        ),
        (
            "max-text-chars = 4\nworkers = 1\ndeflate = false",
            "nothing is reloaded; restart it for the new workers, deflate".to_owned(),
        ),
    ] {
        let answer = chat.reload(settings);
        assert!(answer.starts_with(&expected), "{settings:?}: {answer}");
        assert_eq!(say(&mut ann, "hello"), Err("too_long".to_owned()));
    }
    let answer = chat.reload("max-text-chars = 5\npublic-url = \"https://chat.example\"");
    assert_eq!(answer, "reloaded: max-text-chars; restart it for the new public-url");
    say(&mut ann, "hello").expect("it is short");
    // The settings in force count, not those that the file had before.
    let answer = chat.reload("max-text-chars = 5\npublic-url = \"https://chat.example\"");
    assert_eq!(answer, "nothing is reloaded; restart it for the new public-url");
    fs::remove_file(chat.file()).expect("it is there");
    chat.program.signal("HUP");
    let expected = format!("switchboard: nothing is reloaded: cannot read {file}");
    wait_for_line(&chat.folder.path().join("log"), &[&expected]);
    say(&mut ann, "hello").expect("it is short");
}

#[test]
fn the_log_has_more_or_less_from_now_on() {
    let chat = Chat::start("");
    let url = format!("{}ws", chat.program.url().replace("http", "ws"));
    let refused = |name: &str| {
        let origin = format!("https://{name}.example");
        assert!(builder().origin(&origin).connect(&url).is_err());
        chat.log().contains(&origin)
    };
    assert!(!refused("one"));
    assert_eq!(chat.reload("verbose = 1"), "reloaded: verbose");
    assert!(refused("two"));
    assert_eq!(chat.reload(""), "reloaded: verbose");
    assert!(!refused("three"));
}
