//! The acts of a test on a connection, and its expectations.

use std::{cell::RefCell, fmt, rc::Rc};

use super::{Received, end::End, network::Rest};
use crate::{CloseCode, CloseFrame, Escaped, Message, ResponseHead, SendError};

/// A WebSocket client of a [`TestServer`](super::TestServer).
///
/// It answers Pings and Close frames by itself, and offers no compression. The methods named `expect_…` take the next
/// thing that arrived and panic if it is another one; the message says what was expected and what came. If the client
/// is dropped, its end of TCP is closed.
pub struct TestClient {
    network: Rc<dyn Rest>,
    end: Rc<RefCell<End>>,
}

/// A connection of bytes to a [`TestServer`](super::TestServer): for plain HTTP, and for what no client should send.
///
/// ```rust
/// use switchboard::{Config, OriginPolicy, apps::Echo, testing::TestServer};
///
/// let server = TestServer::new(Config::default(), |_remote| Echo::new(OriginPolicy::Any));
/// let mut stream = server.stream();
/// stream.write(b"GET /nothing HTTP/1.1\r\nHost: test.example\r\n\r\n");
/// assert!(stream.read().starts_with(b"HTTP/1.1 404 Not Found\r\n"));
/// assert!(!stream.has_ended()); // it may send another request
/// ```
pub struct TestStream {
    network: Rc<dyn Rest>,
    end: Rc<RefCell<End>>,
}

impl TestClient {
    pub(super) fn new(network: Rc<dyn Rest>, end: Rc<RefCell<End>>) -> Self {
        Self { network, end }
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// If the connection is not open.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        self.send(Message::Text(text));
    }

    /// Sends a binary message.
    ///
    /// # Panics
    /// If the connection is not open.
    #[track_caller]
    pub fn binary(&mut self, payload: &[u8]) {
        self.send(Message::Binary(payload));
    }

    /// Sends a message.
    ///
    /// # Panics
    /// If the connection is not open.
    #[track_caller]
    pub fn send(&mut self, message: Message<'_>) {
        self.with_driver(|driver| driver.outgoing().message(message));
    }

    /// Sends a Ping.
    ///
    /// # Panics
    /// If the connection is not open, or the payload has more than 125 bytes.
    #[track_caller]
    pub fn ping(&mut self, payload: &[u8]) {
        self.with_driver(|driver| driver.outgoing().ping(payload));
    }

