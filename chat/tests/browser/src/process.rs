//! A child process that does not outlive the test, and its output.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::WAIT_LIMIT;

/// The signal that ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// The output that is read. The other one is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

/// A running child process. Dropping it ends the process.
pub(crate) struct Process {
    child: Child,
    /// Of a child that ends when its input does.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// Starts a process whose input is empty.
    pub(crate) fn start(command: &mut Command, stream: OutputStream) -> Self {
        Self::spawn(command.stdin(Stdio::null()), stream)
    }

    /// Starts a process that ends by itself when its input ends. It does so even if the test program is killed.
    pub(crate) fn start_with_input(command: &mut Command, stream: OutputStream) -> Self {
        Self::spawn(command.stdin(Stdio::piped()), stream)
    }

    fn spawn(command: &mut Command, stream: OutputStream) -> Self {
        let (stdout, stderr) = match stream {
            OutputStream::Stdout => (Stdio::piped(), Stdio::null()),
            OutputStream::Stderr => (Stdio::null(), Stdio::piped()),
        };
        let mut child = command
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
        let output: Box<dyn Read + Send> = match stream {
            OutputStream::Stdout => Box::new(child.stdout.take().expect("a pipe")),
            OutputStream::Stderr => Box::new(child.stderr.take().expect("a pipe")),
        };
        let (said, lines) = mpsc::channel();
        // Reads to the end even if the receiver is gone: a full pipe would block the child.
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let _ = said.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// Waits for the first line for which `find` returns a value.
    #[track_caller]
    pub(crate) fn find_line<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + WAIT_LIMIT;
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => match find(&line) {
                    Some(found) => return found,
                    None => said.push(line),
                },
                Err(error) => panic!("{error} while waiting for a line of output; the output was {said:#?}"),
            }
        }
    }

    /// Sends the signal and waits for the end of the process.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: StopSignal) {
        self.signal(signal);
        assert!(self.output_ended(), "the process does not end");
        self.child.wait().expect("only this code waits for the child");
    }

    fn signal(&self, signal: StopSignal) {
        self.send(match signal {
            StopSignal::Terminate => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        });
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.send(Signal::HUP);
    }

    fn send(&self, signal: Signal) {
        // Fails if the process has already ended.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for the end of the output, which comes with the end of the process. Returns whether it came in time.
    fn output_ended(&self) -> bool {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        match self.input.take() {
            Some(input) => drop(input),
            None => self.signal(StopSignal::Terminate),
        }
        if !self.output_ended() {
            self.signal(StopSignal::Kill);
        }
        let _ = self.child.wait();
    }
}
