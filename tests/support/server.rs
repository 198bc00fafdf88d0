//! A server inside the test process, an app made of closures, and a raw TCP client for input that a correct client
//! never sends.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use switchboard::{
    App, Config, ConnectionId, Context, End, Handshake, Message, Remote, Request, Responder, Response, Running, Server,
    Stopper, Verdict,
    client::{self, Client, ClientBuilder},
};

/// The timeout of every wait in a test.
pub const LONG: Duration = Duration::from_secs(10);

/// The default config with one worker, any number of connections from this machine, and a short stop timeout for peers
/// that never answer.
pub fn config() -> Config {
    let mut config = Config::default();
    config.workers = 1;
    config.max_connections_per_address = None;
    config.stop_timeout = Duration::from_secs(1);
    config
}

type OnAccept = dyn Fn(&Handshake<'_>, Verdict<()>) + Send + Sync;
type OnRequest = dyn Fn(&Request<'_>, Responder) + Send + Sync;
type OnOpened = dyn Fn(&mut Context<'_>) + Send + Sync;
type OnMessage = dyn Fn(Message<'_>, &mut Context<'_>) + Send + Sync;

/// An app whose callbacks can be replaced. By default it accepts every handshake, echoes messages and answers requests
/// with 404.
#[derive(Clone)]
pub struct Service {
    accept: Arc<OnAccept>,
    request: Arc<OnRequest>,
    opened: Arc<OnOpened>,
    message: Arc<OnMessage>,
}

impl Service {
    pub fn echo() -> Self {
        Self {
            accept: Arc::new(|_, verdict| verdict.accept(())),
            request: Arc::new(|_, responder| responder.send(Response::text(404, "not found\n"))),
            opened: Arc::new(|_| {}),
            message: Arc::new(|message, context| context.send(message)),
        }
    }

    pub fn on_accept(mut self, run: impl Fn(&Handshake<'_>, Verdict<()>) + Send + Sync + 'static) -> Self {
        self.accept = Arc::new(run);
        self
    }

    pub fn on_request(mut self, run: impl Fn(&Request<'_>, Responder) + Send + Sync + 'static) -> Self {
        self.request = Arc::new(run);
        self
    }

    pub fn on_opened(mut self, run: impl Fn(&mut Context<'_>) + Send + Sync + 'static) -> Self {
        self.opened = Arc::new(run);
        self
    }

    pub fn on_message(mut self, run: impl Fn(Message<'_>, &mut Context<'_>) + Send + Sync + 'static) -> Self {
        self.message = Arc::new(run);
        self
    }
}

struct Worker {
    service: Service,
    opened: mpsc::Sender<ConnectionId>,
    closed: mpsc::Sender<(ConnectionId, End)>,
}

impl App for Worker {
    type Peer = ();
    type Told = std::convert::Infallible;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<()>) {
        (self.service.accept)(handshake, verdict);
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        (self.service.request)(request, responder);
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        (self.service.opened)(context);
        let _ = self.opened.send(context.id());
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        (self.service.message)(message, context);
    }

    fn closed(&mut self, _: (), id: ConnectionId, end: &End, _: &Remote) {
        let _ = self.closed.send((id, end.clone()));
    }
}

/// A server that runs until it is dropped, with the events of its app.
pub struct TestServer {
    pub address: SocketAddr,
    pub remote: Remote,
    stopper: Stopper,
    running: Option<Running>,
    opened: Mutex<mpsc::Receiver<ConnectionId>>,
    closed: Mutex<mpsc::Receiver<(ConnectionId, End)>>,
}

pub fn serve(config: Config, service: Service) -> TestServer {
    serve_on(Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap(), service)
}

/// Serves on a server that is bound already.
pub fn serve_on(server: Server, service: Service) -> TestServer {
    let (opened_tx, opened) = mpsc::channel();
    let (closed_tx, closed) = mpsc::channel();
    let make =
        move |_: &Remote| Worker { service: service.clone(), opened: opened_tx.clone(), closed: closed_tx.clone() };
    let running = server.start(make).unwrap();
    TestServer {
        address: running.local_addr(),
        remote: running.remote().clone(),
        stopper: running.stopper(),
        running: Some(running),
        opened: Mutex::new(opened),
        closed: Mutex::new(closed),
    }
}

impl TestServer {
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// A client with an open connection.
    pub fn client(&self) -> Client {
        builder().connect(&self.url()).unwrap()
    }

    /// A client with an open connection, and the connection's ID. For tests that open one connection at a time.
    pub fn client_with_id(&self) -> (Client, ConnectionId) {
        (self.client(), self.next_opened())
    }

    /// A raw client after its handshake, and the connection's ID. For tests that open one connection at a time.
    pub fn raw(&self) -> (Raw, ConnectionId) {
        let mut raw = Raw::connect(self.address);
        raw.handshake();
        (raw, self.next_opened())
    }

    /// As [`raw`](Self::raw), with a small receive buffer: while the client does not read, the kernel takes little from
    /// the server.
    pub fn raw_with_small_buffer(&self) -> (Raw, ConnectionId) {
        let mut raw = Raw::connect_with_small_buffer(self.address);
        raw.handshake();
        (raw, self.next_opened())
    }

    /// Waits until a connection is opened.
    pub fn next_opened(&self) -> ConnectionId {
        self.opened.lock().unwrap().recv_timeout(LONG).expect("no connection was opened")
    }

    /// Waits until a connection is closed.
    pub fn next_closed(&self) -> (ConnectionId, End) {
        self.closed.lock().unwrap().recv_timeout(LONG).expect("no connection was closed")
    }

    /// Begins the stop, and returns at once.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// Waits until the server has stopped. Returns the closed connections that [`next_closed`](Self::next_closed) has
    /// not returned.
    pub fn join(mut self) -> Vec<(ConnectionId, End)> {
        self.running.take().unwrap().join().unwrap();
        self.closed.lock().unwrap().try_iter().collect()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}

/// A client builder whose timeouts are all [`LONG`].
pub fn builder() -> ClientBuilder {
    Client::builder().read_timeout(Some(LONG)).write_timeout(Some(LONG)).close_timeout(LONG).connect_timeout(LONG)
}

/// Receives a message and asserts that it is this text.
#[track_caller]
pub fn expect_text(client: &mut Client, text: &str) {
    assert_eq!(client.receive().unwrap(), client::Message::Text(text.into()));
}

/// Sends a text to an echo server and waits for the echo. By then the worker has begun a turn after the call.
#[track_caller]
pub fn round_trip(client: &mut Client) {
    client.send_text("?").unwrap();
    expect_text(client, "?");
}

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, RSV1 to RSV3 and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The close code, if this is a Close frame with a code.
    pub fn close_code(&self) -> Option<u16> {
        (self.first == 0x88 && self.payload.len() >= 2).then(|| u16::from_be_bytes([self.payload[0], self.payload[1]]))
    }
}

/// An HTTP response.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: u16,
    /// The status line and the header fields.
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// The value of the first header field of this name.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers(name).next()
    }

    /// Returns the values of all fields of this name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A masked frame. `first` is its first byte: FIN, RSV1 to RSV3 and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The header of a masked frame with `length` bytes of payload, up to and with the masking key.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match length {
        0..=125 => header.push(0x80 | length as u8),
        126..=0xFFFF => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend(KEY);
    header
}

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// The request of an opening handshake (§1.3).
pub const OPENING: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A raw TCP client: sends exactly the bytes that the test gives it, and answers nothing by itself.
pub struct Raw {
    pub stream: TcpStream,
    /// Bytes that were read from the stream and not consumed.
    unread: Vec<u8>,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, LONG).unwrap())
    }

    /// Connects with a small receive buffer; see [`TestServer::raw_with_small_buffer`].
    pub fn connect_with_small_buffer(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&address.into(), LONG).unwrap();
        Self::over(socket.into())
    }

    /// Connects with a small receive buffer and TCP segments as short as on a network. While the client does not read,
    /// the kernel takes about 50 KB for it instead of megabytes.
    pub fn connect_with_short_segments(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        #[cfg(target_os = "linux")]
        socket.set_tcp_mss(1460).unwrap();
        socket.connect_timeout(&address.into(), LONG).unwrap();
        Self::over(socket.into())
    }

    /// Connects from this address of the machine.
    pub fn connect_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect_timeout(&address.into(), LONG).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    /// Performs the opening handshake.
    pub fn handshake(&mut self) {
        self.write(OPENING.as_bytes());
        assert_eq!(self.head().status, 101);
    }

    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Writes without blocking. Returns the number of bytes that the kernel took.
    pub fn write_some(&mut self, bytes: &[u8]) -> usize {
        self.stream.set_nonblocking(true).unwrap();
        let written = self.stream.write(bytes);
        self.stream.set_nonblocking(false).unwrap();
        match written {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a masked frame; see [`frame`].
    #[track_caller]
    pub fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.write(frame(first, payload.as_ref()));
    }

    /// Sends a text message.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.send(0x81, text);
    }

    /// Reads once. Returns the number of bytes, 0 at the end of the stream.
    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut buffer = [0; 16 << 10];
        let count = loop {
            match self.stream.read(&mut buffer) {
                // A read with a timeout is not restarted when the process was stopped and goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read.unwrap_or_else(|error| panic!("cannot read: {error}")),
            }
        };
        self.unread.extend_from_slice(&buffer[..count]);
        count
    }

    /// Returns the next `count` bytes.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(self.fill() > 0, "the server ended TCP within a frame or a response");
        }
        let rest = self.unread.split_off(count);
        std::mem::replace(&mut self.unread, rest)
    }

    /// Reads the next frame.
    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        let start = self.take(2);
        assert_eq!(start[1] & 0x80, 0, "a server must not mask");
        let length = match start[1] {
            126 => u16::from_be_bytes(self.take(2).try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.take(8).try_into().unwrap()),
            short => short.into(),
        };
        Frame { first: start[0], payload: self.take(length as usize) }
    }

    /// Reads the next frame and asserts its first byte and payload.
    #[track_caller]
    pub fn expect_frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        assert_eq!(self.frame(), Frame { first, payload: payload.as_ref().to_vec() });
    }

    /// Reads up to the Close. Returns the frames before it, and its code.
    #[track_caller]
    pub fn until_close(&mut self) -> (Vec<Frame>, u16) {
        let mut frames = Vec::new();
        loop {
            let frame = self.frame();
            if frame.first == 0x88 {
                return (frames, frame.close_code().expect("the Close has no code"));
            }
            frames.push(frame);
        }
    }

    /// Asserts that the server sends nothing more and ends TCP without a reset.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.fill(), 0, "{:?}", String::from_utf8_lossy(&self.unread));
        assert!(self.unread.is_empty(), "{:?}", String::from_utf8_lossy(&self.unread));
    }

    /// Waits until a write fails, because the server has closed or reset the connection.
    #[track_caller]
    pub fn expect_writes_fail(&mut self) {
        let started = Instant::now();
        while started.elapsed() < LONG {
            if self.stream.write(&frame(0x8A, b"")).is_err() {
                return;
            }
            if self.receives_nothing_for(Duration::from_millis(10)) {
                continue;
            }
        }
        panic!("the server still receives");
    }

    /// Returns whether the connection stays open and silent for `time`, and no byte is unread. Bytes that arrive are
    /// kept for the next read.
    #[track_caller]
    pub fn receives_nothing_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0; 16 << 10];
        let seen = self.stream.read(&mut buffer);
        self.stream.set_read_timeout(Some(LONG)).unwrap();
        match seen {
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) => self.unread.is_empty() && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Reads and drops `count` bytes, or fewer if the stream ends before. Returns how many.
    pub fn take_up_to(&mut self, count: usize) -> usize {
        let mut left = count - count.min(self.unread.len());
        self.unread.drain(..count - left);
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let room = left.min(buffer.len());
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) | Err(_) => break,
                Ok(read) => left -= read,
            }
        }
        count - left
    }

    /// Waits for `time` without reading.
    pub fn pause_reading(&self, time: Duration) {
        thread::park_timeout(time);
    }

    /// Reads the head of a response; its body is left empty.
    #[track_caller]
    pub fn head(&mut self) -> HttpResponse {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill() > 0, "the server ended TCP within a head: {:?}", String::from_utf8_lossy(&self.unread));
        };
        let head = String::from_utf8(self.take(end)).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("no status in the head");
        HttpResponse { status, head, body: Vec::new() }
    }

    /// Reads a response with its body, whose length is its `Content-Length`.
    #[track_caller]
    pub fn response(&mut self) -> HttpResponse {
        let mut response = self.head();
        let length = response.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        response.body = self.take(length);
        response
    }

    /// Ends our direction of TCP.
    pub fn finish_writing(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
