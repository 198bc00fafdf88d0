//! The chat over a disk that fails, tears and forgets, at every call in turn, and then crashes.
//!
//! Users write while some calls of SQLite fail. At some point the process is killed or the power fails. From the log of
//! all calls follows what the disk may hold then. The chat is opened over that, and must have kept its word: what was
//! acknowledged or published is there once; what was refused is not there; what was answered with `unknown`, or not
//! at all, is there once or not, and once after it was sent again with its key.
//!
//! | file | contents |
//! |---|---|
//! | `shim.c` | makes calls fail, and logs all others; loaded before the C library |
//! | `disk.rs` | what the disk may hold after a crash, from this log |
//! | `acts.rs` | what users want to change, and what must be there afterwards |
//! | `life.rs` | one life of the process, and the check after it |
//!
//! The test starts itself again under the shim, so it needs Linux and a C compiler.

mod acts;
mod disk;
mod life;

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use switchboard_tests::random::Random;

use super::super::super::token::Token;
use acts::{Attempt, note_crash, script};
use disk::{Crash, Disk, Plan, after_crash};
use life::{Template, live, verify};

#[test]
fn the_chat_keeps_its_word_whatever_the_disk_does() {
    match [DISK, PLAN].map(env::var_os) {
        [Some(folder), Some(plan)] => try_cases(&Disk::new(folder.into(), plan.clone().into()), Path::new(&plan)),
        _ => run_under_the_shim(),
    }
}

/// Runs the test again, in processes whose calls the shim sees: one to count the calls, the others to try the cases.
fn run_under_the_shim() {
    let folder = env::temp_dir().join(format!("switchboard-test-{}", Token::random()));
    let [data, shim, plan] = ["data", "shim.so", "plan"].map(|name| folder.join(name));
    fs::create_dir_all(&data).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/tests/failing_disk/shim.c");
    let mut compiler = Command::new(env::var_os("CC").unwrap_or("cc".into()));
    compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).args([&shim, &source]).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success(), "the shim is not compiled");
    let test = std::thread::current().name().expect("the name of the test").to_owned();
    let run = |cases: &[Case]| {
        let cases: Vec<_> = cases.iter().map(Case::to_string).collect();
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", &test, "--nocapture"]).env("LD_PRELOAD", &shim).env(CASES, cases.join(";"));
        let ended = again.env(DISK, &data).env(PLAN, &plan).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    let cases = match env::var("CASE") {
        Ok(case) => vec![Case::parse(&case).expect("a case as it was printed")],
        Err(_) => {
            run(&[]);
            chosen_cases(&fs::read_to_string(counts_beside(&plan)).unwrap())
        }
    };
    let started = Instant::now();
    cases.chunks(CASES_OF_A_PROCESS).for_each(run);
    fs::remove_dir_all(folder).unwrap();
    println!("{} cases in {:.1?}", cases.len(), started.elapsed());
}

/// Tries the cases that the environment names, or counts the calls if there are none.
fn try_cases(disk: &Disk, plan: &Path) {
    disk.obey(Plan::OFF);
    let template = Template::new(disk);
    let cases = env::var(CASES).unwrap();
    if cases.is_empty() {
        disk.put(&template.files);
        live(disk, &template, Plan::COUNT, script(1), &mut Vec::new(), &mut Random::new(0));
        let log = disk.log();
        let counts = log.last().filter(|call| call.kind == 'n').expect("the numbers of calls");
        return fs::write(counts_beside(plan), format!("{} {}", counts.offset, counts.length)).unwrap();
    }
    for case in cases.split(';') {
        let case = Case::parse(case).unwrap();
        let _print = PrintOnPanic(case);
        case.run(disk, &template);
    }
}

/// Returns the file with the numbers of the calls that write or sync and of those that read.
fn counts_beside(plan: &Path) -> PathBuf {
    plan.with_extension("counts")
}

/// One way in which the disk fails.
#[derive(Clone, Copy)]
struct Case {
    plan: Plan,
    crash: Crash,
    seed: u64,
}

impl Case {
    /// Reads a case as it is displayed.
    fn parse(text: &str) -> Option<Self> {
        let [mode, first, last, crash, seed] = text.split(',').collect::<Vec<_>>()[..] else { return None };
        let plan = Plan { mode: mode.parse().ok()?, first: first.parse().ok()?, last: last.parse().ok()? };
        let crash = [Crash::Kill, Crash::PowerLoss].into_iter().find(|each| format!("{each:?}") == crash)?;
        Some(Self { plan, crash, seed: seed.parse().ok()? })
    }

