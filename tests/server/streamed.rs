//! Responses whose bodies are written while they are made.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use switchboard::{Responder, Response, ResponseBody};
use switchboard_tests::server::{LONG, Raw, Service, TestServer, config, serve};

/// A server that passes the responder of each request to the test.
fn server(config: switchboard::Config) -> (TestServer, mpsc::Receiver<Responder>) {
    let (sender, responders) = mpsc::channel();
    let sender = Mutex::new(sender);
    let service = Service::echo().on_request(move |_, responder| sender.lock().unwrap().send(responder).unwrap());
    (serve(config, service), responders)
}

fn stream(responders: &mpsc::Receiver<Responder>) -> ResponseBody {
    responders.recv_timeout(LONG).unwrap().stream(Response::new(200).header("X-Kind", "stream"))
}

/// Reads a chunk: its size, its bytes and the line ends.
fn chunk(raw: &mut Raw) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(raw.take(1));
    }
    let size = usize::from_str_radix(std::str::from_utf8(&line[..line.len() - 2]).unwrap(), 16).unwrap();
    let bytes = raw.take(size);
    assert_eq!(raw.take(2), b"\r\n");
    bytes
}

#[test]
fn each_piece_is_sent_when_it_is_written_and_the_connection_is_kept() {
    let (server, responders) = server(config());
    let mut raw = Raw::connect(server.address);
    for round in 0..2 {
        raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut body = stream(&responders);
        let head = raw.head();
        assert_eq!((head.status, head.header("X-Kind")), (200, Some("stream")));
        assert_eq!((head.header("Transfer-Encoding"), head.header("Content-Length")), (Some("chunked"), None));
        assert_eq!(head.header("Connection"), Some("keep-alive"));
        for piece in ["one", "and another one", "!"] {
            body.write_all(piece.as_bytes()).unwrap();
            assert_eq!(chunk(&mut raw), piece.as_bytes(), "{round}");
            // Nothing is not the end.
            assert_eq!(body.write(b"").unwrap(), 0);
        }
        // The next request waits for the end of this response.
        if round == 0 {
            body.finish();
        } else {
            raw.write("GET /next HTTP/1.1\r\nHost: localhost\r\n\r\n");
            body.finish();
            responders.recv_timeout(LONG).unwrap().send(Response::text(200, "next"));
        }
        assert_eq!(chunk(&mut raw), b"");
    }
    assert_eq!(raw.response().body, b"next");
}

#[test]
fn clients_without_chunks_and_requests_without_bodies_get_what_they_can_read() {
    let (server, responders) = server(config());
    for (request, status, coding, connection, body) in [
        ("GET / HTTP/1.0\r\n", 200, None, "close", "body"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n", 200, None, "close", "body"),
        ("HEAD / HTTP/1.1\r\nHost: x\r\n", 200, None, "keep-alive", ""),
        ("GET / HTTP/1.1\r\nHost: x\r\n", 204, None, "keep-alive", ""),
        ("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", 200, Some("chunked"), "close", "4\r\nbody\r\n0\r\n\r\n"),
    ] {
        let mut raw = Raw::connect(server.address);
        raw.write(format!("{request}\r\n"));
        let mut writer = responders.recv_timeout(LONG).unwrap().stream(Response::new(status));
        writer.write_all(b"body").unwrap();
        writer.finish();
        let head = raw.head();
        assert_eq!((head.status, head.header("Transfer-Encoding")), (status, coding), "{request}");
        assert_eq!(head.header("Connection"), Some(connection), "{request}");
        assert_eq!(raw.take(body.len()), body.as_bytes(), "{request}");
        if connection == "close" {
            raw.expect_end();
        } else {
            raw.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            responders.recv_timeout(LONG).unwrap().send(Response::text(200, "again"));
            assert_eq!(raw.response().body, b"again", "{request}");
        }
    }
}

#[test]
fn a_writer_waits_for_a_client_that_does_not_read_and_takes_no_more_memory() {
    let (server, responders) = server(config());
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut body = stream(&responders);
    // Until there is no room, although the worker has had time to send: another client is served in between.
    let mut written = 0;
    let mut refused = 0;
    while refused < 20 {
        assert!(written < 64 << 20, "it never has to wait");
        match body.try_write(&[b'x'; 60_000]) {
            Ok(count) => (written, refused) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                refused += 1;
                let mut other = Raw::connect(server.address);
                other.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
                responders.recv_timeout(LONG).unwrap().send(Response::text(200, "served"));
                assert_eq!(other.response().body, b"served");
            }
        }
    }
    let total = written + (8 << 20);
    let writer = thread::spawn(move || {
        for _ in 0..128 {
            body.write_all(&[b'y'; 64 << 10]).unwrap();
        }
        body.finish();
    });
    raw.head();
    let mut read = 0;
    loop {
        match chunk(&mut raw).len() {
            0 => break,
            length => read += length,
        }
    }
    writer.join().unwrap();
    assert_eq!(read, total);
}

#[test]
fn a_body_without_its_end_ends_the_connection() {
    let (server, responders) = server(config());
    let mut raw = Raw::connect(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut body = stream(&responders);
    raw.head();
    body.write_all(b"a part").unwrap();
    assert_eq!(chunk(&mut raw), b"a part");
    drop(body);
    raw.expect_end();
}

#[test]
fn writes_fail_once_the_client_is_gone_or_too_slow_or_the_head_is_wrong() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(300);
    let (server, responders) = server(config);
    let until_broken = |mut body: ResponseBody| loop {
        if let Err(error) = body.write_all(&[0; 64 << 10]) {
            return error.kind();
        }
    };
    // Reset.
    let mut raw = Raw::connect(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let body = stream(&responders);
    raw.head();
    raw.reset();
    assert_eq!(until_broken(body), io::ErrorKind::BrokenPipe);
    // Reads nothing.
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(until_broken(stream(&responders)), io::ErrorKind::BrokenPipe);
    // A field that the server sets itself.
    let mut raw = Raw::connect(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let responder = responders.recv_timeout(LONG).unwrap();
    let body = responder.stream(Response::new(200).header("Content-Length", "5"));
    let response = raw.response();
    assert_eq!((response.status, response.header("Connection")), (500, Some("close")));
    raw.expect_end();
    assert_eq!(until_broken(body), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_stop_of_the_server_ends_a_writer_that_waits() {
    let (server, responders) = server(config());
    let mut raw = Raw::connect_with_small_buffer(server.address);
    raw.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut body = stream(&responders);
    let started = Arc::new(std::sync::Barrier::new(2));
    let writer = thread::spawn({
        let started = Arc::clone(&started);
        move || {
            started.wait();
            loop {
                if let Err(error) = body.write_all(&[0; 64 << 10]) {
                    return error.kind();
                }
            }
        }
    });
    started.wait();
    server.stop();
    server.join();
    assert_eq!(writer.join().unwrap(), io::ErrorKind::BrokenPipe);
}
