//! Instructions per frame, counted by callgrind: they do not wobble where times do.
//!
//! The bench runs itself under valgrind, twice for each figure, with different numbers of frames: the difference has
//! neither the start in it nor the making of the frames. valgrind knows no AVX-512, so whoever would use it at run time
//! is counted with AVX2.

use std::{env, process::Command, rc::Rc};

use super::{Block, Direction, Payload, RECEIVED, SENT, receive, send, uwebsockets};
use crate::Outcome;

/// What valgrind calls itself, if it is there.
#[must_use]
pub fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The instructions that one frame takes.
///
/// # Errors
/// Where valgrind does not run, or the work is not done.
pub fn per_frame(direction: Direction, payload: &Payload, implementation: &str) -> Outcome<f64> {
    let frames = (FRAME_BYTES / payload.length as u64).clamp(MIN_FRAMES, MAX_FRAMES);
    let few = counted(direction, payload, implementation, frames)?;
    let many = counted(direction, payload, implementation, 3 * frames)?;
    Ok((many.instructions - few.instructions) / (many.frames - few.frames))
}

struct Counted {
    instructions: f64,
    /// As many as were asked for, or a few more.
    frames: f64,
}

fn counted(direction: Direction, payload: &Payload, implementation: &str, frames: u64) -> Outcome<Counted> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).env("GLIBC_TUNABLES", WITHOUT_REP);
    let count = frames.to_string();
    let (output, frames) = if implementation == uwebsockets::NAME {
        let input = match direction {
            Direction::Receive => Block::new(*payload).bytes,
            Direction::Send => payload.bytes(),
        };
        let output =
            uwebsockets::run_with_input(command.arg(uwebsockets::PROGRAM?).args([direction.name(), &count]), &input)?;
        let (frames, _) = uwebsockets::figures(&output, payload)?;
        (output, frames)
    } else {
        let work = [ARGUMENT, direction.name(), payload.name, implementation, &count];
        let output = uwebsockets::run_with_input(command.arg(env::current_exe()?).args(work), &[])?;
        let frames = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or(0.0);
        (output, frames)
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(instructions) if output.status.success() && frames > 0.0 => Ok(Counted { instructions, frames }),
        Some(_) | None => Err(format!("valgrind failed:\n{said}").into()),
    }
}

/// Does what the other process is told to, and says how many frames it did: `arguments` are a direction, a row, a
/// implementation and a number of frames.
///
/// # Errors
/// Where there is nothing of that name, or the work is not done.
pub fn work(arguments: &[String]) -> Outcome<()> {
    let [direction, row, implementation, frames] = arguments else { return Err("four arguments are needed".into()) };
    let named = |payload: &&Payload| payload.name == *row;
    let mut work = if direction == Direction::Receive.name() {
        let payload = RECEIVED.iter().find(named).ok_or("no such row")?;
        let (_, make) =
            receive::IMPLEMENTATIONS.iter().find(|(name, _)| name == implementation).ok_or("no such implementation")?;
        make(&Rc::new(Block::new(*payload)))
    } else {
        let payload = SENT.iter().find(named).ok_or("no such row")?;
        let (_, make) =
            send::IMPLEMENTATIONS.iter().find(|(name, _)| name == implementation).ok_or("no such implementation")?;
        make(payload)
    };
    println!("{}", work(frames.parse()?)?);
    Ok(())
}

/// The argument by which the bench is told to do nothing but this work.
const ARGUMENT: &str = "--work";

/// Valgrind counts each turn of a `rep movsb`, which glibc copies long pieces with, as an instruction. So let it use the
/// other loop, whose instructions are what they are.
const WITHOUT_REP: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// About as much as the first of the two runs handles.
const FRAME_BYTES: u64 = 4 << 20;
const MIN_FRAMES: u64 = 8;
const MAX_FRAMES: u64 = 20_000;
