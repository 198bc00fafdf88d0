//! `examples/echo.c`, built with the C compiler and linked with the library, and spoken to with the blocking client.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use switchboard::{
    CloseCode, Deflate,
    client::{Client, Message},
};
use switchboard_tests::process::{cpu_time, next_descriptor, peak_of_memory};

/// The program, until it is dropped.
struct Echo {
    child: Child,
    url: String,
    folder: PathBuf,
}

impl Echo {
    /// Builds the program with these arguments for the compiler, and starts it.
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_with(name, arguments, "exec \"$0\" 0")
    }

    /// The same, by a command for the shell in which `$0` is the program.
    fn start_with(name: &str, arguments: &[&str], command: &str) -> Self {
        let folder = env::temp_dir().join(format!("switchboard-ffi-{name}-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for the program");
        let program = folder.join("echo");
        compile(&program, arguments);
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .arg(&program)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut greeting).expect("a greeting");
        let url = greeting.trim_end().strip_prefix("listening on ").expect("the greeting has the URL").to_owned();
        Self { child, url, folder }
    }

    fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches('/')
    }

    fn connect(&self) -> Client {
        Client::builder().deflate(None).read_timeout(Some(LONG)).connect(&self.url).expect("the program accepts")
    }

    /// Fails the test if the program has ended, as it does if a sanitizer finds something.
    fn assert_alive(&mut self) {
        assert_eq!(self.child.try_wait().expect("the program can be asked"), None, "the program has ended");
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.child.kill().expect("the program can be ended");
        self.child.wait().expect("the program has ended");
        fs::remove_dir_all(&self.folder).expect("the folder can be removed");
    }
}

fn compiler() -> OsString {
    env::var_os("CC").unwrap_or_else(|| "cc".into())
}

