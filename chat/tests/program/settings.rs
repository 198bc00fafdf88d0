//! Settings from a file, the environment and the command line.

use std::{fs, path::Path, process::Command};

use switchboard_tests::server::Raw;
use tempfile::TempDir;

use crate::support::program::{self, Ended, PATH, start_command};

/// A folder with a file of settings.
struct Settings(TempDir);

impl Settings {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("chat.toml"), text).expect("a file");
        Self(folder)
    }

    fn file(&self) -> String {
        self.0.path().join("chat.toml").display().to_string()
    }
}

/// The program, with no settings but those that follow.
fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PATH);
    command.args(arguments).envs(variables.iter().copied());
    if !variables.iter().any(|(name, _)| *name == "XDG_CONFIG_HOME") {
        command.env("XDG_CONFIG_HOME", "/nowhere");
    }
    command
}

/// Returns the lines of `switchboard config show` for a setting.
fn shown(ended: &Ended, key: &str) -> Vec<String> {
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(0), ""), "{ended:?}");
    let starts = [format!("{key} = "), format!("# {key} is not set")];
    let lines = ended.stdout.lines().filter(|line| starts.iter().any(|start| line.starts_with(start)));
    lines.map(|line| line.replace(env!("CARGO_MANIFEST_DIR"), "")).collect()
}

#[test]
fn the_command_line_replaces_the_environment_and_that_the_file() {
    // The file, the environment, the command line; the setting, and what is in force.
    type Row =
        (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str], &'static str, &'static str);
    let rows: &[Row] = &[
        ("", &[], &[], "workers", "# workers is not set; default: the number of cores"),
        ("", &[], &[], "max-rooms", "max-rooms = 200 # default"),
        ("", &[], &[], "listen", "listen = [\"127.0.0.1:8080\"] # default"),
        ("max-rooms = 3", &[], &[], "max-rooms", "max-rooms = 3 # FILE:1"),
        ("\n\nmax-rooms = \"3\"", &[], &[], "max-rooms", "max-rooms = 3 # FILE:3"),
        ("max-rooms = 3", &[("SWITCHBOARD_MAX_ROOMS", "")], &[], "max-rooms", "max-rooms = 3 # FILE:1"),
        ("max-rooms = 3", &[("SWITCHBOARD_MAX_ROOMS", "4")], &[], "max-rooms", "max-rooms = 4 # SWITCHBOARD_MAX_ROOMS"),
        (
            "max-rooms = 3",
            &[("SWITCHBOARD_MAX_ROOMS", "4")],
            &["--max-rooms", "5"],
            "max-rooms",
            "max-rooms = 5 # the command line",
        ),
        ("session-idle = \"1h\"", &[], &[], "session-idle", "session-idle = \"1h\" # FILE:1"),
        // A list replaces a list.
        (
            "listen = [\"127.0.0.1:1\", \"[::1]:2\"]",
            &[],
            &[],
            "listen",
            "listen = [\"127.0.0.1:1\", \"[::1]:2\"] # FILE:1",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            &[("SWITCHBOARD_LISTEN", "127.0.0.1:3, [::1]:4")],
            &[],
            "listen",
            "listen = [\"127.0.0.1:3\", \"[::1]:4\"] # SWITCHBOARD_LISTEN",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            &[],
            &["--listen", "127.0.0.1:5"],
            "listen",
            "listen = [\"127.0.0.1:5\"] # the command line",
        ),
        // Two options are one setting.
        (
            "",
            &[],
            &[],
            "guests",
            "# guests is not set; default if each --listen is a loopback address and there is no --public-url",
        ),
        ("guests = false", &[], &[], "guests", "guests = false # FILE:1"),
        ("guests = false", &[], &["--guests"], "guests", "guests = true # the command line"),
        ("guests = true", &[], &["--no-guests"], "guests", "guests = false # the command line"),
        ("", &[], &[], "registration", "registration = true # default"),
        ("registration = false", &[], &[], "registration", "registration = false # FILE:1"),
        (
            "registration = false",
            &[("SWITCHBOARD_REGISTRATION", "true")],
            &[],
            "registration",
            "registration = true # SWITCHBOARD_REGISTRATION",
        ),
        ("verbose = 2", &[], &[], "verbose", "verbose = 2 # FILE:1"),
        ("verbose = 2", &[], &["-v"], "verbose", "verbose = 1 # the command line"),
        // A setting that cannot be used with a later one does not count.
        ("deflate-level = 5", &[], &["--no-deflate"], "deflate-level", "deflate-level = 1 # default"),
        ("deflate = false", &[("SWITCHBOARD_DEFLATE_LEVEL", "5")], &[], "deflate", "deflate = true # default"),
        ("quiet = true", &[], &["-vv"], "quiet", "quiet = false # default"),
    ];
    for (file, variables, arguments, key, expected) in rows {
        let settings = Settings::new(file);
        let path = settings.file();
        let ended =
            program::run(&mut command(&[&["config", "show", "--config", &path], *arguments].concat(), variables));
        assert_eq!(shown(&ended, key), [expected.replace("FILE", &path)], "{file:?}, {variables:?}, {arguments:?}");
    }
}

