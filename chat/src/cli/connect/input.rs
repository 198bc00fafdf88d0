//! Lines of standard input, or of a recording, to messages.

use std::{
    io::{self, BufRead as _},
    sync::{Arc, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};

use switchboard::client::{ClientError, Message};

use super::{
    hex::from_hex,
    recording::{End, Recorder},
    session::Session,
};
use crate::cli::options::Wait;

/// The state of the thread that reads.
pub(super) struct Input {
    pub(super) source: Source,
    pub(super) recorder: Option<Arc<Recorder>>,
    pub(super) wait: Wait,
    pub(super) session: Session,
    /// Says that a message of the server has come.
    pub(super) told: Receiver<()>,
}

/// The source of messages.
pub(super) enum Source {
    /// Lines of standard input.
    Lines {
        /// Whether they are hexadecimal, and messages binary.
        is_binary: bool,
    },
    /// A recording: when each message is due after the first connection is open, and the message.
    Recording(Vec<(Duration, Message)>),
}

impl Input {
    /// Sends all that the source has. Then waits for the server's silence, and closes the connection.
    pub(super) fn run(mut self) {
        match std::mem::replace(&mut self.source, Source::Recording(Vec::new())) {
            Source::Lines { is_binary } => self.send_lines(is_binary),
            Source::Recording(messages) => self.send_recording(messages),
        }
    }

    fn send_recording(&self, messages: Vec<(Duration, Message)>) {
        let start = Instant::now();
        for (due, message) in messages {
            while let Some(wait) = due.checked_sub(start.elapsed()).filter(|wait| !wait.is_zero()) {
                if self.session.is_closed() {
                    return;
                }
                thread::park_timeout(wait);
            }
            if let Err(problem) = self.send(message) {
                return self.session.fail(&problem);
            }
        }
        self.wait_for_silence();
    }

    fn send_lines(&self, is_binary: bool) {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            match io::stdin().lock().read_until(b'\n', &mut line) {
                Ok(0) => return self.wait_for_silence(),
                Ok(_) => {}
                Err(error) => return self.session.fail(&format!("cannot read standard input: {error}")),
            }
            let sent = message(&line, is_binary).map_err(Into::into).and_then(|message| self.send(message));
            if let Err(problem) = sent {
                return self.session.fail(&format!("line {number}: {problem}"));
            }
        }
    }

    /// Sends a message. While there is no connection and too many wait, waits for the next connection.
    fn send(&self, message: Message) -> Result<(), String> {
        loop {
            match self.session.handle.send(message.clone()) {
                Ok(()) => {
                    let recorded =
                        self.recorder.as_ref().map_or(Ok(()), |recorder| recorder.add(End::Client, &message));
                    return recorded.map_err(|error| format!("cannot write to the recording: {error}"));
                }
                Err(ClientError::QueueFull) => thread::park(),
                // The other thread tells why.
                Err(_) => return Ok(()),
            }
        }
    }

    fn wait_for_silence(&self) {
        let Wait::For(silence) = self.wait else { return };
        while let Ok(()) = self.told.recv_timeout(silence) {}
        self.session.close();
    }
}

/// Returns the message of a line. The line's end is no part of it.
fn message(line: &[u8], is_binary: bool) -> Result<Message, &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = str::from_utf8(line).map_err(|_| "it is not UTF-8; --binary sends hexadecimal")?;
    if is_binary { from_hex(text).map(Message::Binary).ok_or("it is not hexadecimal") } else { Ok(Message::from(text)) }
}