/// Builds the example with the static library that Cargo has built for this test.
fn compile(program: &Path, arguments: &[&str]) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = env::current_exe().expect("the test's own path");
    let built = Command::new(compiler())
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1"])
        .args(arguments)
        .arg("-I")
        .arg(package.join("include"))
        .arg(package.join("examples/echo.c"))
        .arg(test.with_file_name("libswitchboard_ffi.a"))
        .args(["-lm", "-lpthread", "-ldl", "-o"])
        .arg(program)
        .output()
        .expect("there is a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// What every build of the program must do.
fn echoes(echo: &mut Echo) {
    let mut plain = echo.connect();
    let deflate = Some(Deflate::default());
    let mut compressed = Client::builder().deflate(deflate).read_timeout(Some(LONG)).connect(&echo.url).unwrap();
    assert!(compressed.deflate().is_some(), "the program accepts permessage-deflate");
    let mut others: Vec<Client> = (0..50).map(|_| echo.connect()).collect();
    for client in [&mut plain, &mut compressed] {
        for length in [0, 1, 125, 126, 16 << 10, 65_535, 65_536, 1 << 20] {
            let text = "é".repeat(length / 2);
            client.send_text(&text).unwrap();
            assert!(matches!(client.receive().unwrap(), Message::Text(echoed) if echoed == text), "{length} bytes");
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            client.send_binary(&bytes).unwrap();
            assert!(matches!(client.receive().unwrap(), Message::Binary(echoed) if echoed == bytes), "{length} bytes");
        }
        client.ping(b"are you there?").unwrap();
        assert!(matches!(client.receive().unwrap(), Message::Pong(payload) if payload == b"are you there?"));
        client.send_text_fragment("two ", false).unwrap();
        client.send_text_fragment("fragments", true).unwrap();
        assert!(matches!(client.receive().unwrap(), Message::Text(text) if text == "two fragments"));
    }
    for (i, client) in others.iter_mut().enumerate() {
        client.send_text(&i.to_string()).unwrap();
    }
    for (i, client) in others.iter_mut().enumerate() {
        assert!(matches!(client.receive().unwrap(), Message::Text(text) if text == i.to_string()));
        let answer = client.close(CloseCode::GOING_AWAY, "enough").unwrap();
        assert_eq!(answer.map(|frame| frame.code), Some(CloseCode::GOING_AWAY));
    }
    assert_eq!(answer_to(echo.address(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 426 Upgrade Required");
    assert_eq!(answer_to(echo.address(), b"GET / HTTP/1.1\n"), "HTTP/1.1 400 Bad Request");
    echo.assert_alive();
}

/// Sends a request, and returns the first line of what comes until the end of TCP.
fn answer_to(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn the_readmes_example_compiles_as_c_and_as_cpp() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(package.join("README.md")).expect("there is a README");
    let example = readme.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example in C");
    let source = format!(
        "#define _GNU_SOURCE 1\n#include <sys/socket.h>\n#include \"switchboard.h\"\n\
         extern \n#ifdef __cplusplus\n\"C\"\n#endif\nint read_some(int fd, uint8_t *bytes);\nvoid end(int fd);\n\
         void serve(int fd, uint8_t *buffer, switchboard_connection *connection);\n\
         void serve(int fd, uint8_t *buffer, switchboard_connection *connection) {{\n{example}}}\n"
    );
    for language in [["-xc", "-std=c99"], ["-xc++", "-std=c++17"]] {
        let mut compiler = Command::new(compiler())
            .args(language)
            .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
            .arg(package.join("include"))
            .arg("-")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a C compiler");
        compiler.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("the compiler reads");
        let output = compiler.wait_with_output().expect("the compiler ends");
        assert!(output.status.success(), "{language:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_program_in_c_serves_many_clients() {
    echoes(&mut Echo::start("plain", &[]));
}

#[test]
fn sanitizers_find_nothing_in_the_program() {
    let arguments = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    echoes(&mut Echo::start("sanitized", &arguments));
}

/// The program stops to read once its answers are not taken.
#[cfg(target_os = "linux")]
#[test]
fn a_client_that_reads_nothing_takes_little_memory_and_slows_nobody() {
    let echo = Echo::start("flooded", &[]);
    let mut other = echo.connect();
    let mut ask = || {
        other.send_text("hello").unwrap();
        assert!(matches!(other.receive().unwrap(), Message::Text(text) if text == "hello"));
    };
    ask(); // and most of the program is in memory
    let mut flood = TcpStream::connect(echo.address()).unwrap();
    flood.write_all(UPGRADE).unwrap();
    flood.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    // A binary message of 60,000 zeros, masked with zeros.
    let mut message = vec![0x82, 0xFE];
    message.extend(60_000_u16.to_be_bytes());
    message.resize(message.len() + 4 + 60_000, 0);
    let before = peak_of_memory(echo.child.id());
    let mut sent = 0;
    let blocked = loop {
        match flood.write(&message[sent % message.len()..]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
        assert!(sent < 256 << 20, "the program still reads after 256 MiB");
    };
    assert!(matches!(blocked.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{blocked}");
    let grown = peak_of_memory(echo.child.id()) - before;
    assert!(grown < 1 << 20, "{grown} bytes for a client that reads nothing");

    let started = Instant::now();
    for _ in 0..100 {
        ask();
    }
    assert!(started.elapsed() < LONG / 2);

    // Once it reads, it gets every answer: whole messages, in their order.
    flood.set_read_timeout(Some(LONG)).unwrap();
    let mut reader = flood.try_clone().unwrap();
    let answers = sent / message.len();
    let read = thread::spawn(move || {
        let mut head = [0; 4];
        let mut payload = vec![0; 60_000];
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte).unwrap();
            response.push(byte[0]);
        }
        for _ in 0..answers {
            reader.read_exact(&mut head).unwrap();
            assert_eq!(head[..2], [0x82, 126]);
            reader.read_exact(&mut payload).unwrap();
        }
    });
    read.join().expect("all answers come");
}

#[cfg(target_os = "linux")]
#[test]
fn too_many_open_files_cost_no_cpu_and_end_with_the_clients() {
    let echo = Echo::start_with("full", &[], "ulimit -n 20; exec \"$0\" 0");
    let mut first = echo.connect();
    // The kernel completes these connections; the program has files for some of them.
    let others: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(echo.address()).unwrap()).collect();
    let started = Instant::now();
    while next_descriptor(echo.child.id()) < 20 {
        assert!(started.elapsed() < LONG, "the program accepts no more clients");
        thread::yield_now();
    }
    let before = cpu_time(echo.child.id());
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1500) {
        first.send_text("still there?").unwrap();
        assert!(matches!(first.receive().unwrap(), Message::Text(text) if text == "still there?"));
        thread::park_timeout(Duration::from_millis(100));
    }
    let used = cpu_time(echo.child.id()) - before;
    assert!(used <= Duration::from_millis(150), "{used:?} of CPU time");
    drop(others);
    let mut last = echo.connect();
    last.send_text("hello").unwrap();
    assert!(matches!(last.receive().unwrap(), Message::Text(text) if text == "hello"));
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The longest that a test waits for anything.
const LONG: Duration = Duration::from_secs(10);
