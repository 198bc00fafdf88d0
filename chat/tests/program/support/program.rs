//! The program as a child process, which ends with the test.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Maximum time of each wait in a test.
pub(crate) const LONG: Duration = Duration::from_secs(10);

pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_switchboard");

/// A running program; killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// The first line of its output.
    pub(crate) greeting: String,
    /// The lines after it.
    lines: mpsc::Receiver<String>,
}

/// The result of a program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts the program with these arguments on a free port, and waits for its first line.
pub(crate) fn start(arguments: &[&str]) -> Program {
    start_command(Command::new(PATH).args(arguments).args(["--listen", "127.0.0.1:0"]))
}

/// Starts the program with these arguments on a free port, with its log in a file.
pub(crate) fn start_with_log(arguments: &[&str], log: &Path) -> Program {
    start_with_warnings(&[arguments, &["-v"]].concat(), log)
}

/// The same, with no more in the log than the arguments say.
pub(crate) fn start_with_warnings(arguments: &[&str], log: &Path) -> Program {
    let mut command = Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" 2>>'{}'", log.display());
    command.args(["-c", &script, PATH]).args(arguments).args(["--listen", "127.0.0.1:0"]);
    start_command(&mut command)
}

/// Waits until the log has a line with all of these texts, and returns the line.
#[track_caller]
pub(crate) fn wait_for_line(log: &Path, texts: &[&str]) -> String {
    let started = Instant::now();
    loop {
        let content = fs::read_to_string(log).unwrap();
        if let Some(line) = content.lines().find(|line| texts.iter().all(|text| line.contains(text))) {
            return line.to_owned();
        }
        assert!(started.elapsed() < LONG, "{texts:?} is not in the log: {content}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Starts a command that becomes the program, and waits for its first line.
pub(crate) fn start_command(command: &mut Command) -> Program {
    let command = command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut program = Program { child, greeting: String::new(), lines };
    program.greeting = program.next_line();
    program
}

/// Starts a command without its output, which is not looked at.
pub(crate) fn spawn(command: &mut Command) -> Program {
    let command = command.env_remove("RUST_LOG").stdout(Stdio::null()).stderr(Stdio::null());
    Program { child: command.spawn().unwrap(), greeting: String::new(), lines: mpsc::channel().1 }
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ended {
    let command = command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = Program { child: command.spawn().unwrap(), greeting: String::new(), lines: mpsc::channel().1 };
    let mut pipes: [Box<dyn Read + Send>; 2] =
        [Box::new(program.child.stdout.take().unwrap()), Box::new(program.child.stderr.take().unwrap())];
    let status = program.wait();
    let [stdout, stderr] = [0, 1].map(|pipe| {
        let mut text = String::new();
        pipes[pipe].read_to_string(&mut text).unwrap();
        text
    });
    Ended { status, stdout, stderr }
}

impl Program {
    /// Waits for the next line of its output.
    #[track_caller]
    pub(crate) fn next_line(&self) -> String {
        self.lines.recv_timeout(LONG).expect("another line")
    }

    /// Returns the URL, the last word of the first line.
    pub(crate) fn url(&self) -> &str {
        self.greeting.split_whitespace().last().expect("a URL")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address_in(self.url())
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program, by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Kills the program, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the program.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < LONG, "the program does not end");
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

/// Returns the address in a URL.
#[track_caller]
pub(crate) fn address_in(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL");
    rest.trim_end_matches('/').parse().expect("an address")
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails if the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
