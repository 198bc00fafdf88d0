//! Instructions per frame, counted by callgrind. Unlike times they do not vary between runs.
//!
//! The bench runs itself under valgrind twice for each figure, with different numbers of frames, so that the difference
//! excludes the start of the program and the making of the frames. valgrind has no AVX-512: an implementation that
//! would choose AVX-512 at run time is counted with AVX2.

use std::{env, process::Command, rc::Rc};

use super::{Block, Direction, Payload, RECEIVED, SENT, receive, send, uwebsockets};
use crate::Outcome;

/// Returns valgrind's name and version, if it is installed.
#[must_use]
pub fn valgrind() -> Option<String> {
    let output = Command::new("valgrind").arg("--version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the number of instructions per frame.
///
/// # Errors
/// valgrind does not run, or the work fails.
pub fn per_frame(direction: Direction, payload: &Payload, implementation: &str) -> Outcome<f64> {
    let frames = (FRAME_BYTES / payload.length as u64).clamp(MIN_FRAMES, MAX_FRAMES);
    let few = counted(direction, payload, implementation, frames)?;
    let many = counted(direction, payload, implementation, 3 * frames)?;
    Ok((many.instructions - few.instructions) / (many.frames - few.frames))
}

struct Counted {
    instructions: f64,
    /// The requested number, or a few more.
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

/// Does the work of the process under valgrind, and prints the number of frames. `arguments` are a direction, a row, an
/// implementation and a number of frames.
///
/// # Errors
/// An argument is unknown, or the work fails.
pub fn work(arguments: &[String]) -> Outcome<()> {
    let [direction, row, implementation, frames] = arguments else { return Err("four arguments are needed".into()) };
    let named = |payload: &&Payload| payload.name == *row;
    let mut work = if direction == Direction::Receive.name() {
        let payload = RECEIVED.iter().find(named).ok_or("no such row")?;
        let (_, make) =
            receive::IMPLEMENTATIONS.iter().find(|(name, _)| name == implementation).ok_or("no such implementation")?;
        make(&Rc::new(Block::new(*payload)), READ_BYTES)
    } else {
        let payload = SENT.iter().find(named).ok_or("no such row")?;
        let (_, make) =
            send::IMPLEMENTATIONS.iter().find(|(name, _)| name == implementation).ok_or("no such implementation")?;
        make(payload)
    };
    println!("{}", work(frames.parse()?)?);
    Ok(())
}

/// The option that makes the bench do only this work.
const ARGUMENT: &str = "--work";

/// valgrind counts each step of a `rep movsb`, with which glibc copies long pieces, as an instruction. This setting
/// makes glibc use its other loop, whose instructions are counted correctly.
const WITHOUT_REP: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000";

/// The size of all reads.
const READ_BYTES: usize = 64 << 10;
/// The approximate number of bytes of the first of the two runs.
const FRAME_BYTES: u64 = 4 << 20;
const MIN_FRAMES: u64 = 8;
const MAX_FRAMES: u64 = 20_000;
