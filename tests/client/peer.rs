//! A scripted server, in the clear or over TLS.

#[cfg(target_os = "linux")]
use std::time::Instant;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
};

use switchboard::{
    CloseFrame, Connection, Delivery, Event, HeadLimits, Limits, RequestHead, RequestReader, ServerHandshake,
    client::{Client, ClientBuilder, Message},
};

use super::{LONG, SHORT};

pub(crate) fn builder() -> ClientBuilder {
    Client::builder().connect_timeout(LONG).read_timeout(Some(LONG)).write_timeout(Some(LONG)).close_timeout(LONG)
}

/// What a server does with a connection.
pub(crate) type Script = Box<dyn FnOnce(Peer) + Send>;

/// A server that accepts connections and runs a script on each, one after another.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scripts: JoinHandle<()>,
    count: usize,
}

/// Starts a server for one connection.
pub(crate) fn serve(script: impl FnOnce(Peer) + Send + 'static) -> Server {
    serve_each(vec![Box::new(script)])
}

/// Starts a server for as many connections as there are scripts.
pub(crate) fn serve_each(scripts: Vec<Script>) -> Server {
    serve_with_address(|_| scripts)
}

/// Starts a server whose scripts know its address.
pub(crate) fn serve_with_address(scripts: impl FnOnce(SocketAddr) -> Vec<Script>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let scripts = scripts(address);
    let count = scripts.len();
    let scripts = thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            script(Peer::new(stream));
        }
    });
    Server { address, scripts, count }
}

impl Server {
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    pub(crate) fn connect(&self) -> Client {
        builder().connect(&self.url()).unwrap()
    }

