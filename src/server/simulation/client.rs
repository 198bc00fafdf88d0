//! A client that follows a plan. It uses the same engine as the server, in the client role.

use std::{
    collections::{BTreeSet, VecDeque},
    io::ErrorKind,
    rc::Rc,
};

use super::{
    super::End,
    ledger::{Ledger, Record, Sent, excerpt},
    setting::{Behavior, Pause, Profile, ReadRate, Setting, TOPICS},
    transport::Transport,
};
use crate::{
    ClientHandshake, ClientHandshakeError, ClientRequest, CloseCode, CloseFrame, Connection, Delivery, Event,
    HeadLimits, KeySource, Limits, Masked, MaskingKey, MessageKind, Reply,
    reactor::simulated::{MILLISECOND, NEVER, Network, Random, SECOND, Side, Time, Wire},
};

pub(super) struct Client {
    number: usize,
    transport: Transport,
    setting: Rc<Setting>,
    random: Random,
    behavior: Behavior,
    read_rate: ReadRate,
    up: Wire,
    phase: Phase,
    out: Vec<u8>,
    written: usize,
    /// The number of bytes ever added to `out`.
    queued: usize,
    plan: VecDeque<Act>,
    /// The client ends its side of TCP once everything is written.
    ends_when_written: bool,
    has_ended: bool,
    reads: bool,
    /// The number of Pings sent.
    pings: u32,
    /// The Pings that are unanswered.
    unanswered: BTreeSet<u32>,
    /// The calls to schedule, each with its delay.
    pub(super) calls: Vec<(Time, Call)>,
    /// The client's next read has its own scheduled time.
    reads_later: bool,
    pub(super) is_over: bool,
    connected: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Reads and writes.
    Pump,
    /// Does the next act of its plan.
    Act,
    /// Its worker does not serve its peers for a while.
    Pause(Pause),
}

enum Phase {
    Connecting {
        handshake: Box<ClientHandshake>,
        mode: &'static str,
    },
    Http {
        responses: VecDeque<(Vec<u8>, bool)>,
        input: Vec<u8>,
    },
    Open(Box<Connection<Masked<Keys>>>),
    /// Refused by the server: drops all input.
    Refused,
}

#[derive(Debug)]
struct Keys(Random);

impl KeySource for Keys {
    fn next_key(&mut self) -> MaskingKey {
        MaskingKey((self.0.next() as u32).to_le_bytes())
    }
}

#[derive(Debug)]
enum Act {
    Send,
    Fragment {
        kind: MessageKind,
        rest: Vec<u8>,
    },
    Ping,
    /// Sends an urgent byte of TCP, which no reader gets.
    Urgent,
    Stall,
    Finish,
}

impl Client {
    pub(super) fn new(network: &Network, setting: &Rc<Setting>, random: &mut Random, ledger: &mut Ledger) -> Self {
        let mut random = Random::new(random.next());
        let number = ledger.records.len();
        let (up, down) = (setting.wire(&mut random), setting.wire(&mut random));
        let worker = random.below(setting.workers);
        let peer = network.connect(worker, up, down);
        assert_eq!(peer.pair, number, "a client has one connection");
        #[cfg(feature = "tls")]
        let transport = if setting.is_tls { Transport::secure(peer) } else { Transport::plain(peer) };
        #[cfg(not(feature = "tls"))]
        let transport = Transport::plain(peer);
        let (behavior, read_rate) = (setting.behavior(&mut random), setting.read_rate(down, &mut random));
        ledger.records.push(Record::new(number, worker, behavior, read_rate));
        ledger.count(&format!("{behavior:?}"));
        network.note(format_args!("{number} connects to {worker}: {behavior:?}, {read_rate:?}, {up:?}, {down:?}"));
        let mut client = Self {
            number,
            transport,
            setting: Rc::clone(setting),
            behavior,
            read_rate,
            up,
            phase: Phase::Refused,
            out: Vec::new(),
            written: 0,
            queued: 0,
            plan: VecDeque::new(),
            ends_when_written: false,
            has_ended: false,
            reads: true,
            pings: 0,
            unanswered: BTreeSet::new(),
            calls: Vec::new(),
            reads_later: false,
            is_over: false,
            connected: network.now(),
            random,
        };
        client.send_opening_request();
        client
    }

