//! uWebSockets' parser and formatter, in a separate C++ program that `build.rs` compiles.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    time::Duration,
};

use super::{Direction, Payload};
use crate::Outcome;

/// The name of its column.
pub const NAME: &str = "uWebSockets";

/// The path of the program, or the reason why it could not be compiled.
pub const PROGRAM: Result<&str, &str> = match (option_env!("UWEBSOCKETS_CODEC"), option_env!("UWEBSOCKETS_ABSENT")) {
    (Some(program), _) => Ok(program),
    (None, Some(reason)) => Err(reason),
    (None, None) => Err("it was not compiled"),
};

/// Returns a closure that measures nanoseconds per frame for about the given time. `input` is the stream to receive, or
/// the payload to send.
pub fn measuring(
    program: &str,
    direction: Direction,
    payload: Payload,
    input: impl AsRef<[u8]>,
) -> impl FnMut(Duration) -> Outcome<f64> {
    let mut frames = 1;
    move |target| {
        loop {
            let mut command = Command::new(program);
            command.args([direction.name(), &frames.to_string()]);
            let (done, time) = figures(&run_with_input(&mut command, input.as_ref())?, &payload)?;
            let part = time / target.as_nanos() as f64;
            if part >= 0.5 {
                return Ok(time / done);
            }
            frames = (frames.max(done as u64) as f64 * (0.8 / part.max(0.001))).ceil() as u64;
        }
    }
}

/// Runs a program with `input` on its standard input, and returns its output.
pub(super) fn run_with_input(command: &mut Command, input: &[u8]) -> Outcome<Output> {
    // In a process group of its own: Ctrl-C is for the bench, which ends after this measurement.
    command.process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // The program reads its whole input before it writes.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output()?;
    written?;
    Ok(output)
}

/// Returns the number of frames and their nanoseconds from the program's output, if all payloads were handled.
pub(super) fn figures(output: &Output, payload: &Payload) -> Outcome<(f64, f64)> {
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said.split_whitespace().map_while(|number| number.parse().ok()).collect();
    match *numbers {
        [frames, bytes, nanoseconds] if frames > 0 && bytes == frames * payload.length as u64 => {
            Ok((frames as f64, nanoseconds as f64))
        }
        _ => Err(format!("the program printed {said:?}{}, {}", String::from_utf8_lossy(&output.stderr), output.status)
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Block, RECEIVED, SENT},
        *,
    };

    #[test]
    fn it_receives_and_sends_every_frame() {
        let Ok(program) = PROGRAM else { return };
        let target = Duration::from_micros(100);
        for payload in RECEIVED {
            let nanoseconds = measuring(program, Direction::Receive, payload, Block::new(payload).bytes)(target);
            assert!(nanoseconds.is_ok_and(|nanoseconds| nanoseconds > 0.0), "{}", payload.name);
        }
        for payload in SENT {
            let nanoseconds = measuring(program, Direction::Send, payload, payload.bytes())(target);
            assert!(nanoseconds.is_ok_and(|nanoseconds| nanoseconds > 0.0), "{}", payload.name);
        }
    }
}
