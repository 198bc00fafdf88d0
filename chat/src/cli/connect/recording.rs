//! Recordings: the messages of both ends in a file, a JSON object in each line, to look at or to send again.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde::{Deserialize, Serialize};
use switchboard::client::Message;

/// A line of a recording.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    /// Seconds since the recording began.
    time: f64,
    from: End,
    #[serde(flatten)]
    payload: Payload,
}

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Client,
    Server,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "opcode", rename_all = "lowercase")]
enum Payload {
    Text { text: String },
    Binary { base64: String },
}

/// Writes a recording.
#[derive(Debug)]
pub(super) struct Recorder {
    file: Mutex<File>,
    start: Instant,
}

impl Recorder {
    /// Begins a recording in place of the file's content.
    ///
    /// # Errors
    /// The file cannot be created.
    pub(super) fn create(path: &Path) -> Result<Self, String> {
        let file =
            File::create(path).map_err(|error| format!("--record: cannot create {}: {error}", path.display()))?;
        Ok(Self { file: Mutex::new(file), start: Instant::now() })
    }

    /// Adds a message. Control frames are left out.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub(super) fn add(&self, from: End, message: &Message) -> io::Result<()> {
        let payload = match message {
            Message::Text(text) => Payload::Text { text: text.clone() },
            Message::Binary(bytes) => Payload::Binary { base64: BASE64_STANDARD.encode(bytes) },
            _ => return Ok(()),
        };
        let line = Line { time: self.start.elapsed().as_secs_f64(), from, payload };
        let line = serde_json::to_string(&line)? + "\n";
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A line at once, so that the recording is whole up to any crash.
        file.write_all(line.as_bytes())
    }
}

/// Reads what a client has sent in a recording, and when.
///
/// # Errors
/// The file cannot be read, or a line is not one of a recording.
pub(super) fn sent(path: &Path) -> Result<Vec<(Duration, Message)>, String> {
    let problem = |what: String| format!("--replay: {}: {what}", path.display());
    let file = File::open(path).map_err(|error| problem(error.to_string()))?;
    let mut sent = Vec::new();
    for (line, number) in BufReader::new(file).lines().zip(1_u64..) {
        let at_line = |error: String| problem(format!("line {number}: {error}"));
        let line = line.map_err(|error| at_line(error.to_string()))?;
        let Line { time, from, payload } =
            serde_json::from_str(&line).map_err(|error| at_line(format!("no line of a recording: {error}")))?;
        if from == End::Server {
            continue;
        }
        let time = Duration::try_from_secs_f64(time).map_err(|error| at_line(format!("its time: {error}")))?;
        let message = match payload {
            Payload::Text { text } => Message::Text(text),
            Payload::Binary { base64 } => Message::Binary(
                BASE64_STANDARD.decode(base64).map_err(|error| at_line(format!("its base64: {error}")))?,
            ),
        };
        sent.push((time, message));
    }
    Ok(sent)
}
