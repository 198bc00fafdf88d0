//! One run of a bench: prints its progress, ends early on Ctrl-C, and prints the results.

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
    /// Begins a run. From now on the first Ctrl-C only asks the run to end; the second one ends the process.
    ///
    /// # Errors
    /// A signal handler cannot be installed.
    pub fn begin(name: &str, options: &Options) -> io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the first Ctrl-C must reach the shutdown handler before the flag is set.
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

    /// Shows the current work on standard error. If that is no terminal, at most one line in two seconds is printed.
    pub fn progress(&self, what: &str) {
        let mut stderr = io::stderr();
        let shown = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{what}").and_then(|()| stderr.flush())
        } else if self.last_line.get().is_none_or(|last| last.elapsed() >= LINE_INTERVAL) {
            self.last_line.set(Some(Instant::now()));
            writeln!(stderr, "{:4} s  {what}", self.started.elapsed().as_secs())
        } else {
            Ok(())
        };
        // A failure to show progress does not end the run.
        drop(shown);
    }

    /// Returns whether the run was asked to end. Nothing more is measured then; the results so far are shown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Returns the flag behind [`Run::is_over`], for another thread.
    #[must_use]
    pub fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// Names a peer in the header. Without `version` it is the version of the crate `name`.
    pub fn peer(&mut self, name: &str, version: Option<&str>) {
        let version = version.or_else(|| machine::locked_version(name)).unwrap_or("(version unknown)");
        self.peers.push(format!("{name} {version}"));
    }

    /// Adds a line to the header.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Prints the tables. With `--save` it writes them and the plots to files.
    ///
    /// # Errors
    /// The tables or plots cannot be printed or written.
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
        lines.push(format!("{} min {:02} s of measurement", seconds / 60, seconds % 60));
        if self.is_over() {
            lines.push("**Ended early: the tables are not complete.**".to_owned());
        }
        lines.extend(self.notes.iter().cloned());
        let list: String = lines.into_iter().map(|line| format!("- {line}\n")).collect();
        format!("## {}\n\n{list}", self.name)
    }
}

const LINE_INTERVAL: Duration = Duration::from_secs(2);
