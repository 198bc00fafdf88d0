//! `switchboard backup` and `switchboard check`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process,
    sync::{
        atomic::{AtomicI32, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use switchboard_chat::{BackupError, CheckError, Data, DataReader, Progress, Stage};

use super::options::DataOption;
use crate::print_line;

/// Makes a backup, and prints its name and length.
pub(crate) fn back_up(file: &Path, replace: bool, data: &DataOption) -> Result<(), String> {
    let reader = DataReader::in_folder(&folder(data)?).map_err(|error| error.to_string())?;
    let made = watched(|progress| reader.back_up(file, replace, progress))?;
    match made {
        (Ok(bytes), _) => print_line(io::stdout(), &format!("{}: {} MiB, checked", file.display(), mib(bytes))),
        (Err(error @ BackupError::Stopped), Some(signal)) => end_by(signal, &error.to_string()),
        (Err(error), _) => return Err(error.to_string()),
    }
    Ok(())
}

/// Checks the data or a backup, and prints one line if it is sound.
pub(crate) fn check(backup: Option<&Path>, data: &DataOption) -> Result<(), String> {
    let reader = match backup {
        Some(file) => DataReader::of_backup(file),
        None => DataReader::in_folder(&folder(data)?),
    };
    let mut reader = reader.map_err(|error| error.to_string())?;
    let file = reader.file().display().to_string();
    match watched(|progress| reader.check(progress))? {
        (Ok(problems), _) if problems.is_empty() => print_line(io::stdout(), &format!("{file} is sound")),
        (Ok(problems), _) => {
            let more = problems.len().saturating_sub(MAX_SHOWN);
            let mut lines = problems.into_iter().take(MAX_SHOWN).collect::<Vec<_>>();
            if more > 0 {
                lines.push(format!("and {more} more"));
            }
            return Err(format!("{file} is damaged; restore a backup:\n  {}", lines.join("\n  ")));
        }
        (Err(error @ CheckError::Stopped), Some(signal)) => end_by(signal, &error.to_string()),
        (Err(error), _) => return Err(error.to_string()),
    }
    Ok(())
}

fn folder(data: &DataOption) -> Result<PathBuf, String> {
    match data.location()? {
        Data::Folder(folder) => Ok(folder),
        Data::Memory => Err("data in memory exists only inside a running server; name a folder with --data DIR".into()),
    }
}

/// Does work that may take long. Shows on standard error how far it is, from a second on, and stops it at a signal.
/// Returns its result, and the signal.
fn watched<T>(work: impl FnOnce(&Progress) -> T) -> Result<(T, Option<i32>), String> {
    let mut signals =
        Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| format!("cannot install signal handlers: {error}"))?;
    let (progress, signal) = (Progress::default(), AtomicI32::new(0));
    let (ended, end) = mpsc::channel::<()>();
    let handle = signals.handle();
    let done = thread::scope(|scope| {
        scope.spawn(|| {
            for received in signals.forever() {
                signal.store(received, Ordering::Relaxed);
                progress.stop();
            }
        });
        let shown = progress.clone();
        scope.spawn(move || show(&shown, &end));
        let done = work(&progress);
        drop(ended);
        handle.close();
        done
    });
    Ok((done, Some(signal.into_inner()).filter(|signal| *signal != 0)))
}

/// Shows progress until the other end of the channel is dropped: every second on a terminal, else less often.
fn show(progress: &Progress, end: &mpsc::Receiver<()>) {
    let is_terminal = io::stderr().is_terminal();
    let mut seconds = 0_u64;
    while end.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        seconds += 1;
        let line = match progress.stage() {
            Stage::Copying { done, total } => format!("copied {} of {} MiB", mib(done), mib(total)),
            Stage::Checking { done, total } => format!("checking: {done} of {total} checks done after {seconds} s"),
            _ => continue,
        };
        if is_terminal {
            // Overwrites the line before.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else if seconds % PIPE_INTERVAL == 1 {
            print_line(io::stderr(), &line);
        }
    }
    if is_terminal && seconds > 0 {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// Ends the program with a shell's exit status for one that a signal ended.
fn end_by(signal: i32, why: &str) -> ! {
    print_line(io::stderr(), &format!("switchboard: {why}"));
    process::exit(128 + signal)
}

/// Returns a number of bytes in MiB, rounded up.
fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Maximum problems that are shown.
const MAX_SHOWN: usize = 20;
/// Seconds between two lines of progress where standard error is not a terminal.
const PIPE_INTERVAL: u64 = 10;
