//! The client over streams of the caller's.

use std::{
    io::{self, Cursor, ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use switchboard::{
    CloseCode, Role, State,
    client::{ClientError, Message, Stage},
};

use switchboard_tests::engine::frames;

use crate::{
    LONG, SHORT, assert_closed,
    peer::{Server, builder, serve},
};

/// TCP that reads and writes a byte at a time, and is interrupted before each.
struct Bytewise {
    tcp: TcpStream,
    is_interrupted: bool,
}

impl Bytewise {
    fn connect(server: &Server) -> Self {
        let tcp = TcpStream::connect(server.address).unwrap();
        tcp.set_read_timeout(Some(LONG)).unwrap();
        Self { tcp, is_interrupted: false }
    }

    fn interrupt(&mut self) -> io::Result<()> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Read for Bytewise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.tcp.read(&mut buffer[..1])
    }
}

impl Write for Bytewise {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.tcp.write(&bytes[..1])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

#[test]
fn a_stream_may_take_and_give_a_byte_at_a_time() {
    let server = serve(|mut peer| {
        let request = peer.request();
        assert_eq!((request.target(), request.values("Host").next()), ("/x", Some(&b"example.test"[..])));
        peer.accept(&request, None, &[]);
        peer.echo_until_close();
    });
    let mut client = builder().connect_over(Bytewise::connect(&server), "ws://example.test/x").unwrap();
    for length in [0, 1, 126, 1000] {
        let text = "x".repeat(length);
        client.send_text(&text).unwrap();
        assert_eq!(client.receive().unwrap(), Message::Text(text));
    }
    assert_eq!(client.local_addr().unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(client.peer_addr().unwrap_err().kind(), ErrorKind::Unsupported);
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    assert_closed(&mut client);
    // The script ends only if the stream was dropped: the client has ended TCP.
    server.finish();
    drop(client);
}

#[test]
fn a_timeout_of_the_stream_itself_is_one_of_receive() {
    let server = serve(|mut peer| {
        peer.open();
        peer.write(b"\x81\x05Hel");
        assert_eq!(peer.next(), Message::Text("go on".into()));
        peer.write(b"lo");
        peer.echo_until_close();
    });
    let stream = TcpStream::connect(server.address).unwrap();
    let timeouts = stream.try_clone().unwrap();
    let mut client = builder().read_timeout(None).connect_over(stream, "ws://example.test/").unwrap();
    timeouts.set_read_timeout(Some(SHORT)).unwrap();
    let error = client.receive().unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Receive)), "{error:?}");
    assert_eq!(client.state(), State::Open);
    timeouts.set_read_timeout(Some(LONG)).unwrap();
    client.send_text("go on").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Text("Hello".into()));
    drop(timeouts);
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

/// TCP that notes the most that a read had space for.
struct Measured {
    tcp: TcpStream,
    most: Arc<AtomicUsize>,
}

impl Read for Measured {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.most.fetch_max(buffer.len(), Ordering::Relaxed);
        self.tcp.read(buffer)
    }
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

#[test]
fn the_rest_of_a_large_message_is_read_with_few_reads_and_waits_through_a_timeout() {
    let payload: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 3) as u8).collect();
    let wire = frames(Role::Client, &[(0x82, &payload), (0x89, b"now"), (0x82, &payload), (0x81, b"end")]);
    let server = serve(move |mut peer| {
        peer.open();
        peer.write(&wire[..600_000]);
        assert_eq!(peer.next(), Message::Text("go on".into()));
        peer.write(&wire[600_000..]);
        peer.echo_until_close();
    });
    let (tcp, most) = (TcpStream::connect(server.address).unwrap(), Arc::new(AtomicUsize::new(0)));
    let timeouts = tcp.try_clone().unwrap();
    let stream = Measured { tcp, most: Arc::clone(&most) };
    let mut client = builder().read_timeout(None).connect_over(stream, "ws://example.test/").unwrap();
    timeouts.set_read_timeout(Some(SHORT)).unwrap();
    let error = client.receive().unwrap_err();
    assert!(matches!(error, ClientError::Timeout(Stage::Receive)), "{error:?}");
    timeouts.set_read_timeout(Some(LONG)).unwrap();
    client.send_text("go on").unwrap();
    assert!(client.receive().unwrap() == Message::Binary(payload.clone()));
    assert_eq!(client.receive().unwrap(), Message::Ping(b"now".into()));
    assert!(client.receive().unwrap() == Message::Binary(payload));
    assert_eq!(client.receive().unwrap(), Message::Text("end".into()));
    assert_eq!(most.load(Ordering::Relaxed), 64 << 10);
    drop(timeouts);
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}

/// A stream that gives these bytes, and takes this many.
struct Canned {
    input: Cursor<&'static [u8]>,
    room: usize,
}

impl Read for Canned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Canned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.room);
        self.room -= length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_end_of_a_stream_its_refusal_and_the_deadline_are_errors() {
    let canned = |input: &'static [u8], room| Canned { input: Cursor::new(input), room };
    let connect = |stream, timeout| {
        builder().connect_timeout(timeout).connect_over(stream, "ws://example.test/").map(drop).unwrap_err()
    };
    let error = connect(canned(b"", usize::MAX), LONG);
    assert!(matches!(error, ClientError::Disconnected), "{error:?}");
    let error = connect(canned(b"", 10), LONG);
    assert!(matches!(&error, ClientError::Io(error) if error.kind() == ErrorKind::WriteZero), "{error:?}");
    let error = connect(canned(b"HTTP/1.1 404 Not Found\r\n\r\n", usize::MAX), Duration::ZERO);
    assert!(matches!(error, ClientError::Timeout(Stage::Handshake)), "{error:?}");
    match connect(canned(b"HTTP/1.1 307 X\r\nLocation: /there\r\n\r\n", usize::MAX), LONG) {
        ClientError::Redirect { location, .. } => assert_eq!(location, "/there"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn redirects_are_errors_over_a_stream() {
    let stream = Canned { input: Cursor::new(b"HTTP/1.1 307 X\r\nLocation: /there\r\n\r\nmoved"), room: usize::MAX };
    match builder().redirects(9).connect_over(stream, "ws://example.test/") {
        Err(ClientError::Redirect { location, body, .. }) => {
            assert_eq!((&*location, &*body), ("/there", &b"moved"[..]))
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[test]
fn a_client_may_use_a_unix_socket() {
    use std::os::unix::net::UnixStream;

    let (own, mut peer) = UnixStream::pair().unwrap();
    for stream in [&own, &peer] {
        stream.set_read_timeout(Some(LONG)).unwrap();
    }
    let server = std::thread::spawn(move || {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            request.extend_from_slice(&byte);
        }
        peer.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope").unwrap();
    });
    match builder().connect_over(own, "ws://localhost/") {
        Err(ClientError::Refused { response, body }) => assert_eq!((response.status(), &*body), (404, &b"nope"[..])),
        other => panic!("{other:?}"),
    }
    server.join().unwrap();
}

#[cfg(feature = "client-tls")]
#[test]
fn wss_speaks_tls_over_the_stream() {
    let setting = crate::tls::Setting::new();
    let server = setting.serve(|mut peer| {
        peer.open();
        peer.echo_until_close();
    });
    let mut client = setting.builder.connect_over(Bytewise::connect(&server), "wss://localhost/").unwrap();
    client.send_text("hi").unwrap();
    assert_eq!(client.receive().unwrap(), Message::Text("hi".into()));
    client.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
    server.finish();
}