    fn send_opening_request(&mut self) {
        let after = self.random.below(800);
        let mode = match self.random.below(20) {
            0 => "reject",
            1 => "drop",
            2..8 => "later",
            _ => "now",
        };
        let target = format!("/{}/{mode}/{after}", self.number);
        match self.behavior {
            Behavior::Silent => {}
            Behavior::PlainHttp => self.send_plain_requests(),
            _ => {
                let mut nonce = [0; 16];
                nonce.copy_from_slice(&self.random.bytes(16));
                let request = ClientRequest::new("simulated", &target);
                let limits = HeadLimits::default();
                #[cfg(feature = "deflate")]
                let handshake = match self.setting.client_deflate(&mut self.random) {
                    Some(deflate) => ClientHandshake::with_deflate(&request, &deflate, nonce, limits, &mut self.out),
                    None => ClientHandshake::new(&request, nonce, limits, &mut self.out),
                };
                #[cfg(not(feature = "deflate"))]
                let handshake = ClientHandshake::new(&request, nonce, limits, &mut self.out);
                let handshake = handshake.expect("the request can be written");
                if self.behavior == Behavior::StopsInRequest {
                    let max = self.out.len() - 1;
                    self.out.truncate(1 + self.random.below(max));
                } else {
                    self.phase = Phase::Connecting { handshake: Box::new(handshake), mode };
                }
            }
        }
        self.queued = self.out.len();
        self.calls.push((0, Call::Pump));
    }

