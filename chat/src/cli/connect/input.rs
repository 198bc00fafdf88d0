//! Lines of standard input to messages.

use std::{
    io::{self, BufRead as _},
    sync::mpsc::Receiver,
    thread,
};

use switchboard::client::{ClientError, Message};

use super::{hex::from_hex, session::Session};
use crate::cli::options::Wait;

/// What the thread that reads needs.
pub(super) struct Input {
    /// Whether lines are hexadecimal, and messages binary.
    pub(super) is_binary: bool,
    pub(super) wait: Wait,
    pub(super) session: Session,
    /// Says that a message of the server has come.
    pub(super) told: Receiver<()>,
}

impl Input {
    /// Sends each line, up to the end of the input. Then waits for the server's silence, and closes the connection.
    pub(super) fn run(self) {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            match io::stdin().lock().read_until(b'\n', &mut line) {
                Ok(0) => return self.wait_for_silence(),
                Ok(_) => {}
                Err(error) => return self.session.fail(&format!("cannot read standard input: {error}")),
            }
            let sent = self.message(&line).and_then(|message| self.send(message));
            if let Err(problem) = sent {
                return self.session.fail(&format!("line {number}: {problem}"));
            }
        }
    }

    /// Returns the message of a line. The line's end is no part of it.
    fn message(&self, line: &[u8]) -> Result<Message, &'static str> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = str::from_utf8(line).map_err(|_| "it is not UTF-8; --binary sends hexadecimal")?;
        if self.is_binary {
            from_hex(text).map(Message::Binary).ok_or("it is not hexadecimal")
        } else {
            Ok(Message::from(text))
        }
    }

    /// Sends a message. While there is no connection and too many wait, waits for the next connection.
    fn send(&self, message: Message) -> Result<(), &'static str> {
        loop {
            match self.session.handle.send(message.clone()) {
                Ok(()) => return Ok(()),
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
