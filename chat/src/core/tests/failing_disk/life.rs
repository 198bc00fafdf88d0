//! The users of a chat over a disk that fails, and the check of what is left after its crash.

use std::time::Duration;

use serde_json::{Value, json};
use switchboard_tests::random::Random;

use super::{
    super::{
        super::super::{OpenError, Rate},
        ChatConfig, ClientId, Data, LOBBY, Store, TestChat, TokenHash, event_command,
    },
    NAMES, ROOM,
    acts::{Act, Answer, Attempt, Known},
    disk::{Disk, Files, Plan},
};

/// The data at the beginning of each case, and what the users need.
pub(super) struct Template {
    pub(super) files: Files,
    tokens: Vec<TokenHash>,
    epochs: Vec<String>,
}

/// A message that was published when the log of calls was `at` long.
pub(super) struct Published {
    text: String,
    seq: Value,
    pub(super) at: usize,
}

impl Template {
    /// Creates the data in the folder, in place of what is there.
    pub(super) fn new(disk: &Disk) -> Self {
        disk.put(&Files::new());
        let mut chat = start(disk).unwrap();
        let tokens: Vec<_> = NAMES.iter().map(|name| chat.account(name).unwrap()).collect();
        let ada = chat.connect(tokens[0]);
        assert_eq!(chat.create(ada, "Rust", "public"), ROOM);
        chat.say(ada, LOBBY, "an old message").unwrap();
        let epochs = epochs(&chat);
        chat.state.close(chat.now);
        drop(chat);
        Self { files: disk.files(), tokens, epochs }
    }
}

fn start(disk: &Disk) -> Result<TestChat, OpenError> {
    let store = Store::open(&Data::Folder(disk.folder.clone()))?;
    // Few pages, so that there are several checkpoints, and a long transaction is partly written before its commit.
    store.execute("PRAGMA wal_autocheckpoint = 16; PRAGMA cache_size = 12")?;
    let mut config = ChatConfig::default();
    config.limits.messages = Rate { at_once: 1000, per_second: 1000.0 };
    Ok(TestChat::start(store, config))
}

fn epochs(chat: &TestChat) -> Vec<String> {
    let room = |number| serde_json::from_value(json!(number)).unwrap();
    [LOBBY, ROOM].map(|number| chat.state.store.room(room(number)).unwrap().unwrap().epoch).into()
}

/// Lets the users act over the files that are there, while calls fail as planned. At the end the process counts as
/// crashed: later calls are not logged.
pub(super) fn live(
    disk: &Disk,
    template: &Template,
    plan: Plan,
    script: Vec<Vec<Act>>,
    acts: &mut Vec<Act>,
    random: &mut Random,
) -> Vec<Published> {
    let mut published = Vec::new();
    disk.obey(plan);
    if let Ok(mut chat) = start(disk) {
        // Later than in the template, so that uses of sessions are stored.
        chat.advance(Duration::from_secs(3600));
        let connections: Vec<_> = template.tokens.iter().map(|token| chat.connect(*token)).collect();
        for (number, new) in script.into_iter().enumerate() {
            let earlier = acts.len();
            acts.extend(new);
            let (earlier, new) = acts.split_at_mut(earlier);
            // Some of the messages that were not acknowledged are sent again.
            let again = earlier
                .iter_mut()
                .filter(|act| act.has_key() && !act.attempts.iter().any(Attempt::is_done) && random.chance(1, 3));
            let mut batch: Vec<_> = again.chain(new).collect();
            attempt(disk, &mut chat, &connections, number, &mut batch, &mut published);
            // After a minute the store gets a new mark, and the uses of sessions.
            chat.advance(Duration::from_secs(if random.chance(1, 3) { 61 } else { 2 }));
        }
        if random.chance(1, 2) {
            chat.state.close(chat.now);
            drop(chat);
        }
    }
    disk.obey(Plan::CRASHED);
    published
}