    /// Waits until the scripts have run to their end.
    pub(crate) fn finish(self) {
        // If too few clients have connected, these connections let the scripts start and fail.
        for _ in 0..self.count {
            let _ = TcpStream::connect(self.address);
        }
        self.scripts.join().unwrap();
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: Wire,
    /// Bytes that were read from the stream and not consumed.
    pub(crate) unread: Vec<u8>,
    pub(crate) connection: Connection,
}

/// A frame from the client, unmasked.
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: Wire::Plain(stream),
            unread: Vec::new(),
            connection: Connection::server(Limits::default(), Delivery::Messages),
        }
    }

    /// Reads once and returns the number of bytes.
    pub(crate) fn fill(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).unwrap();
        self.unread.extend_from_slice(&buffer[..length]);
        length
    }

    /// Reads the request of the handshake.
    pub(crate) fn request(&mut self) -> RequestHead {
        let mut reader = RequestReader::new(HeadLimits::default());
        loop {
            assert!(self.fill() > 0, "the client ended TCP within its request");
            let bytes = std::mem::take(&mut self.unread);
            if let Some((request, used)) = reader.receive(&bytes).unwrap() {
                self.unread = bytes[used..].to_vec();
                return request;
            }
        }
    }

    pub(crate) fn accept(&mut self, request: &RequestHead, subprotocol: Option<&str>, headers: &[(&str, &str)]) {
        let mut out = Vec::new();
        let handshake = ServerHandshake::from_request(request).unwrap();
        handshake.accept(subprotocol, headers, Limits::default(), Delivery::Messages, &mut out).unwrap();
        self.write(&out);
    }

    /// Performs the opening handshake.
    pub(crate) fn open(&mut self) {
        let request = self.request();
        self.accept(&request, None, &[]);
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    pub(crate) fn close(&mut self, frame: Option<CloseFrame<'_>>) {
        let mut out = Vec::new();
        self.connection.sender.close(frame, &mut out).unwrap();
        self.write(&out);
    }

    /// Returns the client's next message, without answering it.
    pub(crate) fn next(&mut self) -> Message {
        loop {
            let mut events = self.connection.receiver.receive(&mut self.unread);
            let message = events.next_event().unwrap().map(|event| match event {
                Event::Text(text) => Message::Text(text.to_owned()),
                Event::Binary(bytes) => Message::Binary(bytes.to_owned()),
                Event::Ping(payload) => Message::Ping(payload.to_owned()),
                Event::Pong(payload) => Message::Pong(payload.to_owned()),
                Event::Close(frame) => Message::Close(frame.map(|frame| (frame.code, frame.reason.to_owned()))),
                other => panic!("{other:?}"),
            });
            let left = events.unread();
            self.unread.drain(..self.unread.len() - left);
            match message {
                Some(message) => return message,
                None => assert!(self.fill() > 0, "the client ended TCP without a message"),
            }
        }
    }

    /// Returns the client's next frame, whose payload is at most 125 bytes long.
    pub(crate) fn frame(&mut self) -> Frame {
        while self.unread.len() < 6 || self.unread.len() < 6 + usize::from(self.unread[1] & 0x7F) {
            assert!(self.fill() > 0, "the client ended TCP without a frame");
        }
        assert_eq!(self.unread[1] & 0x80, 0x80, "the frame is not masked");
        let length = usize::from(self.unread[1] & 0x7F);
        let frame: Vec<u8> = self.unread.drain(..6 + length).collect();
        let payload = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Frame { first: frame[0], payload }
    }

    /// Echoes messages up to the Close, answers it, and ends TCP.
    pub(crate) fn echo_until_close(&mut self) {
        loop {
            let mut out = Vec::new();
            let message = self.next();
            let sender = &mut self.connection.sender;
            match &message {
                Message::Text(text) => sender.text(text, &mut out).unwrap(),
                Message::Binary(bytes) => sender.binary(bytes, &mut out).unwrap(),
                Message::Ping(payload) => sender.pong(payload, &mut out).unwrap(),
                Message::Close(frame) => {
                    let frame = frame.as_ref().map(|(code, _)| CloseFrame { code: *code, reason: "" });
                    sender.close(frame, &mut out).unwrap();
                }
                _ => {}
            }
            self.write(&out);
            if let Message::Close(_) = message {
                return self.end();
            }
        }
    }

    /// Waits until the client has sent something, without reading it.
    #[cfg(target_os = "linux")]
    pub(crate) fn await_input(&mut self) {
        assert!(self.stream.tcp().peek(&mut [0]).unwrap() > 0);
    }

    /// Asserts that the client sends nothing and does not end TCP for [`SHORT`].
    pub(crate) fn expect_silence(&mut self) {
        self.stream.tcp().set_read_timeout(Some(SHORT)).unwrap();
        let seen = self.stream.read(&mut [0]);
        assert!(matches!(&seen, Err(error) if is_timeout(error.kind())), "{seen:?}");
        self.stream.tcp().set_read_timeout(Some(LONG)).unwrap();
    }

    /// Reads and drops input until the client ends or resets TCP.
    pub(crate) fn expect_end(&mut self) {
        let mut buffer = [0; 65_536];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return assert!(!is_timeout(error.kind()), "the client does not end TCP"),
            }
        }
    }

    /// Waits until the client has ended or reset TCP, and reads nothing until it has.
    #[cfg(target_os = "linux")]
    pub(crate) fn expect_end_unread(&mut self) {
        // A write to a connection that the client has ended fails, the first or a later one.
        let deadline = Instant::now() + LONG;
        while self.stream.tcp().write_all(&[0]).is_ok() {
            assert!(Instant::now() < deadline, "the client does not end TCP");
            thread::yield_now();
        }
    }

    /// Writes to a client that may close the connection before it has read all, and ends TCP. Unread bytes turn the
    /// client's end into a reset, after which a write and a shutdown fail.
    pub(crate) fn write_and_end(&mut self, bytes: &[u8]) {
        use ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let written = self.stream.write_all(bytes).and_then(|()| self.stream.finish());
        if let Err(error) = written {
            assert!(matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected), "{error}");
        }
        self.expect_end();
    }

    /// Ends the server's direction, of TLS too, then waits until the client ends its own.
    pub(crate) fn end(&mut self) {
        self.stream.finish().unwrap();
        self.expect_end();
    }
}

pub(crate) fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What a script reads from and writes to.
pub(crate) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "client-tls")]
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, super::tls::Pieces>>),
}

impl Wire {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => &stream.sock.tcp,
        }
    }

    /// Ends the outgoing direction: close_notify with TLS, and FIN.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        #[cfg(feature = "client-tls")]
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.tcp().shutdown(Shutdown::Write)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            #[cfg(feature = "client-tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