    fn send_plain_requests(&mut self) {
        let mut responses = VecDeque::new();
        let count = 1 + self.random.below(4);
        for i in 0..count {
            let mode = ["now", "now", "later"][self.random.below(3)];
            let target = format!("/{}/{mode}/{}/{i}", self.number, self.random.below(800));
            let length = self.random.below(300);
            let body = self.random.bytes(length);
            let method = ["GET", "HEAD", "POST"][self.random.below(3)];
            let closes = if i + 1 == count && self.random.chance(1, 2) { "Connection: close\r\n" } else { "" };
            let mut answer = target.clone().into_bytes();
            let head = format!("{method} {target} HTTP/1.1\r\nHost: simulated\r\n{closes}");
            self.out.extend_from_slice(head.as_bytes());
            if method == "POST" {
                let expects = if self.random.chance(1, 2) { "Expect: 100-continue\r\n" } else { "" };
                if self.random.chance(1, 2) {
                    self.out.extend_from_slice(format!("Content-Length: {length}\r\n{expects}\r\n").as_bytes());
                    self.out.extend_from_slice(&body);
                } else {
                    self.out.extend_from_slice(format!("Transfer-Encoding: chunked\r\n{expects}\r\n").as_bytes());
                    for chunk in body.chunks(1 + self.random.below(100)) {
                        self.out.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                        self.out.extend_from_slice(chunk);
                        self.out.extend_from_slice(b"\r\n");
                    }
                    self.out.extend_from_slice(b"0\r\nX: y\r\n\r\n");
                }
                answer.extend_from_slice(&body);
            } else {
                self.out.extend_from_slice(b"\r\n");
            }
            responses.push_back((answer, method == "HEAD"));
        }
        self.ends_when_written = self.random.chance(1, 3);
        self.phase = Phase::Http { responses, input: Vec::new() };
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    fn make_plan(&mut self) {
        for _ in 0..self.setting.messages(&mut self.random) {
            if self.random.chance(1, 10) {
                self.plan.push_back(Act::Urgent);
            }
            self.plan.push_back(if self.random.chance(1, 8) { Act::Ping } else { Act::Send });
        }
        if self.setting.profile == Profile::Lossy {
            let at = self.random.below(self.plan.len() + 1);
            self.plan.insert(at, Act::Stall);
        }
        self.plan.push_back(Act::Finish);
        self.reads = self.behavior != Behavior::StopsReading;
    }

    /// Does the next act of its plan.
    pub(super) fn act(&mut self, now: Time, ledger: &mut Ledger) {
        let Phase::Open(connection) = &mut self.phase else { return };
        if self.is_over {
            return;
        }
        if !connection.sender.is_open() {
            self.reads = true; // whatever its behavior
            self.pump(ledger);
            return;
        }
        let Some(act) = self.plan.pop_front() else { return };
        let before = self.out.len();
        match act {
            Act::Send => self.send_random(ledger),
            Act::Fragment { kind, rest } => self.send_fragment(kind, rest),
            Act::Ping => {
                self.pings += 1;
                self.unanswered.insert(self.pings);
                connection.sender.ping(&self.pings.to_be_bytes(), &mut self.out).expect("a short Ping");
            }
            Act::Urgent => {
                ledger.count("urgent byte");
                self.transport.peer.write_urgent();
            }
            Act::Stall => {
                let until = now + self.random.below(400) as Time * MILLISECOND;
                let from = [Side::Client, Side::Server][self.random.below(2)];
                ledger.network.note(format_args!("{} stalls from {from:?} until {until}", self.number));
                self.transport.peer.stall(from, until);
                ledger.count("stalled");
            }
            Act::Finish => self.finish(now, ledger),
        }
        self.queued += self.out.len() - before;
        if let Some((_, bytes)) = &mut ledger.records[self.number].closed_with
            && *bytes == 0
        {
            *bytes = self.queued;
        }
        let pause = match self.random.below(30) {
            0 => 3 * SECOND + self.random.below(SECOND as usize) as Time,
            1..=2 => self.random.below(SECOND as usize) as Time,
            3..=14 => 0,
            _ => self.random.below(50 * MILLISECOND as usize) as Time,
        };
        let in_message = self.plan.iter().take(2).any(|act| matches!(act, Act::Fragment { .. }));
        self.calls.push((if in_message { pause.min(SECOND / 2) } else { pause }, Call::Act));
        if in_message {
            self.pause_worker(ledger);
        }
        self.pump(ledger);
    }

    fn send_random(&mut self, ledger: &mut Ledger) {
        let random = &mut self.random;
        let topic = TOPICS[random.below(3)].to_owned();
        let (action, argument) = match random.below(31) {
            0..=5 => ("echo", String::new()),
            6..=8 => ("publish", topic),
            9 => ("others", topic),
            10 => ("burst", topic),
            11..=12 => ("to", random.below(100).to_string()),
            13..=14 => ("answer", String::new()),
            15..=17 => ("subscribe", topic),
            18 => ("unsubscribe", topic),
            19 => ("follow", topic),
            20..=21 => ("pause", random.below(800).to_string()),
            22 => ("unfollow", topic),
            23 => ("spare", topic),
            24 => ("misclose", String::new()),
            25 => ("tell", random.below(800).to_string()),
            26..=27 => ("timer", random.below(800).to_string()),
            28 => ("watch", String::new()),
            29 if random.chance(1, 8) => ("terminate", String::new()),
            _ => ("noop", String::new()),
        };
        self.send_request(action, &argument, ledger);
    }

    /// Sends a message with an action for the app, in one frame or more.
    fn send_request(&mut self, action: &str, argument: &str, ledger: &mut Ledger) {
        let sent = &mut ledger.records[self.number].sent;
        let mut text = format!("{action}|{}|{}|{argument}|", self.number, sent.len());
        let length = self.setting.length(self.up, &mut self.random);
        let kind = [MessageKind::Text, MessageKind::Binary][self.random.below(2)];
        let payload = match kind {
            MessageKind::Text => {
                text.push_str(&self.random.text(length / 3));
                text.into_bytes()
            }
            MessageKind::Binary => [text.into_bytes(), self.random.bytes(length)].concat(),
        };
        sent.push(Sent { binary: kind == MessageKind::Binary, payload: payload.as_slice().into() });
        ledger.network.note(format_args!("{} sends {}, {} bytes", self.number, excerpt(&payload), payload.len()));
        if self.random.chance(1, 4) {
            self.send_fragment(kind, payload);
            return;
        }
        let Phase::Open(connection) = &mut self.phase else { return };
        let sent = match kind {
            MessageKind::Text => connection.sender.text(utf8(&payload), &mut self.out),
            MessageKind::Binary => connection.sender.binary(&payload, &mut self.out),
        };
        sent.expect("no message is unfinished");
    }

    /// Sends a fragment of a message, and plans the rest.
    fn send_fragment(&mut self, kind: MessageKind, mut rest: Vec<u8>) {
        let Phase::Open(connection) = &mut self.phase else { return };
        let mut at = if self.random.chance(1, 3) { rest.len() } else { self.random.below(rest.len() + 1) };
        while kind == MessageKind::Text && rest.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
            at += 1;
        }
        let more = rest.split_off(at);
        let fin = more.is_empty();
        let sent = match kind {
            MessageKind::Text => connection.sender.text_fragment(utf8(&rest), fin, &mut self.out),
            MessageKind::Binary => connection.sender.binary_fragment(&rest, fin, &mut self.out),
        };
        sent.expect("the fragment continues the message");
        if !fin {
            self.plan.push_front(Act::Fragment { kind, rest: more });
            if self.random.chance(1, 5) {
                self.plan.push_front(Act::Ping);
            }
        }
    }