    /// Begins the closing handshake.
    ///
    /// # Panics
    /// If the connection is not open, or a client must not send this code or a reason this long.
    #[track_caller]
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        self.with_driver(|driver| driver.outgoing().close(Some(CloseFrame { code, reason })));
    }

    /// Writes bytes as they are, such as a frame that breaks the protocol.
    pub fn write(&mut self, bytes: &[u8]) {
        self.end.borrow_mut().write(bytes);
        self.network.rest();
    }

    /// Takes the next thing that arrived, if there is one.
    #[must_use]
    pub fn receive(&mut self) -> Option<Received> {
        self.network.rest();
        self.end.borrow_mut().received.pop_front()
    }

    /// Expects that the server accepted the connection, and returns the head of its response.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_open(&mut self) -> ResponseHead {
        match self.receive() {
            Some(Received::Open(head)) => *head,
            other => failed("an open connection", other),
        }
    }

    /// Expects that the server refused the connection with this status, and returns the response.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_refused(&mut self, status: u16) -> (ResponseHead, Vec<u8>) {
        match self.receive() {
            Some(Received::Refused(head, body)) if head.status() == status => (*head, body),
            other => failed(format_args!("a refusal with {status}"), other),
        }
    }

    /// Expects this text message.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_text(&mut self, expected: &str) {
        match self.receive() {
            Some(Received::Text(text)) if text == expected => {}
            other => failed(format_args!("the text {}", Escaped::new(expected)), other),
        }
    }

    /// Expects a text message of any content, and returns it.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_any_text(&mut self) -> String {
        match self.receive() {
            Some(Received::Text(text)) => text,
            other => failed("a text", other),
        }
    }

    /// Expects this binary message.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_binary(&mut self, expected: &[u8]) {
        match self.receive() {
            Some(Received::Binary(bytes)) if bytes == expected => {}
            other => failed(format_args!("the binary message {}", Escaped::new(expected)), other),
        }
    }

    /// Expects this Pong.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_pong(&mut self, expected: &[u8]) {
        match self.receive() {
            Some(Received::Pong(payload)) if payload == expected => {}
            other => failed(format_args!("the Pong {}", Escaped::new(expected)), other),
        }
    }

    /// Expects a Close with this code, and returns its reason.
    ///
    /// # Panics
    /// If something else came.
    #[track_caller]
    pub fn expect_close(&mut self, code: CloseCode) -> String {
        match self.receive() {
            Some(Received::Close(Some(frame))) if frame.code == code => frame.reason,
            other => failed(format_args!("a Close with {code}"), other),
        }
    }

    /// Expects that nothing has arrived.
    ///
    /// # Panics
    /// If something came.
    #[track_caller]
    pub fn expect_nothing(&mut self) {
        if let Some(other) = self.receive() {
            failed("nothing", Some(other))
        }
    }

    /// Stops reading: what the server sends fills the buffers of the network, of 64 KiB on each side.
    pub fn stop_reading(&mut self) {
        self.end.borrow_mut().reads = false;
    }

    /// Reads again after [`stop_reading`](Self::stop_reading).
    pub fn read_on(&mut self) {
        self.end.borrow_mut().reads = true;
        self.end.borrow_mut().pump();
        self.network.rest();
    }

    /// Ends the client's side of TCP without a Close frame.
    pub fn end(&mut self) {
        self.end.borrow_mut().finish();
        self.network.rest();
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        self.end.borrow_mut().reset();
        self.network.rest();
    }

    /// Cuts the network: nothing more arrives on either side, and neither side is told.
    pub fn vanish(&mut self) {
        self.end.borrow_mut().vanish();
    }

    #[track_caller]
    fn with_driver(&mut self, send: impl FnOnce(&mut super::end::ClientDriver) -> Result<(), SendError>) {
        self.network.rest();
        let mut end = self.end.borrow_mut();
        let Some(driver) = end.driver() else {
            let rest: Vec<_> = end.received.iter().map(ToString::to_string).collect();
            panic!("the connection is not open, so nothing can be sent; not yet looked at: [{}]", rest.join(", "))
        };
        let sent = send(driver);
        end.pump();
        drop(end);
        if let Err(error) = sent {
            panic!("this cannot be sent: {error}");
        }
        self.network.rest();
    }
}

impl TestStream {
    pub(super) fn new(network: Rc<dyn Rest>, end: Rc<RefCell<End>>) -> Self {
        Self { network, end }
    }

    /// Writes these bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.end.borrow_mut().write(bytes);
        self.network.rest();
    }

    /// Takes all bytes that have arrived.
    #[must_use]
    pub fn read(&mut self) -> Vec<u8> {
        self.network.rest();
        self.end.borrow_mut().take_bytes()
    }

    /// Returns whether the server has ended its side of TCP, or reset it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.network.rest();
        self.end.borrow().has_ended
    }

    /// Ends the client's side of TCP.
    pub fn end(&mut self) {
        self.end.borrow_mut().finish();
        self.network.rest();
    }

    /// Resets the connection.
    pub fn reset(&mut self) {
        self.end.borrow_mut().reset();
        self.network.rest();
    }

    /// Cuts the network: nothing more arrives on either side, and neither side is told.
    pub fn vanish(&mut self) {
        self.end.borrow_mut().vanish();
    }
}

impl Drop for TestClient {
    fn drop(&mut self) {
        self.end.borrow_mut().close();
    }
}

impl Drop for TestStream {
    fn drop(&mut self) {
        self.end.borrow_mut().close();
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.end.borrow();
        f.debug_struct("TestClient").field("has_ended", &end.has_ended).field("received", &end.received).finish()
    }
}

impl fmt::Debug for TestStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestStream").field("has_ended", &self.end.borrow().has_ended).finish()
    }
}

#[track_caller]
fn failed(expected: impl fmt::Display, came: Option<Received>) -> ! {
    match came {
        Some(came) => panic!("expected {expected}, and got {came}"),
        None => panic!("expected {expected}, and nothing came"),
    }
}
