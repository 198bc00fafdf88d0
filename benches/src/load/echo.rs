//! Each connection keeps a fixed number of messages in flight: it sends one message for each answer that arrives.

use std::{io, time::Instant};

use super::{Clients, Target, Traffic, Work, poller::Ready};

/// An echo server's load.
#[derive(Debug)]
pub struct Echo {
    clients: Clients,
    traffic: Traffic,
    answers: u64,
    ready: Vec<Ready>,
}

impl Echo {
    /// Connects and sends the first messages.
    ///
    /// # Errors
    /// A connection cannot be opened.
    pub fn start(
        target: impl Into<Target>,
        connections: usize,
        payload_bytes: usize,
        in_flight: u64,
    ) -> io::Result<Self> {
        let target = target.into();
        let traffic = target.traffic(payload_bytes);
        let mut clients = Clients::connect(&target, connections)?;
        for client in &mut clients.all {
            client.send(&traffic, in_flight)?;
        }
        Ok(Self { clients, traffic, answers: 0, ready: Vec::new() })
    }
}

impl Work for Echo {
    fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        let Self { clients, traffic, answers, ready } = self;
        while Instant::now() < deadline {
            clients.wait(deadline, ready)?;
            for &(at, readable, writable) in &*ready {
                let client = &mut clients.all[at];
                if readable {
                    let arrived = client.receive(traffic, &mut clients.buffer)?;
                    if arrived.end > client.queued_messages(traffic) {
                        return Err(io::Error::other("the server sent more answers than there were messages"));
                    }
                    let count = arrived.end - arrived.start;
                    *answers += count;
                    client.send(traffic, count)?;
                } else if writable {
                    client.flush(traffic)?;
                }
            }
        }
        Ok(())
    }

    fn done(&self) -> u64 {
        self.answers
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
        time::Duration,
    };

    use super::*;

    /// What the load generator reports if a server sends `answer` to the first message, which has five bytes.
    fn report_of(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
            write!(stream, "HTTP/1.1 101 Switching Protocols\r\n{accept}\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 11]).unwrap();
            stream.write_all(answer).unwrap();
            stream
        });
        let mut echo = Echo::start(address, 1, 5, 1).unwrap();
        let _open = server.join().unwrap();
        let ran = echo.run_until(Instant::now() + Duration::from_millis(100));
        ran.map_or_else(|error| error.to_string(), |()| format!("{} answers", echo.done()))
    }

    #[test]
    fn a_wrong_answer_is_an_error() {
        // The payload of five bytes as `Traffic` makes it.
        for (answer, expected) in [
            (b"\x82\x05\x0d\xb4\x5b\x02\xa9".as_slice(), "1 answers"),
            (b"\x82\x05\x0d\xb4", "0 answers"),
            (b"\x82\x05\x0d\xb4\x5b\x02\xa8", "the server sent a wrong answer"),
            (b"\x81\x05\x0d\xb4\x5b\x02\xa9", "the server sent a wrong answer"),
            (
                b"\x82\x05\x0d\xb4\x5b\x02\xa9\x82\x05\x0d\xb4\x5b\x02\xa9",
                "the server sent more answers than there were messages",
            ),
        ] {
            assert_eq!(report_of(answer), expected, "{answer:x?}");
        }
    }
}
