//! uWebSockets' parser and formatter: a program of its own in C++, which `build.rs` compiles.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Output, Stdio},
    time::Duration,
};

use super::{Direction, Payload};
use crate::Outcome;

/// Its column.
pub const NAME: &str = "uWebSockets";

/// Where the program lies, or why it could not be compiled.
pub const PROGRAM: Result<&str, &str> = match (option_env!("UWEBSOCKETS_CODEC"), option_env!("UWEBSOCKETS_ABSENT")) {
    (Some(program), _) => Ok(program),
    (None, Some(reason)) => Err(reason),
    (None, None) => Err("it was not compiled"),
};

/// Measures nanoseconds per frame, each time for about as long as it is told. `input` is the stream that is received, or
/// the payload that is sent.
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

/// What a program says that is given this to read.
pub(super) fn run_with_input(command: &mut Command, input: &[u8]) -> Outcome<Output> {
    // In a group of its own: Ctrl-C is for the run, which ends when this measurement is done.
    command.process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // It reads until the end, and writes only then.
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output()?;
    written?;
    Ok(output)
}

/// How many frames the program did and the nanoseconds that they took, if every frame has come through.
pub(super) fn figures(output: &Output, payload: &Payload) -> Outcome<(f64, f64)> {
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = said.split_whitespace().map_while(|number| number.parse().ok()).collect();
    match *numbers {
        [frames, bytes, nanoseconds] if frames > 0 && bytes == frames * payload.length as u64 => {
            Ok((frames as f64, nanoseconds as f64))
        }
        _ => Err(format!("it said {said:?}{}, {}", String::from_utf8_lossy(&output.stderr), output.status).into()),
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