#[test]
fn the_file_is_named_by_an_option_or_a_variable_or_in_its_usual_place() {
    let (one, other) = (Settings::new("max-rooms = 1"), Settings::new("max-rooms = 2"));
    let home = tempfile::tempdir().expect("a folder");
    let usual = home.path().join("switchboard").join("switchboard.toml");
    fs::create_dir(usual.parent().expect("a folder")).expect("a folder");
    fs::write(&usual, "max-rooms = 3").expect("a file");
    let home = ("XDG_CONFIG_HOME", home.path().to_str().expect("a path in UTF-8"));
    let (one, other) = (one.file(), other.file());
    let variable = ("SWITCHBOARD_CONFIG", &*other);
    for (arguments, variables, expected) in [
        (&["--config", &*one][..], &[variable, home][..], "1"),
        (&[], &[variable, home], "2"),
        (&[], &[("SWITCHBOARD_CONFIG", ""), home], "3"),
        (&[], &[home], "3"),
        (&[], &[], "200"),
    ] {
        let ended = program::run(&mut command(&[&["config", "show"], arguments].concat(), variables));
        let lines = shown(&ended, "max-rooms");
        assert!(lines[0].starts_with(&format!("max-rooms = {expected} #")), "{lines:?}");
    }
    // The first two are there or an error; also for what only needs the folder of the data.
    for arguments in [
        &["--config", "/nowhere"][..],
        &["check", "--config", "/nowhere"],
        &["user", "add", "a", "--config", "/nowhere"],
    ] {
        let ended = program::run(&mut command(arguments, &[home]));
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.stderr.starts_with("switchboard: cannot read /nowhere: "), "{ended:?}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_one_line_that_names_its_line() {
    let rows = [
        ("liste = \"127.0.0.1:1\"", "FILE:1: liste: there is no such setting; did you mean listen?"),
        ("\nmax_rooms = 1", "FILE:2: max_rooms: there is no such setting; did you mean max-rooms?"),
        ("no-guests = true", "FILE:1: no-guests: there is no such setting; the opposite is guests, which can be false"),
        ("rooms = 1", "FILE:1: rooms: there is no such setting; did you mean max-rooms?"),
        ("colour = 1", "FILE:1: colour: there is no such setting; switchboard config defaults prints all"),
        ("config = \"x\"", "FILE:1: config: there is no such setting; switchboard config defaults prints all"),
        ("help = true", "FILE:1: help: there is no such setting; switchboard config defaults prints all"),
        ("[server]\nlisten = 1", "FILE:1: server is a table; settings have no tables around them"),
        ("a = 1\nb = = 2", "FILE:2: not TOML: "),
        ("max-rooms = 1\nmax-rooms = 2", "FILE:2: not TOML: "),
        (
            "listen = \"localhost\"",
            "FILE:1: listen: expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        (
            "listen = [\"127.0.0.1:1\", \"x\"]",
            "FILE:1: listen: expected an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        ("max-rooms = [1, 2]", "FILE:1: max-rooms: expected one value"),
        ("max-rooms = []", "FILE:1: max-rooms: expected one value"),
        ("max-rooms = -1", "FILE:1: max-rooms: invalid digit found in string"),
        (
            "max-rooms = 1.5",
            "FILE:1: max-rooms: expected a text in quotes, a whole number, true, false, or a list of these",
        ),
        ("workers = 0", "FILE:1: workers: 0 is not in 1..=1024"),
        ("session-idle = 15", "FILE:1: session-idle: expected a time such as 15m, 12h or 30days"),
        (
            "max-message-bytes = \"2GiB\"",
            "FILE:1: max-message-bytes: expected a number of bytes from 1 to 1GiB, such as 65536 or 64KiB",
        ),
        ("tls-min-version = \"1.1\"", "FILE:1: tls-min-version: expected one of these: 1.2, 1.3"),
        ("guests = \"maybe\"", "FILE:1: guests: expected true or false"),
        ("verbose = true", "FILE:1: verbose: expected a number from 0 to 255"),
        (
            "deflate-level = 5\ndeflate = false",
            "FILE:2: deflate has no effect beside deflate-level; remove one of the two",
        ),
        ("verbose = 1\nquiet = true", "FILE:2: quiet has no effect beside verbose; remove one of the two"),
        // Mistakes that depend on more than one setting.
        ("ping-after = \"60s\"", "--idle-timeout 60s must be longer than --ping-after 60s"),
        ("acme-webroot = \"/\"", "--acme-webroot needs --http-listen"),
        ("tls-cert = \"x\"", "each --tls-cert FILE needs a --tls-key FILE"),
    ];
    for (text, expected) in rows {
        let settings = Settings::new(text);
        let file = settings.file();
        for arguments in [&["config", "check", &file][..], &["--config", &file], &["config", "show", "--config", &file]]
        {
            let ended = program::run(&mut command(arguments, &[]));
            assert_eq!((ended.status.code(), &*ended.stdout), (Some(2), ""), "{text:?}: {ended:?}");
            assert_eq!(ended.stderr.lines().count(), 1, "{text:?}: {ended:?}");
            let expected = format!("switchboard: {}", expected.replace("FILE:", &format!("{file}:")));
            assert!(ended.stderr.starts_with(&expected), "{text:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn an_unknown_variable_is_exit_2_whatever_the_program_does() {
    let rows = [
        ("SWITCHBOARD_LISTE", "127.0.0.1:1", "there is no such setting; did you mean SWITCHBOARD_LISTEN?"),
        (
            "SWITCHBOARD_NO_GUESTS",
            "true",
            "there is no such setting; the opposite is SWITCHBOARD_GUESTS, which can be false",
        ),
        ("SWITCHBOARD_MAX_ROOMS", "many", "max-rooms: invalid digit found in string"),
        ("SWITCHBOARD_GUESTS", "1", "guests: expected true or false"),
    ];
    for (name, value, expected) in rows {
        for arguments in [&[][..], &["serve"], &["echo"], &["check"], &["user", "add", "a"], &["config", "show"]] {
            let ended = program::run(&mut command(arguments, &[(name, value)]));
            assert_eq!((ended.status.code(), &*ended.stdout), (Some(2), ""), "{arguments:?}: {ended:?}");
            assert_eq!(ended.stderr, format!("switchboard: {name}: {expected}\n"), "{arguments:?}");
        }
    }
}

#[test]
fn the_file_of_the_defaults_is_valid_and_that_of_the_documentation() {
    let ended = program::run(&mut command(&["config", "defaults"], &[]));
    let documented = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/switchboard.toml"));
    assert!(
        documented.expect("the file exists") == ended.stdout,
        "make it anew: switchboard config defaults > docs/switchboard.toml"
    );
    // Settings whose default is a value, not a word such as ADDR or N.
    let is_placeholder = |line: &str| {
        line.trim_end_matches(']').ends_with('"')
            && line
                .split('"')
                .nth(1)
                .is_some_and(|text| text.chars().all(|char| char.is_ascii_uppercase() || char == ':'))
    };
    let (switched, left): (Vec<_>, Vec<_>) = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with('#') && !line.starts_with("# ") && *line != "#")
        .partition(|line| !is_placeholder(line));
    assert!(switched.len() > 35 && left.len() < 20, "{switched:#?} {left:#?}");
    // Those without a value, and those that cannot be used beside others.
    let alone = ["#guests", "#tls-self-signed", "#quiet", "#verbose", "#deflate ", "#hsts"];
    let text: String = switched
        .iter()
        .filter(|line| !alone.iter().any(|alone| line.starts_with(alone)))
        .map(|line| format!("{}\n", &line[1..]))
        .collect();
    let settings = Settings::new(&text);
    let checked = program::run(&mut command(&["config", "check", &settings.file()], &[]));
    assert_eq!(
        checked.stdout,
        format!("{}: {} settings, all valid\n", settings.file(), text.lines().count()),
        "{checked:?}"
    );
    // They change nothing.
    let show = |arguments: &[&str]| {
        let ended = program::run(&mut command(&[&["config", "show"], arguments].concat(), &[]));
        let lines = ended.stdout.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned());
        lines.collect::<Vec<_>>()
    };
    assert_eq!(show(&[]), show(&["--config", &settings.file()]));
}

#[test]
fn a_server_has_its_settings_from_the_file_and_the_environment() {
    let settings = Settings::new("listen = \"127.0.0.1:0\"\nkeep-alive = \"7s\"\ndata = \":memory:\"");
    let kept = |program: &program::Program| {
        let mut raw = Raw::connect(program.address());
        raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        raw.response().header("Keep-Alive").map(str::to_owned)
    };
    let chat = start_command(&mut command(&["--config", &settings.file()], &[]));
    assert_eq!(kept(&chat).as_deref(), Some("timeout=7"));
    let chat = start_command(&mut command(&["serve", "--config", &settings.file(), "--keep-alive", "8s"], &[]));
    assert_eq!(kept(&chat).as_deref(), Some("timeout=8"));
    // A file of settings is of the chat alone, but variables are of all.
    let variables =
        [("SWITCHBOARD_LISTEN", "127.0.0.1:0"), ("SWITCHBOARD_KEEP_ALIVE", "9s"), ("SWITCHBOARD_MAX_ROOMS", "1")];
    let echo = start_command(&mut command(&["echo"], &variables));
    assert_eq!(kept(&echo).as_deref(), Some("timeout=9"));
}

#[test]
fn commands_on_the_data_find_it_where_the_settings_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path in UTF-8");
    let settings = Settings::new(&format!("listen = \"127.0.0.1:0\"\ndata = \"{data}\""));
    drop(start_command(&mut command(&["--config", &settings.file()], &[])));
    let sound = format!("{data}/chat.sqlite3 is sound\n");
    for (arguments, variables) in [
        (&["check", "--config", &*settings.file()][..], &[][..]),
        (&["check"], &[("SWITCHBOARD_DATA", data)]),
        (&["check"], &[("SWITCHBOARD_CONFIG", &*settings.file())]),
        (&["check", "--data", data], &[("SWITCHBOARD_DATA", "/nowhere")]),
        (&["--data", data, "check"], &[("SWITCHBOARD_DATA", "/nowhere")]),
    ] {
        let ended = program::run(&mut command(arguments, variables));
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), &*sound), "{arguments:?}: {ended:?}");
    }
    let ended = program::run(&mut command(&["user", "operator", "nobody", "--config", &settings.file()], &[]));
    assert_eq!((ended.status.code(), ended.stderr.contains("no account with this name")), (Some(1), true), "{ended:?}");
}
