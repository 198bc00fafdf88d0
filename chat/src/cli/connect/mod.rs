//! `switchboard connect`: lines of standard input to messages, messages to lines of standard output.
//!
//! | file | contents |
//! |---|---|
//! | `hex.rs` | hexadecimal |
//! | `session.rs` | the connection as all threads see it |
//! | `input.rs` | the thread that reads standard input |
//! | `output.rs` | what is printed |
//! | `recording.rs` | the messages of both ends in a file |
//! | `mod.rs` | the connection, signals, and the exit status |

mod hex;
mod input;
mod output;
mod recording;
mod session;

use std::{
    io::ErrorKind,
    process::{self, ExitCode},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard::client::{ReconnectEvent, ReconnectingClient};

use super::options::ConnectOptions;
use input::{Input, Source};
use output::Output;
use recording::{End, Recorder};
use session::Session;

/// Connects, and copies messages until the connection is over. Returns the exit status: 0 after a normal end, 2 if the
/// URL or the request cannot be used.
///
/// # Errors
/// An option cannot be used.
pub(crate) fn run(options: &ConnectOptions) -> Result<ExitCode, String> {
    let recorder = options.record.as_deref().map(Recorder::create).transpose()?.map(Arc::new);
    let source = source(options)?;
    let mut client = ReconnectingClient::new(options.builder()?, &options.url);
    client.keepalive(options.ping, options.ping.saturating_mul(2));
    if !options.reconnect {
        client.retry_if(|_| false);
    }
    let session = Session::new(client.handle());
    end_at_signals(session.clone())?;
    let output = Output::new(options, &session);
    let (tell_input, told) = mpsc::sync_channel(1);
    let input = Input { source, recorder: recorder.clone(), wait: options.wait, session: session.clone(), told };
    let mut input = Some(input);
    let mut reader = None;
    let mut status = ExitCode::FAILURE;
    while let Some(event) = client.next() {
        let printed = output.event(&event);
        match event {
            ReconnectEvent::Open => {
                session.set_open();
                if let Some(input) = input.take() {
                    reader = Some(thread::spawn(move || input.run()));
                }
                if let Some(reader) = &reader {
                    reader.thread().unpark(); // messages can be sent again
                }
            }
            ReconnectEvent::Message(message) => {
                let recorded = recorder.as_ref().map_or(Ok(()), |recorder| recorder.add(End::Server, &message));
                if let Err(error) = recorded {
                    session.fail(&format!("cannot write to the recording: {error}"));
                }
                // If the channel is full, the input knows already that the server is not silent.
                let _ = tell_input.try_send(());
                if options.one_message {
                    session.close();
                }
            }
            ReconnectEvent::Closed { loss, .. } => status = session.status(&loss),
            _ => {}
        }
        match printed {
            Ok(()) => {}
            // The reader of the output, such as `head`, has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => session.close(),
            Err(error) => {
                session.fail(&format!("cannot write to standard output: {error}"));
            }
        }
    }
    Ok(status)
}

/// Returns the source of the messages.
fn source(options: &ConnectOptions) -> Result<Source, String> {
    let Some(path) = &options.replay else { return Ok(Source::Lines { is_binary: options.binary }) };
    let mut messages = recording::sent(path)?;
    if options.fast {
        messages.iter_mut().for_each(|(due, _)| *due = Duration::ZERO);
    }
    Ok(Source::Recording(messages))
}

/// Closes the connection at the first signal, and ends the process at the second, or if there was no connection yet.
fn end_at_signals(session: Session) -> Result<(), String> {
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| format!("cannot install signal handlers: {error}"))?;
    thread::spawn(move || {
        for (number, signal) in signals.forever().enumerate() {
            if number > 0 || !session.was_open() {
                // The shell's exit status for a program that a signal ended.
                process::exit(128 + signal);
            }
            session.close();
        }
    });
    Ok(())
}