    fn finish(&mut self, now: Time, ledger: &mut Ledger) {
        ledger.network.note(format_args!("{} finishes: {:?}", self.number, self.behavior));
        let code = [1000, 1001, 3000, 4999][self.random.below(4)];
        let Phase::Open(connection) = &mut self.phase else { return };
        match self.behavior {
            Behavior::Closes | Behavior::ClosesAndEnds => {
                let code = self.random.chance(3, 4).then_some(CloseCode::new(code));
                let frame = code.map(|code| CloseFrame { code, reason: "" });
                connection.sender.close(frame, &mut self.out).expect("a code that may be sent");
                ledger.records[self.number].closed_with = Some((code, 0));
                self.ends_when_written = self.behavior == Behavior::ClosesAndEnds;
            }
            Behavior::RequestsClose | Behavior::IgnoresClose => {
                let action = ["close", "closing"][self.random.below(2)];
                self.send_request(action, &code.to_string(), ledger);
            }
            Behavior::Ends => {
                if self.random.chance(1, 3) {
                    connection.sender.text_fragment("begun", false, &mut self.out).expect("no message is unfinished");
                }
                self.ends_when_written = true;
            }
            Behavior::Resets => {
                self.transport.peer.reset();
                self.is_over = true;
            }
            Behavior::Vanishes => {
                self.transport.peer.stall(Side::Client, NEVER);
                self.transport.peer.stall(Side::Server, NEVER);
                ledger.records[self.number].unresponsive_since = Some(now);
                self.is_over = true;
            }
            Behavior::StopsReading => {
                ledger.records[self.number].unresponsive_since = Some(now);
                self.is_over = true;
            }
            Behavior::StopsInMessage => {
                connection.sender.binary_fragment(b"begun", false, &mut self.out).expect("no message is unfinished");
            }
            Behavior::BreaksProtocol => {
                const VIOLATIONS: [(u16, &[u8]); 6] = [
                    (1002, b"\x81\x01x"),
                    (1002, b"\x83\x80\0\0\0\0"),
                    (1007, b"\x81\x82\0\0\0\0x\xFF"),
                    (1009, b"\x82\xFF\0\0\0\0\0\x02\0\0\0\0\0\0"),
                    (1002, b"\x88\x81\0\0\0\0x"),
                    (1002, b"\xA1\x80\0\0\0\0"),
                ];
                let (code, bytes) = VIOLATIONS[self.random.below(VIOLATIONS.len())];
                ledger.records[self.number].violation = Some(CloseCode::new(code));
                self.out.extend_from_slice(bytes);
                let junk = self.random.below(2000);
                self.out.extend(self.random.bytes(junk));
            }
            Behavior::PlainHttp | Behavior::StopsInRequest | Behavior::Silent => unreachable!("it does not open"),
        }
    }

