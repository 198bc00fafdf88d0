//! Acknowledged messages survive: the program is killed under load, stopped under load, or runs out of disk space. When
//! a copy of the data is put back, clients notice.

mod copies;
mod crowd;
mod put_back;

use std::process::Command;

use rlimit::Resource;
use serde_json::{Value, json};
use switchboard_tests::random::{Random, for_each_seed};
use uuid::Uuid;

use crate::support::{
    chat_user::{ChatUser, End, guest, json_of, post},
    folder::Folder,
    program::{PATH, Program, start, start_command},
};
use crowd::Crowd;

/// A hundred kills, each after a random number of acknowledgements, with more messages in flight.
#[test]
fn kill_9_loses_no_acknowledged_message_and_duplicates_no_repeated_one() {
    for_each_seed(10, |random| {
        restart_in_the_middle_of_load("kill-9", 10, random, |program, crowd| {
            program.kill();
            crowd.drain();
        });
    });
}

#[test]
fn sigterm_loses_no_acknowledged_message_and_exits_with_0() {
    for_each_seed(3, |random| {
        restart_in_the_middle_of_load("sigterm", 3, random, |program, crowd| {
            program.signal("TERM");
            assert!(crowd.drain().iter().all(|end| *end == End::Closed(1001)));
            assert_eq!(program.wait().code(), Some(0));
        });
    });
}

/// Ends the program `times` times while all send messages. Checks the logs after each restart.
fn restart_in_the_middle_of_load(name: &str, times: usize, mut random: Random, end: impl Fn(&mut Program, &mut Crowd)) {
    let folder = Folder::new(name);
    let mut program = serve(&folder);
    let mut crowd = Crowd::new(program.address(), Random::new(random.next_u64()));
    for _ in 0..times {
        crowd.verify(program.address());
        crowd.connect(program.address());
        crowd.send_until_replied(random.below(80));
        end(&mut program, &mut crowd);
        program = serve(&folder);
    }
    crowd.verify(program.address());
    crowd.connect(program.address());
    crowd.finish();
    crowd.verify(program.address());
}

/// A limit on the size of files simulates a full disk.
#[test]
fn on_a_full_disk_writes_are_refused_and_reads_go_on() {
    let folder = Folder::new("full-disk");
    // Without SIGXFSZ, writes past the limit fail instead of ending the program.
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
    assert!(acknowledged.len() > 10, "too few fit on the disk: {}", acknowledged.len());
    // Now writes fail and reads go on.
    let mut codes = vec![refused.0];
    codes.extend((0..20).map(|_| say(&mut bob).0.unwrap_err()));
    codes.push(ann.ask("create", json!({"name": "Attic"})).unwrap_err());
    codes.push(ann.ask("tell", json!({"name": "Bob", "text": "?", "key": refused.1["key"]})).unwrap_err());
    // When there is no space even to withdraw a refused change, that one is uncertain, and nothing more is written.
    let unknown = codes.iter().filter(|code| *code == "unknown").count();
    assert!(unknown <= 1 && codes.iter().all(|code| ["storage", "unknown"].contains(&&**code)), "{codes:?}");
    assert_eq!(bob.received(&["message"]).len(), acknowledged.len(), "refused messages are not published");
    let page = bob.ask("history", json!({"room": 1, "limit": 5})).unwrap();
    assert_eq!(page["messages"][4]["seq"], acknowledged.last().unwrap().0["seq"]);
    let answer = post(program.address(), "/api/guest", &json!({"name": "Cem"}));
    assert_eq!((answer.status, json_of(&answer)["error"]["code"].as_str()), (503, Some("storage")));
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    let mut again = ChatUser::with_token(program.address(), &token);
    assert_eq!(again.ask("members", json!({"room": 1})).unwrap()["members"].as_array().unwrap().len(), 2);

    // The disk has space again, and then is full again.
    limit_files(&program, unlimited);
    acknowledged.push((ann.ask("say", refused.1.clone()).expect("space for the refused message"), refused.1));
    limit_files(&program, 64 << 10);
    let (answer, refused_again) = say(&mut ann);
    assert!(answer.is_err_and(|code| ["storage", "unknown"].contains(&&*code)));
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(0), "the program survives a full disk");

    program = serve(&folder);
    let mut ann = ChatUser::with_token(program.address(), &token);
    let mut said = Vec::new();
    while let Some(before) = said.first().map_or(Some(u64::MAX), |first: &Value| first["seq"].as_u64())
        && before > 1
    {
        let page = ann.ask("history", json!({"room": 1, "limit": 100, "before": before})).unwrap();
        said.splice(..0, page["messages"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(said.len(), acknowledged.len(), "refused messages are not in the log");
    for (message, (place, what)) in said.iter().zip(&acknowledged) {
        assert_eq!(
            (&message["seq"], &message["time"], &message["text"]),
            (&place["seq"], &place["time"], &what["text"])
        );
        assert_eq!(ann.ask("say", what.clone()).as_ref(), Ok(place), "a repeat returns the first one's position");
    }
    let place = ann.ask("say", refused_again).expect("there is space");
    assert_eq!(place["seq"], acknowledged.len() + 1);
}

/// Limits the size of all files that the program writes. Returns the previous limit.
fn limit_files(program: &Program, bytes: u64) -> u64 {
    let id = program.id().try_into().expect("a process id");
    let (mut soft, mut hard) = (0, 0);
    rlimit::prlimit(id, Resource::FSIZE, None, Some((&mut soft, &mut hard))).unwrap();
    rlimit::prlimit(id, Resource::FSIZE, Some((bytes, hard)), None).unwrap();
    soft
}

/// Starts the program with its data in this folder, and without effective rate limits.
fn serve(folder: &Folder) -> Program {
    start(&options(folder)[..])
}

fn options(folder: &Folder) -> [&str; 10] {
    let much = "1000000+1000000/s";
    let [data, workers] = [folder.path(), "2"];
    ["--data", data, "--workers", workers, "--message-rate", much, "--event-rate", much, "--sign-up-rate", much]
}
