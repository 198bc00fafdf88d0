//! What `switchboard connect` prints: messages on standard output, what happens to the connection on standard error.

use std::{
    borrow::Cow,
    env,
    error::Error,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use switchboard::{
    CloseCode,
    client::{ClientError, Loss, Message, ReconnectEvent},
};

use super::{hex::to_hex, session::Session};
use crate::{cli::options::ConnectOptions, print_line};

/// How events are printed.
pub(super) struct Output {
    format: Format,
    is_quiet: bool,
    session: Session,
    url: String,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    /// A line for each message: its text as it is, or its bytes in hexadecimal.
    Lines,
    /// For a person: marked, in colour if the terminal wants it, without anything that controls the terminal.
    Terminal { has_colour: bool },
    /// A JSON object for each event.
    Json,
}

impl Output {
    pub(super) fn new(options: &ConnectOptions, session: &Session) -> Self {
        let format = match (options.json, io::stdout().is_terminal()) {
            (true, _) => Format::Json,
            (false, true) => Format::Terminal { has_colour: has_colour() },
            (false, false) => Format::Lines,
        };
        Self { format, is_quiet: options.quiet, session: session.clone(), url: options.url.clone() }
    }

    /// Prints an event.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn event(&self, event: &ReconnectEvent) -> io::Result<()> {
        match event {
            ReconnectEvent::Open => {
                if let Format::Terminal { .. } = self.format {
                    self.note(&format!("connected to {}", visible(&self.url)));
                }
                self.json(|| json!({ "state": "open" }))
            }
            ReconnectEvent::Message(message) => self.message(message),
            ReconnectEvent::Waiting { delay, loss } => {
                let seconds = delay.as_secs_f64();
                self.note(&format!("{}; connecting again in {seconds:.1} s", reason(loss)));
                self.loss(loss)?;
                self.json(|| json!({ "state": "waiting", "seconds": seconds }))
            }
            ReconnectEvent::Closed { loss, unsent } => {
                if !unsent.is_empty() {
                    self.error(&format!("{} messages were not sent", unsent.len()));
                }
                self.end(loss);
                self.loss(loss)
            }
            _ => Ok(()),
        }
    }

    /// Prints an error, also if the output is quiet.
    fn error(&self, text: &str) {
        print_line(io::stderr(), &format!("switchboard: {text}"));
    }

    fn note(&self, text: &str) {
        if !self.is_quiet {
            self.error(text);
        }
    }

    /// Says how the connection ended, unless this side ended it and all is well.
    fn end(&self, loss: &Loss) {
        match loss {
            Loss::Closed(Some((CloseCode::NORMAL_CLOSURE, reason)))
                if reason.is_empty() && self.session.is_closed() => {}
            loss if self.session.is_as_wished(loss) => self.note(&reason(loss)),
            loss => self.error(&reason(loss)),
        }
    }

    fn message(&self, message: &Message) -> io::Result<()> {
        let (opcode, line) = match message {
            Message::Text(text) => ("text", Cow::Borrowed(text.as_str())),
            Message::Binary(bytes) => ("binary", Cow::Owned(to_hex(bytes))),
            // The client keeps control frames to itself.
            _ => return Ok(()),
        };
        match self.format {
            Format::Lines => print(&line),
            Format::Terminal { has_colour: true } => print(&format!("{MARK}<{RESET} {}", visible(&line))),
            Format::Terminal { has_colour: false } => print(&format!("< {}", visible(&line))),
            Format::Json => self.json(|| match message {
                Message::Binary(bytes) => json!({ "opcode": opcode, "base64": BASE64_STANDARD.encode(bytes) }),
                _ => json!({ "opcode": opcode, "text": line }),
            }),
        }
    }

    fn loss(&self, loss: &Loss) -> io::Result<()> {
        self.json(|| match loss {
            Loss::Closed(Some((code, reason))) => json!({ "opcode": "close", "code": code.get(), "reason": reason }),
            Loss::Closed(None) => json!({ "opcode": "close" }),
            loss => json!({ "state": "failed", "reason": reason(loss) }),
        })
    }

    fn json(&self, value: impl FnOnce() -> Value) -> io::Result<()> {
        if let Format::Json = self.format { print(&value().to_string()) } else { Ok(()) }
    }
}

/// Prints a line at once, also into a pipe.
fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Returns the message of an error with those of its causes.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Returns why there is no connection, in a line.
fn reason(loss: &Loss) -> String {
    match loss {
        Loss::Failed(error @ ClientError::Refused { body, .. }) => {
            // What a server says beside the status often tells what to do.
            let body = String::from_utf8_lossy(body);
            let line: String = body.lines().next().unwrap_or_default().chars().take(MAX_BODY_CHARS).collect();
            if line.is_empty() { error.to_string() } else { format!("{error}: {}", visible(&line)) }
        }
        Loss::Failed(error) => with_causes(error),
        loss => loss.to_string(),
    }
}

/// Returns the text with everything escaped that could control a terminal, or turn the direction of the text. Lines
/// after the first are indented.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\n  "),
            '\t' => shown.push('\t'),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            control if control.is_control() => {
                let _ = write!(shown, "{}", control.escape_default());
            }
            other => shown.push(other),
        }
    }
    shown
}

/// Returns whether a terminal wants colour (https://no-color.org).
fn has_colour() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// How much of a refusal's body is shown.
const MAX_BODY_CHARS: usize = 200;

/// The colour of the mark before a received message: cyan.
const MARK: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_controls_a_terminal_is_shown_as_it_is() {
        let rows = [
            ("plain ä 🦀", "plain ä 🦀"),
            ("a\nb\tc", "a\n  b\tc"),
            ("\x1b[2J\x07", "\\u{1b}[2J\\u{7}"),
            ("a\rb", "a\\rb"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}txt", "\\u{202e}txt"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
        ];
        for (text, expected) in rows {
            assert_eq!(visible(text), expected, "{text:?}");
        }
    }
}
