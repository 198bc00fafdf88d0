//! A child process that does not outlive the test, and what it says.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::LONG;

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to: SIGTERM.
    Asked,
    /// It is not asked: SIGKILL.
    Killed,
}

/// Which of its outputs says what we wait for. The other one is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    Stdout,
    Stderr,
}

/// A running child; it is ended when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    pub(crate) fn start(command: &mut Command, voice: Voice) -> Self {
        let (stdout, stderr) = match voice {
            Voice::Stdout => (Stdio::piped(), Stdio::null()),
            Voice::Stderr => (Stdio::null(), Stdio::piped()),
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} cannot be run: {error}", command.get_program()));
        let output: Box<dyn Read + Send> = match voice {
            Voice::Stdout => Box::new(child.stdout.take().expect("a pipe")),
            Voice::Stderr => Box::new(child.stderr.take().expect("a pipe")),
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
    pub(crate) fn line<T>(&self, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + LONG;
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
    pub(crate) fn end(&mut self, ending: Ending) {
        self.signal(ending);
        assert!(self.is_silent(), "the process does not end");
        self.child.wait().expect("a child that nobody else waits for");
    }

    fn signal(&self, ending: Ending) {
        let signal = match ending {
            Ending::Asked => Signal::TERM,
            Ending::Killed => Signal::KILL,
        };
        // Fails where it has ended already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits until its output ends, as it does with the process; whether it did in time.
    fn is_silent(&self) -> bool {
        let deadline = Instant::now() + LONG;
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
        self.signal(Ending::Asked);
        if !self.is_silent() {
            self.signal(Ending::Killed);
        }
        let _ = self.child.wait();
    }
}