/// Makes attempts at these acts, in one batch.
fn attempt(
    disk: &Disk,
    chat: &mut TestChat,
    connections: &[ClientId],
    batch: usize,
    acts: &mut [&mut Act],
    published: &mut Vec<Published>,
) {
    let began = disk.logged();
    let commands = acts
        .iter()
        .enumerate()
        .map(|(id, act)| event_command(connections[act.user], &json!([act.event, act.data, format!("act {id}")])));
    chat.process(commands.collect());
    let answered = disk.logged();
    // A user who could not be signed in is refused.
    let mut answers = vec![Answer::Refused; acts.len()];
    for output in connections.iter().flat_map(|connection| chat.take_all_output(*connection)) {
        let (name, data) = (output[0].as_str().unwrap(), &output[1]);
        if name == "message" && data["kind"] == "said" {
            let text = data["text"].as_str().unwrap().to_owned();
            published.push(Published { text, seq: data["seq"].clone(), at: answered });
        }
        let Some(id) = output[2].as_str().and_then(|id| id.strip_prefix("act ")) else { continue };
        answers[id.parse::<usize>().unwrap()] = match name {
            "ack" => Answer::Done(data["seq"].clone()),
            _ if data["code"] == "unknown" => Answer::Unknown,
            _ => Answer::Refused,
        };
    }
    for (act, answer) in acts.iter_mut().zip(answers) {
        act.attempts.push(Attempt { batch, answer, began, answered });
        let is_possible = act.known != Known::Never || act.attempts.iter().any(Attempt::is_done);
        if let Ok(count) = chat.state.store.number(&act.count)
            && !is_possible
        {
            assert_eq!(count, 0, "{} is there although the process runs: {}", act.event, act.data);
        }
    }
}

/// Opens the chat over these files, and checks that it has kept its word.
pub(super) fn verify<'a>(
    disk: &Disk,
    template: &Template,
    files: &Files,
    acts: &[Act],
    published: impl Iterator<Item = &'a Published>,
) {
    disk.obey(Plan::OFF);
    disk.put(files);
    let mut chat = start(disk).unwrap_or_else(|error| panic!("{error}"));
    check_database(&chat);
    assert_eq!(epochs(&chat), template.epochs, "the logs have new epochs");
    for act in acts {
        let count = chat.state.store.number(&act.count).unwrap();
        let is_kept = match (&act.known, count) {
            (Known::Never, 0) | (Known::NeverOrOnce, 0 | 1) => true,
            (Known::Once(seq), 1) => {
                act.seq.as_ref().is_none_or(|query| json!(chat.state.store.number(query).unwrap()) == *seq)
            }
            _ => false,
        };
        assert!(is_kept, "{} is there {count} times, not {:?}: {}", act.event, act.known, act.data);
    }
    for Published { text, seq, .. } in published {
        let query = format!("SELECT count(*) FROM messages WHERE text = '{text}' AND seq = {seq}");
        assert_eq!(chat.state.store.number(&query), Ok(1), "{text} was published as {seq}");
    }
    let connections: Vec<_> = template.tokens.iter().map(|token| chat.connect(*token)).collect();
    let again: Vec<_> = acts.iter().filter(|act| act.has_key()).zip(0_u64..).collect();
    let commands =
        again.iter().map(|(act, id)| event_command(connections[act.user], &json!([act.event, act.data, id])));
    chat.process(commands.collect());
    for (act, id) in again {
        let said = chat.reply_to(connections[act.user], id).unwrap();
        assert_eq!(chat.state.store.number(&act.count), Ok(1), "sent again with its key: {}", act.data);
        if let Known::Once(seq) = &act.known {
            assert_eq!(said["seq"], *seq, "sent again with its key: {}", act.data);
        }
    }
    check_database(&chat);
}

fn check_database(chat: &TestChat) {
    let faults = "SELECT (SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok')
        + (SELECT count(*) FROM pragma_foreign_key_check)";
    assert_eq!(chat.state.store.number(faults), Ok(0), "the database is damaged");
    assert_eq!(chat.state.store.broken_rules(), [""; 0]);
}
