//! What was acknowledged survives: the program killed in the middle of load, stopped in it, and out of disk.
mod crowd;
#[allow(dead_code, reason = "each of its users needs another part of it")]
use std::process::Command;

use rlimit::Resource;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::chat_user::{ChatUser, End, guest, json_of, post};
use crate::support::folder::Folder;
use crate::support::program::{PATH, Program, start, start_command};
use crowd::Crowd;
use switchboard_tests::random::{Random, for_each_seed};

/// A hundred kills. Each is at a moment of its own: so many acknowledgements after the start, with more on its way.
#[test]
fn kill_9_loses_nothing_that_was_acknowledged_and_doubles_nothing_that_is_repeated() {
    for_each_seed(10, |random| {
        restart_in_the_middle_of_load("kill-9", 10, random, |program, crowd| {
            program.kill();
            crowd.drain();
        });
    });
}

#[test]
fn sigterm_loses_nothing_that_was_acknowledged_and_ends_with_0() {
    for_each_seed(3, |random| {
        restart_in_the_middle_of_load("sigterm", 3, random, |program, crowd| {
            program.signal("TERM");
            assert!(crowd.drain().iter().all(|end| *end == End::Closed(1001)));
            assert_eq!(program.wait().code(), Some(0));
        });
    });
}

/// Ends the program so often while everybody talks. Each restart is held to what was told before.
fn restart_in_the_middle_of_load(name: &str, times: usize, mut random: Random, end: impl Fn(&mut Program, &mut Crowd)) {
    let folder = Folder::new(name);
    let mut program = serve(&folder);
    let mut crowd = Crowd::new(program.address(), Random::new(random.next_u64()));
    for _ in 0..times {
        crowd.verify(program.address());
        crowd.connect(program.address());
        crowd.send_until_answered(random.below(80));
        end(&mut program, &mut crowd);
        program = serve(&folder);
    }
    crowd.verify(program.address());
    crowd.connect(program.address());
    crowd.finish();
    crowd.verify(program.address());
}

/// The limit of a file's size stands in for a full disk.
#[test]
fn a_full_disk_refuses_what_it_cannot_keep_and_the_rest_goes_on() {
    let folder = Folder::new("full-disk");
    // Writes past the limit then fail, instead of ending the program.
    let mut program =
        start_command(Command::new("sh").args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", PATH]).args(options(&folder)));
    let token = guest(program.address(), "Ann");
    let (mut ann, mut bob) =
        (ChatUser::with_token(program.address(), &token), ChatUser::guest(program.address(), "Bob"));
    bob.ask("join", json!({"room": 1})).unwrap();
    let mut keys = (1..).map(|number| Uuid::from_u128(number).to_string());
    let mut say = |user: &mut ChatUser| {
        let (key, text) = (keys.next().expect("a key"), "x".repeat(4_000));
        let what = json!({"room": 1, "text": text, "key": key});
        (user.ask("say", what.clone()), what)
    };

    let unlimited = limit_files(&program, 512 << 10);
    let mut acknowledged = Vec::new();
    let refused = loop {
        match say(&mut ann) {
            (Ok(place), what) => acknowledged.push((place, what)),
            (Err(code), what) => break (code, what),
        }
        assert!(acknowledged.len() < 1_000, "the disk is never full");
    };
    assert_eq!(refused.0, "storage");
    assert!(acknowledged.len() > 10, "so few fit on the disk: {}", acknowledged.len());
    // Nothing is written now, and all that only reads goes on.
    for _ in 0..20 {
        assert_eq!(say(&mut bob).0, Err("storage".into()));
    }
    assert_eq!(ann.ask("create", json!({"name": "Attic"})), Err("storage".into()));
    assert_eq!(ann.ask("tell", json!({"name": "Bob", "text": "?", "key": refused.1["key"]})), Err("storage".into()));
    assert_eq!(bob.received(&["message"]).len(), acknowledged.len(), "nobody hears what was refused");
    let page = bob.ask("history", json!({"room": 1, "limit": 5})).unwrap();
    assert_eq!(page["messages"][4]["seq"], acknowledged.last().unwrap().0["seq"]);
    let answer = post(program.address(), "/api/guest", &json!({"name": "Cem"}));
    assert_eq!((answer.status, json_of(&answer)["error"]["code"].as_str()), (503, Some("storage")));
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    let mut again = ChatUser::with_token(program.address(), &token);
    assert_eq!(again.ask("members", json!({"room": 1})).unwrap()["members"].as_array().unwrap().len(), 2);

    // There is room again, and then there is none.
    limit_files(&program, unlimited);
    acknowledged.push((ann.ask("say", refused.1.clone()).expect("room for what was refused"), refused.1));
    limit_files(&program, 64 << 10);
    let (answer, never_said) = say(&mut ann);
    assert_eq!(answer, Err("storage".into()));
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(0), "the program outlives a full disk");

    program = serve(&folder);
    let mut ann = ChatUser::with_token(program.address(), &token);
    let mut said = Vec::new();
    while let Some(before) = said.first().map_or(Some(u64::MAX), |first: &Value| first["seq"].as_u64())
        && before > 1
    {
        let page = ann.ask("history", json!({"room": 1, "limit": 100, "before": before})).unwrap();
        said.splice(..0, page["messages"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(said.len(), acknowledged.len(), "what was refused is not there");
    for (message, (place, what)) in said.iter().zip(&acknowledged) {
        assert_eq!(
            (&message["seq"], &message["time"], &message["text"]),
            (&place["seq"], &place["time"], &what["text"])
        );
        assert_eq!(ann.ask("say", what.clone()).as_ref(), Ok(place), "a repeat is where the first one was");
    }
    let place = ann.ask("say", never_said).expect("there is room");
    assert_eq!(place["seq"], acknowledged.len() + 1);
}

/// No file of the program's grows past so many bytes from here on; gives what was allowed before.
fn limit_files(program: &Program, bytes: u64) -> u64 {
    let id = program.id().try_into().expect("a process id");
    let (mut soft, mut hard) = (0, 0);
    rlimit::prlimit(id, Resource::FSIZE, None, Some((&mut soft, &mut hard))).unwrap();
    rlimit::prlimit(id, Resource::FSIZE, Some((bytes, hard)), None).unwrap();
    soft
}

/// The program, with its data in this folder, which lets everybody say as much as they like.
fn serve(folder: &Folder) -> Program {
    start(&options(folder)[..])
}

fn options(folder: &Folder) -> [&str; 10] {
    let much = "1000000+1000000/s";
    let [data, workers] = [folder.path(), "2"];
    ["--data", data, "--workers", workers, "--message-rate", much, "--event-rate", much, "--sign-in-rate", much]
}
