//! One run of a bench: says what it does, ends early when it is asked to, and hands over what there is.

use std::{
    cell::Cell,
    fmt::Write as _,
    fs,
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use signal_hook::consts::{SIGINT, SIGTERM};

use super::{Options, Plot, Table, machine};

/// A run of one bench.
#[derive(Debug)]
pub struct Run {
    name: String,
    save: bool,
    /// Set by Ctrl-C.
    over: Arc<AtomicBool>,
    started: Instant,
    last_line: Cell<Option<Instant>>,
    peers: Vec<String>,
    notes: Vec<String>,
}

impl Run {
    /// Begins a run. From now on the first Ctrl-C only asks it to end; the second one ends the process.
    ///
    /// # Errors
    /// Where signals cannot be handled.
    pub fn begin(name: &str, options: &Options) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: what the second registration does is not yet done when the first looks at it.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&over))?;
            signal_hook::flag::register(signal, Arc::clone(&over))?;
        }
        Ok(Self {
            name: name.to_owned(),
            save: options.save,
            over,
            started: Instant::now(),
            last_line: Cell::new(None),
            peers: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Says on standard error what runs now. Where nobody watches, not every line is worth keeping.
    pub fn progress(&self, what: &str) {
        let mut stderr = io::stderr();
        let shown = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{what}").and_then(|()| stderr.flush())
        } else if self.last_line.get().is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
            self.last_line.set(Some(Instant::now()));
            writeln!(stderr, "{:4} s  {what}", self.started.elapsed().as_secs())
        } else {
            Ok(())
        };
        // The run does not end because nobody reads how far it is.
        drop(shown);
    }

    /// Whether someone asked for the end: what has been measured is shown, no more is measured.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The same, for a thread that watches on its own.
    #[must_use]
    pub fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Names a peer in the header. Its version is that of the crate of this name, unless it is given.
    pub fn peer(&mut self, name: &str, version: Option<&str>) {
        let version = version.or_else(|| machine::locked_version(name)).unwrap_or("(version unknown)");
        self.peers.push(format!("{name} {version}"));
    }

    /// Adds a line to the header: what is missing, and why.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Prints the tables, and with `--save` keeps them and the plots.
    ///
    /// # Errors
    /// Where they cannot be printed or written.
    pub fn finish(self, tables: &[Table], plots: &[Plot]) -> io::Result<()> {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K")?;
        }
        let mut text = self.header();
        for table in tables {
            write!(text, "\n{table}").expect("a String has room");
        }
        io::stdout().write_all(text.as_bytes())?;
        if self.save {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{}.md", self.name)), text)?;
            if !plots.is_empty() {
                fs::write(folder.join(format!("{}.svg", self.name)), Plot::page(plots))?;
            }
        }
        Ok(())
    }

    fn header(&self) -> String {
        let mut lines = Vec::new();
        if !self.peers.is_empty() {
            lines.push(self.peers.join(", "));
        }
        lines.push(machine::rustc());
        lines.push(machine::machine());
        lines.push(format!("`{}`", machine::command(&self.name)));
        let seconds = self.started.elapsed().as_secs();
        lines.push(format!("{} min {:02} s of measuring", seconds / 60, seconds % 60));
        if self.is_over() {
            lines.push("**Ended early: the tables are not complete.**".to_owned());
        }
        lines.extend(self.notes.iter().cloned());
        let list: String = lines.into_iter().map(|line| format!("- {line}\n")).collect();
        format!("## {}\n\n{list}", self.name)
    }
}

const BETWEEN_LINES: Duration = Duration::from_secs(2);
