//! The chat's folder: backups, checks, restored data, and files that are missing or damaged.

use std::{
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    chat_user::{ChatUser, account, guest},
    folder::Folder,
    program::{self, Ended, LONG, PATH, Program, start},
};

fn run(arguments: &[&str]) -> Ended {
    program::run(Command::new(PATH).args(arguments))
}

fn serve(folder: &Folder) -> Program {
    let much = "1000000+1000000/s";
    start(&["--data", folder.path(), "--workers", "1", "--message-rate", much, "--event-rate", much])
}

/// Stops a server gracefully.
fn stop(mut server: Program) {
    server.signal("TERM");
    assert!(server.wait().success());
}

fn say(user: &mut ChatUser, room: u64, text: &str) -> u64 {
    static USED: AtomicU64 = AtomicU64::new(0);
    let key = Uuid::from_u64_pair(0, USED.fetch_add(1, Ordering::Relaxed));
    let message = json!({"room": room, "text": text, "key": key.to_string()});
    user.ask("say", message).unwrap()["seq"].as_u64().unwrap()
}

/// Returns the rooms of a welcome, each with its epoch and the number of its last message.
fn rooms(server: &Program, token: &str) -> Vec<(u64, String, u64)> {
    let (_, welcome) = ChatUser::with_welcome(server.address(), token);
    let number = |value: &Value| value.as_u64().unwrap();
    let rooms = welcome["rooms"].as_array().unwrap().iter();
    rooms.map(|room| (number(&room["room"]), room["epoch"].to_string(), number(&room["seq"]))).collect()
}

fn epochs(server: &Program, token: &str) -> Vec<String> {
    rooms(server, token).into_iter().map(|(_, epoch, _)| epoch).collect()
}

/// Asserts that a command fails with one line that has these parts, and prints nothing else.
#[track_caller]
fn assert_refused(ended: &Ended, parts: &[&str]) {
    assert_eq!((ended.status.code(), &*ended.stdout, ended.stderr.lines().count()), (Some(1), "", 1), "{ended:?}");
    assert!(parts.iter().all(|part| ended.stderr.contains(part)), "{parts:?}: {ended:?}");
}

/// Returns the error of a server that does not start.
fn refusal(folder: &str) -> Ended {
    run(&["--data", folder, "--listen", "127.0.0.1:0"])
}

fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_beside_a_busy_chat_is_whole_and_has_all_that_was_acknowledged_before() {
    let (folder, copies) = (Folder::new("busy"), Folder::new("copies"));
    let server = serve(&folder);
    let token = guest(server.address(), "Ann");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for name in ["Bob", "Cem"] {
            let mut user = ChatUser::guest(server.address(), name);
            let is_over = &is_over;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    say(&mut user, 1, &"x".repeat(1000));
                }
            });
        }
        for number in 0..3 {
            let mut ann = ChatUser::with_token(server.address(), &token);
            let seen = say(&mut ann, 1, "before the backup");
            let file = format!("{}/{number}.backup", copies.path());
            let made = run(&["backup", &file, "--data", folder.path()]);
            assert_eq!((made.status.code(), &*made.stderr), (Some(0), ""), "{made:?}");
            assert!(made.stdout.starts_with(&file) && made.stdout.ends_with(" MiB, checked\n"), "{made:?}");
            let checked = run(&["check", &file]);
            assert_eq!((checked.status.code(), checked.stdout), (Some(0), format!("{file} is sound\n")));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

            let restored = Folder::new("restored");
            fs::copy(&file, Path::new(restored.path()).join("chat.sqlite3")).unwrap();
            let second = serve(&restored);
            let [(_, _, head)] = rooms(&second, &token)[..] else { panic!("one room") };
            assert!(head >= seen, "{head}, {seen}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(names(copies.path()), ["0.backup", "1.backup", "2.backup"]);
    let checked = run(&["check", "--data", folder.path()]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn a_backup_replaces_only_what_it_is_told_to_replace() {
    let folder = Folder::new("replace");
    stop(serve(&folder));
    let data = folder.path();
    let file = format!("{data}/a.backup");
    fs::write(&file, "a letter").unwrap();
    assert_refused(&run(&["backup", &file, "--data", data]), &["a.backup exists", "--force"]);
    assert_eq!(fs::read(&file).unwrap(), b"a letter");
    assert!(run(&["backup", "--force", &file, "--data", data]).status.success());
    assert!(run(&["check", &file]).status.success());
    for log in ["wal", "shm", "journal"].map(|end| format!("{data}/chat.sqlite3-{end}")) {
        // SQLite would delete it. There is no such file yet.
        let refused = run(&["backup", &log, "--data", data]);
        assert_refused(&refused, &["not a regular file, or belongs to the chat's data"]);
        assert!(!Path::new(&log).exists());
    }
    for own in ["chat.sqlite3", "lock", "."] {
        let own = format!("{data}/{own}");
        let before = fs::metadata(&own).unwrap().modified().unwrap();
        let refused = run(&["backup", "--force", &own, "--data", data]);
        assert_refused(&refused, &["not a regular file, or belongs to the chat's data"]);
        assert_eq!(fs::metadata(&own).unwrap().modified().unwrap(), before);
    }
    // SQLite would read the log of another database instead of the backup.
    let log = format!("{file}-wal");
    fs::write(&log, "left behind").unwrap();
    for arguments in [&["check", &file][..], &["backup", "--force", &file, "--data", data]] {
        assert_refused(&run(arguments), &["a.backup-wal", "belongs to an earlier database", "move it away"]);
    }
    assert_refused(&run(&["check", data]), &["is a folder", "--data"]);
    assert_refused(&run(&["backup", "/no/such/folder/a", "--data", data]), &["cannot write /no/such/folder/a"]);
    assert_refused(&run(&["backup", "a", "--data", ":memory:"]), &["--data"]);
    assert!(names(data).iter().all(|name| !name.starts_with('.')), "{:?}", names(data));
}

#[test]
fn a_check_and_a_backup_leave_the_folder_of_a_stopped_chat_as_it_is() {
    let (folder, copies) = (Folder::new("stopped"), Folder::new("stopped-copies"));
    let data = folder.path();
    stop(serve(&folder));
    let database = format!("{data}/chat.sqlite3");
    let state = || (names(data), fs::metadata(data).unwrap().modified().unwrap(), fs::read(&database).unwrap());
    let before = state();
    assert_eq!(before.0, ["chat.sqlite3", "lock"]);
    assert!(run(&["check", "--data", data]).status.success());
    assert!(state() == before);
    assert!(run(&["backup", &format!("{}/backup", copies.path()), "--data", data]).status.success());
    assert!(state() == before);
    let copy = format!("{}/copy", copies.path());
    fs::copy(&database, &copy).unwrap();
    assert!(run(&["check", &copy]).status.success());
    assert_eq!(names(copies.path()), ["backup", "copy"]);
}

#[test]
fn a_signal_stops_a_backup_and_leaves_no_file() {
    let (folder, copies) = (Folder::new("long"), Folder::new("interrupted"));
    stop(serve(&folder));
    let db = Connection::open(format!("{}/chat.sqlite3", folder.path())).unwrap();
    // The check of the copy reads all blocks, and never ends by itself.
    db.execute_batch(
        "DROP TABLE blocks;
        CREATE VIEW blocks (person, blocked) AS
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, i + 1 FROM n",
    )
    .unwrap();
    drop(db);
    for signal in ["INT", "TERM"] {
        let file = format!("{}/file", copies.path());
        let mut backup = program::spawn(Command::new(PATH).args(["backup", &file, "--data", folder.path()]));
        let started = Instant::now();
        while names(copies.path()).is_empty() {
            assert!(started.elapsed() < LONG, "the backup does not begin");
            thread::park_timeout(Duration::from_millis(1));
        }
        backup.signal(signal);
        let number = if signal == "INT" { 2 } else { 15 };
        assert_eq!(backup.wait().code(), Some(128 + number));
        assert_eq!(names(copies.path()), [""; 0]);
    }
}

#[test]
fn a_restart_keeps_every_epoch_and_a_backup_gets_new_ones_once() {
    let (folder, copies) = (Folder::new("epochs"), Folder::new("backups"));
    let [data, backup] = [folder.path().to_owned(), format!("{}/backup", copies.path())];
    let [database, log] = ["", "-wal"].map(|end| format!("{data}/chat.sqlite3{end}"));
    let mut server = serve(&folder);
    let token = account(server.address(), "Ann");
    let mut ann = ChatUser::with_token(server.address(), &token);
    for name in ["Rust", "Attic"] {
        let room = ann.ask("create", json!({"name": name})).unwrap()["room"]["room"].as_u64().unwrap();
        say(&mut ann, room, "hello");
    }
    let first = epochs(&server, &token);
    assert_eq!(first.len(), 3);
    stop(server);
    server = serve(&folder);
    assert_eq!(epochs(&server, &token), first, "after a restart");
    say(&mut ChatUser::with_token(server.address(), &token), 1, "then a crash");
    server.kill();
    server = serve(&folder);
    assert_eq!(epochs(&server, &token), first, "after a crash");

    // Within a moment, and with the mark of the same run.
    assert!(run(&["backup", &backup, "--data", &data]).status.success());
    stop(server);
    fs::copy(&backup, &database).unwrap();
    server = serve(&folder);
    let second = epochs(&server, &token);
    assert!(second.iter().all(|epoch| !first.contains(epoch)), "{first:?}, {second:?}");
    stop(server);
    server = serve(&folder);
    assert_eq!(epochs(&server, &token), second, "once");

    // A crash leaves a log, which is not the backup's.
    say(&mut ChatUser::with_token(server.address(), &token), 1, "then a crash");
    server.kill();
    assert_ne!(fs::metadata(&log).unwrap().len(), 0);
    fs::copy(&backup, &database).unwrap();
    let put_back = fs::read(&database).unwrap();
    for refused in [
        refusal(&data),
        run(&["check", "--data", &data]),
        run(&["backup", "x", "--data", &data]),
        run(&["user", "operator", "Ann", "--data", &data]),
    ] {
        assert_refused(&refused, &["chat.sqlite3-wal belongs to an earlier database", "move it away"]);
    }
    assert_eq!(fs::read(&database).unwrap(), put_back);
    fs::remove_file(log).unwrap();
    let checked = run(&["check", "--data", &data]);
    assert!(checked.status.success(), "{checked:?}");
    server = serve(&folder);
    let third = epochs(&server, &token);
    assert!(third.iter().all(|epoch| !first.contains(epoch) && !second.contains(epoch)), "{second:?}, {third:?}");
}

#[test]
fn a_chat_whose_database_is_gone_does_not_begin_anew() {
    let folder = Folder::new("lost");
    let data = folder.path();
    let database = format!("{data}/chat.sqlite3");
    stop(serve(&folder));
    let all = |parts: &[&str]| {
        for arguments in [&["check"][..], &["backup", "x"], &["user", "add", "Ada"]] {
            assert_refused(&run(&[arguments, &["--data", data]].concat()), parts);
        }
        assert_refused(&refusal(data), parts);
    };
    let lost = ["has files of an earlier chat", "chat.sqlite3 is missing or empty", "restore a backup"];
    fs::write(&database, "").unwrap();
    all(&lost);
    fs::remove_file(&database).unwrap();
    all(&lost);
    // A valid database without anything in it.
    Connection::open(&database).unwrap().execute_batch("VACUUM").unwrap();
    all(&lost);
    assert_eq!(names(data), ["chat.sqlite3", "lock"]);
    fs::remove_file(&database).unwrap();
    fs::remove_file(format!("{data}/lock")).unwrap();
    stop(serve(&folder));
}

#[test]
fn a_damaged_database_is_called_damaged_and_another_programs_is_not() {
    let folder = Folder::new("damaged");
    let data = folder.path();
    let database = format!("{data}/chat.sqlite3");
    stop(serve(&folder));
    let whole = fs::read(&database).unwrap();
    let damaged = ["chat.sqlite3 is damaged", "restore a backup"];
    for (at, bytes) in [(0, &[0; 100][..]), (0, b"SQLITE"), (68, &[0; 4]), (100, &[255; 8])] {
        fs::write(&database, &whole).unwrap();
        fs::File::options().write(true).open(&database).unwrap().write_all_at(bytes, at).unwrap();
        assert_refused(&refusal(data), &damaged);
        assert_refused(&run(&["user", "add", "Ada", "--data", data]), &damaged);
        let checked = run(&["check", "--data", data]);
        assert_eq!(checked.status.code(), Some(1), "{checked:?}");
        assert!(damaged.iter().all(|part| checked.stderr.contains(part)), "{at}: {checked:?}");
    }
    fs::write(&database, "Dear diary, ".repeat(1000)).unwrap();
    fs::remove_file(format!("{data}/lock")).unwrap();
    assert_refused(&refusal(data), &["is not a switchboard database"]);
    assert_refused(&run(&["check", &database]), &["is not a backup of a switchboard"]);
    assert_refused(&run(&["check", &format!("{data}/none")]), &["none"]);
}

#[test]
fn check_says_what_is_wrong_and_a_backup_of_it_is_refused() {
    let folder = Folder::new("unsound");
    let data = folder.path();
    let database = format!("{data}/chat.sqlite3");
    stop(serve(&folder));
    assert_eq!(run(&["check", "--data", data]).stdout, format!("{database} is sound\n"));
    let db = Connection::open(&database).unwrap();
    db.execute_batch(
        "PRAGMA foreign_keys = OFF; UPDATE rooms SET members = 7; INSERT INTO blocks VALUES (4, 5);
        DROP TRIGGER member_added",
    )
    .unwrap();
    drop(db);
    let checked = run(&["check", "--data", data]);
    assert_eq!((checked.status.code(), &*checked.stdout), (Some(1), ""), "{checked:?}");
    for problem in [
        "chat.sqlite3 is damaged; restore a backup:",
        "\n  a row of blocks refers to a row of people that does not exist\n",
        "\n  the trigger member_added is not as it should be\n",
        "\n  room 1 counts 7 members, and has 0\n",
    ] {
        assert!(checked.stderr.contains(problem), "{problem}: {checked:?}");
    }
    let file = format!("{data}/backup");
    assert_refused(&run(&["backup", &file, "--data", data]), &["there is no backup", "damaged", "switchboard check"]);
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_second_server_is_refused_even_if_the_lock_file_is_gone() {
    let folder = Folder::new("second");
    let server = serve(&folder);
    let in_use = ["another switchboard works with"];
    assert_refused(&refusal(folder.path()), &in_use);
    fs::remove_file(format!("{}/lock", folder.path())).unwrap();
    assert_refused(&refusal(folder.path()), &in_use);
    drop(server);
    stop(serve(&folder));
}

#[test]
fn data_is_the_same_folder_before_and_after_each_command() {
    let (folder, copies) = (Folder::new("order"), Folder::new("order-copies"));
    let data = folder.path();
    for arguments in [&["--data", data][..], &["serve", "--data", data], &["--data", data, "serve"]] {
        drop(start(arguments));
    }
    assert_eq!(names(data)[0], "chat.sqlite3");
    let [one, two] = ["one", "two"].map(|name| format!("{}/{name}", copies.path()));
    let rows: [&[&str]; 9] = [
        &["--data", data, "backup", &one],
        &["backup", &two, "--data", data],
        &["--data", data, "check"],
        &["check", "--data", data],
        &["--data", data, "user", "add", "Ann"],
        &["user", "--data", data, "add", "Bob"],
        &["user", "add", "Cem", "--data", data],
        &["--data", data, "user", "operator", "Cem"],
        &["user", "operator", "--revoke", "Cem", "--data", data],
    ];
    for arguments in rows {
        let command = format!("echo 'correct horse' | {PATH} {}", arguments.join(" "));
        let ended = program::run(Command::new("sh").args(["-c", &command]));
        assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{arguments:?}");
    }
    for arguments in [
        &["--data", data, "check", "--data", "elsewhere"][..],
        &["--data", data, "user", "add", "Ann", "--data", "elsewhere"],
        &["--data", data, "echo"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn only_a_server_offers_to_keep_data_in_memory() {
    for (command, is_offered) in [("serve", true), ("backup", false), ("check", false)] {
        let help = run(&[command, "--help"]).stdout;
        assert!(help.contains("--data <DIR>") && help.contains(":memory:") == is_offered, "{command}: {help}");
    }
}

#[test]
fn only_a_server_creates_a_folder() {
    let home = Folder::new("home");
    let data = format!("{}/none", home.path());
    for arguments in [&["check"][..], &["backup", "x"], &["user", "add", "Ada"], &["user", "password", "Ada"]] {
        let ended = run(&[arguments, &["--data", &data]].concat());
        assert_refused(&ended, &["there is no chat in", "--data DIR"]);
        let ended = program::run(Command::new(PATH).args(arguments).env("XDG_DATA_HOME", home.path()));
        assert_refused(&ended, &["there is no chat in", "switchboard;"]);
    }
    assert_eq!(names(home.path()), [""; 0]);
}

/// A folder that cannot be read may have a chat, so nobody is told to begin anew or to restore a backup.
#[test]
fn data_that_cannot_be_read_is_not_called_lost() {
    let folder = Folder::new("unreadable");
    fs::write(format!("{}/file", folder.path()), "").unwrap();
    let data = format!("{}/file/data", folder.path());
    for arguments in [&["check"][..], &["backup", "x"], &["user", "add", "Ada"]] {
        let refused = run(&[arguments, &["--data", &data]].concat());
        assert_refused(&refused, &["cannot read", "/file/data/chat.sqlite3", "run this as the user of the server"]);
    }
}

#[test]
fn the_log_is_short_soon_after_a_burst() {
    let folder = Folder::new("burst");
    let log = format!("{}/chat.sqlite3-wal", folder.path());
    let server = serve(&folder);
    let mut ann = ChatUser::guest(server.address(), "Ann");
    let length = || fs::metadata(&log).unwrap().len();
    while length() < 2 << 20 {
        say(&mut ann, 1, &"x".repeat(4000));
    }
    let started = Instant::now();
    while length() > 0 {
        assert!(started.elapsed() < LONG, "{} bytes", length());
        thread::park_timeout(Duration::from_millis(10));
    }
    say(&mut ann, 1, "and on it goes");
}

/// The database alone, without the log in which everything is, is one without tables.
#[test]
fn a_server_says_when_it_begins_a_new_chat_and_when_others_can_read_its_data() {
    let (folder, copy) = (Folder::new("log-lost"), Folder::new("log-lost-copy"));
    let mut program = serve(&folder);
    program.kill();
    let file = "chat.sqlite3";
    fs::copy(format!("{}/{file}", folder.path()), format!("{}/{file}", copy.path())).unwrap();
    fs::set_permissions(format!("{}/{file}", copy.path()), fs::Permissions::from_mode(0o644)).unwrap();
    // An address of no machine (RFC 5737): the program ends after it has opened the data.
    let Ended { stderr, .. } = run(&["--listen", "192.0.2.1:80", "--data", copy.path()]);
    assert!(stderr.contains("there was no chat in") && stderr.contains("run chmod 600"), "{stderr}");
}
