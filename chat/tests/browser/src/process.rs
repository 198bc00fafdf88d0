//! A child process that does not outlive the test, and what it says.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::WAIT_LIMIT;

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// It is asked to: SIGTERM.
    Terminate,
    /// It is not asked: SIGKILL.
    Kill,
}

/// Which of its outputs says what we wait for. The other one is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

/// A running child; it is ended when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command, stream: OutputStream) -> Self {
        let (stdout, stderr) = match stream {
            OutputStream::Stdout => (Stdio::piped(), Stdio::null()),
            OutputStream::Stderr => (Stdio::null(), Stdio::piped()),
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
        let output: Box<dyn Read + Send> = match stream {
            OutputStream::Stdout => Box::new(child.stdout.take().expect("a pipe")),
            OutputStream::Stderr => Box::new(child.stderr.take().expect("a pipe")),
        };
        let (said, lines) = mpsc::channel();
        // Reads to the end, also when nobody listens any more: a full pipe would stop the child.
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let _ = said.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { child, lines }
    }

    /// Waits for the first line in which `find` finds something.
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
                Err(error) => panic!("{error} for what the process should say; it said {said:#?}"),
            }
        }
    }

    /// Ends it, and waits for its end.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: StopSignal) {
        self.signal(signal);
        assert!(self.output_ended(), "the process does not end");
        self.child.wait().expect("a child that nobody else waits for");
    }

    fn signal(&self, signal: StopSignal) {
        let signal = match signal {
            StopSignal::Terminate => Signal::TERM,
            StopSignal::Kill => Signal::KILL,
        };
        // Fails where it has ended already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits until its output ends, as it does with the process; whether it did in time.
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
        // Chromium asked to end takes its children along, and writes no more to its profile.
        self.signal(StopSignal::Terminate);
        if !self.output_ended() {
            self.signal(StopSignal::Kill);
        }
        let _ = self.child.wait();
    }
}