    /// The users act while the disk fails, and then the process crashes. Sometimes recovery and another life over what
    /// is left fail, too. Then the chat must have kept its word.
    fn run(&self, disk: &Disk, template: &Template) {
        let mut random = Random::new(self.seed);
        let mut acts = Vec::new();
        disk.obey(Plan::OFF);
        disk.put(&template.files);
        let mut published = live(disk, template, self.plan, script(1), &mut acts, &mut random);
        let calls = disk.log();
        // The crash comes right after the first answer that is not an acknowledgement, or anywhere later.
        let end = calls.last().map_or(0, |call| call.end);
        let bad = acts.iter().flat_map(|act| &act.attempts).filter(|attempt| !attempt.is_done());
        let first = bad.map(|attempt: &Attempt| attempt.answered).min().unwrap_or(0);
        let crash = if first > 0 && random.chance(1, 2) { first } else { first + random.below(end - first + 1) };
        note_crash(&mut acts, crash);
        published.retain(|published| published.at <= crash);
        let mut files = after_crash(&template.files, &calls, crash, self.crash, &mut random);
        if self.crash == Crash::PowerLoss && random.chance(1, 3) {
            let first = 1 + random.below(60);
            let plan = Plan { mode: ['f', 'p', 'a', 's'][random.below(4)], first, last: first + random.below(3) };
            disk.obey(Plan::OFF);
            disk.put(&files);
            published.extend(live(disk, template, plan, script(2), &mut acts, &mut random));
            let calls = disk.log();
            let end = calls.last().map_or(0, |call| call.end);
            note_crash(&mut acts, end);
            files = after_crash(&files, &calls, end, self.crash, &mut random);
        }
        verify(disk, template, &files, &acts, published.iter());
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan: Plan { mode, first, last }, crash, seed } = self;
        write!(f, "{mode},{first},{last},{crash:?},{seed}")
    }
}

/// Prints how to run a case alone if it fails.
struct PrintOnPanic(Case);

impl Drop for PrintOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed; CASE={} runs this case alone", self.0);
        }
    }
}

/// Returns the cases to try.
fn chosen_cases(counts: &str) -> Vec<Case> {
    let (writing, reading) = counts.split_once(' ').unwrap();
    let all = |seed| all_cases(writing.parse().unwrap(), reading.parse().unwrap(), seed);
    match env::var("SEEDS") {
        Ok(seeds) => (0..seeds.parse().expect("SEEDS is a number")).flat_map(all).collect(),
        Err(_) => all(0).into_iter().take(FEW_CASES).collect(),
    }
}

/// Returns each call with each way to fail, in random order.
fn all_cases(writing: usize, reading: usize, seed: u64) -> Vec<Case> {
    let mut random = Random::new(seed);
    let calls = |mode: char| 1..=if mode == 'r' { reading } else { writing };
    let mut cases: Vec<_> = ['f', 'p', 'a', 's', 'r']
        .into_iter()
        .flat_map(|mode| calls(mode).map(move |first| (mode, first)))
        .flat_map(|(mode, first)| [first, first + 1, first + 9, ALL].map(|last| Plan { mode, first, last }))
        .flat_map(|plan| [Crash::Kill, Crash::PowerLoss].map(|crash| Case { plan, crash, seed: 0 }))
        .collect();
    for number in 0..cases.len() {
        let other = number + random.below(cases.len() - number);
        cases.swap(number, other);
        cases[number].seed = random.next_u64() >> 32;
    }
    cases
}

const DISK: &str = "SWITCHBOARD_DISK";
const PLAN: &str = "SWITCHBOARD_PLAN";
/// Names the cases to try, for a process under the shim.
const CASES: &str = "SWITCHBOARD_CASES";
const NAMES: [&str; 2] = ["Ada", "Bob"];
const ROOM: u64 = 2;
/// A call that is never reached.
const ALL: usize = 1_000_000;
/// How many cases are tried unless `SEEDS` says how often to try all of them.
const FEW_CASES: usize = 400;
/// How many cases one process tries. Each recovery leaves a descriptor open.
const CASES_OF_A_PROCESS: usize = 150;