    /// Writes as much as possible, and reads as much as its read rate allows.
    pub(super) fn pump(&mut self, ledger: &mut Ledger) {
        self.reads_later = false;
        while !self.is_over {
            let mut did_something = self.write();
            let wanted = match self.read_rate {
                _ if !self.reads => 0,
                ReadRate::Eager => 65_536,
                ReadRate::Slow { bytes, .. } => bytes,
            };
            if wanted > 0 {
                let mut buffer = vec![0; wanted];
                match self.transport.read(&mut buffer) {
                    Ok(0) => {
                        ledger.records[self.number].saw_end = true;
                        self.disconnect(ledger);
                    }
                    Ok(count) => {
                        self.receive(&mut buffer[..count], ledger);
                        did_something = true;
                        if let ReadRate::Slow { every, .. } = self.read_rate {
                            self.write();
                            self.reads_later = true;
                            self.calls.push((every, Call::Pump));
                            return;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => self.disconnect(ledger),
                }
            }
            if !did_something {
                break;
            }
        }
    }

    /// Returns whether the client waits for its own time to read, and ignores arrivals.
    pub(super) fn is_busy(&self) -> bool {
        self.reads_later
    }

    fn write(&mut self) -> bool {
        let mut wrote = false;
        while self.written < self.out.len() {
            match self.transport.write(&self.out[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    wrote = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return wrote,
                Err(_) => {
                    self.written = self.out.len(); // reading reports the error
                    return wrote;
                }
            }
        }
        self.out.clear();
        self.written = 0;
        let (is_flushed, has_flushed) = self.transport.flush();
        if self.ends_when_written && is_flushed && !self.has_ended {
            self.has_ended = true;
            let in_order = self.setting.is_tls && self.random.chance(1, 2);
            self.transport.shutdown_write(in_order);
        }
        wrote || has_flushed
    }

    fn disconnect(&mut self, ledger: &mut Ledger) {
        ledger.records[self.number].closed_at = ledger.network.now();
        ledger.network.note(format_args!("{} disconnects", self.number));
        self.transport.peer.close();
        self.is_over = true;
    }

    fn receive(&mut self, bytes: &mut [u8], ledger: &mut Ledger) {
        let mut bytes = bytes;
        if let Phase::Connecting { handshake, mode } = &mut self.phase {
            match handshake.receive(bytes) {
                Ok(None) => return,
                Ok(Some((established, used))) => {
                    assert!(matches!(*mode, "now" | "later"), "{} is accepted", self.number);
                    let keys = Keys(Random::new(self.random.next()));
                    #[cfg(feature = "deflate")]
                    if let Some(params) = established.deflate() {
                        ledger.count(&format!("{params}"));
                    }
                    let connection = established.into_connection(keys, Limits::default(), Delivery::Messages);
                    self.phase = Phase::Open(Box::new(connection));
                    self.make_plan();
                    self.calls.push((0, Call::Act));
                    bytes = &mut bytes[used..];
                }
                Err(ClientHandshakeError::Status { response, .. }) => {
                    let status = response.status();
                    let is_right = match (status, *mode) {
                        (403, "reject") | (500, "drop") => true,
                        (503, _) => matches!(self.setting.profile, Profile::Crowd | Profile::Memory),
                        _ => false,
                    };
                    assert!(is_right, "client {} is refused with {status}", self.number);
                    ledger.count(&format!("refused with {status}"));
                    self.phase = Phase::Refused;
                    return;
                }
                Err(error) => panic!("client {}: {error}", self.number),
            }
        }
        match &mut self.phase {
            Phase::Connecting { .. } | Phase::Refused => {}
            Phase::Http { .. } => self.receive_responses(bytes, ledger),
            Phase::Open(_) => self.receive_frames(bytes, ledger),
        }
    }

    fn receive_frames(&mut self, bytes: &mut [u8], ledger: &mut Ledger) {
        let Phase::Open(connection) = &mut self.phase else { return };
        let before = self.out.len();
        let mut was_pinged = false;
        let mut events = connection.receiver.receive(bytes);
        while let Some(event) = events.next_event().unwrap_or_else(|error| panic!("client {}: {error}", self.number)) {
            match event {
                Event::Text(text) => ledger.got(self.number, text.as_bytes()),
                Event::Binary(bytes) => ledger.got(self.number, bytes),
                Event::Ping(_) => {
                    ledger.count("pinged by the server");
                    was_pinged = true;
                }
                Event::Pong(payload) => {
                    let pong = u32::from_be_bytes(payload.try_into().expect("the payload of a Ping of ours"));
                    assert!(self.unanswered.remove(&pong), "client {}: Pong {pong} is unexpected", self.number);
                }
                Event::Close(frame) => {
                    let code = frame.map(|frame| frame.code);
                    ledger.network.note(format_args!("{} gets Close {code:?}", self.number));
                    ledger.records[self.number].got_close = Some(code);
                }
                Event::Piece(_) => unreachable!("whole messages were asked for"),
            }
            let Some(reply) = event.reply() else { continue };
            let is_close = matches!(reply, Reply::Close(_));
            if is_close && (self.behavior == Behavior::IgnoresClose || !connection.sender.is_open()) {
                continue;
            }
            connection.sender.reply(reply, &mut self.out).expect("a reply can be sent");
            if let Reply::Close(code) = reply {
                let all = self.queued + self.out.len() - before;
                ledger.records[self.number].closed_with = Some((code, all));
            }
        }
        self.queued += self.out.len() - before;
        if was_pinged {
            self.pause_worker(ledger);
        }
    }

    /// In some runs, the worker does not serve its peers for a while after it has begun to wait for this one.
    fn pause_worker(&mut self, ledger: &Ledger) {
        if self.setting.has_pauses && self.random.chance(1, 8) {
            let pause = Pause::random(0, Some(ledger.records[self.number].worker), &mut self.random);
            let after = self.random.below(20 * MILLISECOND as usize) as Time;
            self.calls.push((after, Call::Pause(pause)));
        }
    }

    fn receive_responses(&mut self, bytes: &[u8], ledger: &mut Ledger) {
        let Phase::Http { responses, input } = &mut self.phase else { return };
        input.extend_from_slice(bytes);
        while let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(input[..end].to_vec()).expect("a head is text");
            if head.starts_with("HTTP/1.1 100") {
                input.drain(..end + 4);
                continue;
            }
            assert!(head.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"), "client {}: {head}", self.number);
            if !head.starts_with("HTTP/1.1 200") {
                let fits = head.starts_with("HTTP/1.1 503")
                    && matches!(self.setting.profile, Profile::Crowd | Profile::Memory);
                assert!(fits, "client {}: {head}", self.number);
                self.phase = Phase::Refused;
                return;
            }
            let (answer, head_only) = responses.front().expect("as many responses as requests");
            let wanted = format!("\r\nContent-Length: {}\r\n", answer.len());
            assert!(head.contains(&wanted), "client {}: {head}", self.number);
            let length = if *head_only { 0 } else { answer.len() };
            if input.len() < end + 4 + length {
                return;
            }
            let body = &input[end + 4..end + 4 + length];
            assert!(*head_only || *body == **answer, "client {}: the response to another request", self.number);
            input.drain(..end + 4 + length);
            responses.pop_front();
            ledger.count("plain request answered");
        }
    }

    /// Checks the client's own state at the end of the run.
    pub(super) fn check(&self, ledger: &Ledger) {
        let record = &ledger.records[self.number];
        let calm = matches!(self.setting.profile, Profile::Calm | Profile::Lossy | Profile::Cuts);
        if let Phase::Http { responses, .. } = &self.phase
            && calm
        {
            assert!(responses.is_empty(), "client {}: {} requests unanswered", self.number, responses.len());
        }
        if let Phase::Connecting { mode, .. } = &self.phase
            && calm
        {
            panic!("client {} got no response to its handshake ({mode})", self.number);
        }
        let incomplete = matches!(self.behavior, Behavior::Silent | Behavior::StopsInRequest);
        if incomplete && record.saw_end && ledger.stopping.iter().all(Option::is_none) {
            let timeout = self.setting.config.handshake_timeout.as_micros() as Time;
            let waited = ledger.clocks[record.worker].between(self.connected, record.closed_at);
            assert!(waited + 20 * MILLISECOND >= timeout, "client {}: it is disconnected too early", self.number);
        }
        // A client without a request is disconnected soon after a stop begins.
        if let (Behavior::Silent, Some(stopped)) = (self.behavior, ledger.stopping.iter().flatten().max()) {
            assert!(
                ledger.clocks[record.worker].is_within(SECOND, self.connected.max(*stopped), record.closed_at),
                "client {}: it is disconnected too late after a stop",
                self.number
            );
        }
        if ledger.is_undisturbed(self.number) && matches!(record.end, Some((End::Closed { by_us: false, .. }, _))) {
            assert!(!self.unanswered.contains(&self.pings), "client {}: the last Ping is unanswered", self.number);
        }
    }
}

fn utf8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the text is valid UTF-8")
}
