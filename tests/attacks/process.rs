//! Servers in processes of their own, so that the memory, descriptors and CPU time measured are the server's alone.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use switchboard::{Config, OriginPolicy, Running, Server, apps::Echo};
use switchboard_tests::server::{LONG, Raw, TestServer};

/// A server in a process of its own, which is killed when this is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Starts this test program again to run only the test `name`, which must be the caller. There, this function runs the
/// server and does not return; here, it returns the new process.
pub(crate) fn server_process(name: &str, serve: impl FnOnce() -> TestServer) -> ServerProcess {
    let start = || {
        let server = serve();
        (server.address, server)
    };
    run_in_process(name, Command::new(std::env::current_exe().unwrap()), start)
}

/// Like [`server_process`], with the app `Echo`, one worker, and a log on standard error. The limits are the
/// default ones, except that any number of connections may come from this machine.
pub(crate) fn echo_process(name: &str) -> ServerProcess {
    run_in_process(name, Command::new(std::env::current_exe().unwrap()), serve_echo)
}

/// Like [`echo_process`], started by a shell script that ends with `exec "$0" "$@"`.
pub(crate) fn echo_process_by(script: &str, name: &str) -> ServerProcess {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(std::env::current_exe().unwrap());
    run_in_process(name, command, serve_echo)
}

fn serve_echo() -> (SocketAddr, Running) {
    env_logger::Builder::new().filter_level(log::LevelFilter::Warn).init();
    let mut config = Config::default();
    config.workers = 1;
    config.max_connections_per_address = None;
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let running = server.start(|_| Echo::new(OriginPolicy::Any)).unwrap();
    (running.local_addr(), running)
}

/// Starts this test program again as in [`server_process`]. There, a thread runs `serve` with the first connection to
/// the address of the new process.
pub(crate) fn process_with(name: &str, serve: impl FnOnce(TcpStream) + Send + 'static) -> ServerProcess {
    let start = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap(), thread::spawn(move || serve(listener.accept().unwrap().0)))
    };
    run_in_process(name, Command::new(std::env::current_exe().unwrap()), start)
}

fn run_in_process<S>(name: &str, mut command: Command, start: impl FnOnce() -> (SocketAddr, S)) -> ServerProcess {
    if std::env::var(SERVER_OF).is_ok_and(|wanted| wanted == name) {
        let (address, _server) = start();
        println!("\n{GREETING}{address}");
        // Standard input ends when the process that started this one ends.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    }
    command.args([name, "--exact", "--nocapture"]).env(SERVER_OF, name);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, address) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(GREETING) {
                let _ = sender.send(address.parse().unwrap());
            }
        }
    });
    let address = address.recv_timeout(LONG).unwrap_or_else(|_| panic!("{name} does not start its server"));
    ServerProcess { child, address }
}

/// The environment variable that holds the name of the test whose server a process runs.
const SERVER_OF: &str = "SWITCHBOARD_TEST_SERVER";
const GREETING: &str = "server at ";

impl ServerProcess {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// A peer that writes raw bytes, with its handshake done.
    pub(crate) fn raw(&self) -> Raw {
        open(Raw::connect(self.address))
    }

    /// Like [`raw`](Self::raw), with a small receive buffer.
    pub(crate) fn raw_with_small_buffer(&self) -> Raw {
        open(Raw::connect_with_small_buffer(self.address))
    }
}

/// Does the peer's handshake.
pub(crate) fn open(mut raw: Raw) -> Raw {
    raw.handshake();
    raw
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Fails if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
