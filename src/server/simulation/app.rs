//! The service that the simulated clients use. The first word of each message names the action to take.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{
    super::{App, ConnectionId, Context, End, Handshake, Remote, Request, Responder, Response, Verdict},
    ledger::{Deferred, Ledger},
};
use crate::{
    CloseCode, Message, Rejection,
    reactor::simulated::{MILLISECOND, Time},
};

pub(super) struct Service {
    pub(super) ledger: Rc<RefCell<Ledger>>,
}

/// The app's value of a connection: the number of the client.
pub(super) struct Peer(pub(super) usize);

/// A message that the connection is to be sent.
pub(super) type Told = Vec<u8>;

impl App for Service {
    type Peer = Peer;
    type Told = Told;

    fn accept(&mut self, handshake: &Handshake<'_>, verdict: Verdict<Peer>) {
        let (client, mode, after) = parse_target(handshake.request.target());
        let mut ledger = self.ledger.borrow_mut();
        ledger.handshake_received(client, handshake.id);
        match mode {
            "later" => ledger.defer(after, Deferred::Accept(verdict, client)),
            "drop" => ledger.defer(after, Deferred::Drop(verdict)),
            "reject" => {
                drop(ledger);
                verdict.reject(Rejection::new(403));
            }
            _ => {
                drop(ledger);
                verdict.accept(Peer(client));
            }
        }
    }

    fn request(&mut self, request: &Request<'_>, responder: Responder) {
        let target = request.head.target();
        let (_, mode, after) = parse_target(target);
        let mut body = target.as_bytes().to_vec();
        body.extend_from_slice(request.body);
        let response = Response::new(200).body(body);
        match mode {
            "later" => self.ledger.borrow_mut().defer(after, Deferred::Respond(responder, response)),
            _ => responder.send(response),
        }
    }

    fn opened(&mut self, Peer(client): &mut Peer, context: &mut Context<'_>) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.opened(*client, context.id());
        // Every other client subscribes to the topic "hall" from the start.
        if *client % 2 == 0 {
            ledger.subscribe(*client, "hall");
            subscribe(&ledger, "hall", context);
        }
        let welcome = format!("welcome|{client}|");
        ledger.send(*client, welcome.as_bytes(), false);
        context.send(Message::Text(&welcome));
    }

    fn message(&mut self, Peer(client): &mut Peer, message: Message<'_>, context: &mut Context<'_>) {
        let (client, payload) = (*client, message.payload());
        let id = context.id();
        let mut ledger = self.ledger.borrow_mut();
        ledger.message_received(client, matches!(message, Message::Binary(_)), payload);
        let words: Vec<&[u8]> = payload.splitn(5, |byte| *byte == b'|').collect();
        let argument = std::str::from_utf8(words[3]).expect("an argument is text");
        let number = || argument.parse::<usize>().expect("an argument is a number");
        match words[0] {
            b"echo" => {
                ledger.send(client, payload, false);
                context.send(message);
            }
            b"publish" => {
                ledger.post_to_others(Some(id.worker), payload);
                ledger.publish(id.worker, argument, payload, None);
                context.publish(argument, message);
            }
            b"others" => {
                ledger.post_to_others(Some(id.worker), payload);
                ledger.publish(id.worker, argument, payload, Some(client));
                context.publish_to_others(argument, message);
            }
            b"burst" => {
                for i in 0..8 {
                    let text = [format!("{i}").as_bytes(), payload].concat();
                    ledger.post_to_others(Some(id.worker), &text);
                    ledger.publish(id.worker, argument, &text, None);
                    context.publish(argument, Message::Binary(&text));
                    if i == 4 {
                        ledger.send(client, payload, false);
                        context.send(message);
                    }
                }
            }
            b"to" => {
                let to = number() % ledger.records.len();
                if let Some(other) = ledger.records[to].id {
                    if other.worker == id.worker {
                        ledger.send(to, payload, true);
                    } else {
                        ledger.post(Some(id.worker), other.worker, payload);
                    }
                    context.send_to(other, message);
                }
            }
            b"answer" => {
                ledger.post(Some(id.worker), id.worker, payload);
                context.remote().answer(id, message);
            }
            b"subscribe" => {
                ledger.subscribe(client, argument);
                subscribe(&ledger, argument, context);
            }
            b"unsubscribe" => {
                ledger.unsubscribe(client, argument);
                context.unsubscribe(argument);
            }
            b"follow" => match ledger.setting.chosen_policy(argument) {
                Some(policy) => context.remote().subscribe_with(id, argument, policy),
                None => context.remote().subscribe(id, argument),
            },
            b"unfollow" => context.remote().unsubscribe(id, argument),
            b"spare" => {
                ledger.post_to_others(None, payload);
                context.remote().publish_to_others(id, argument, message);
            }
            b"pause" => {
                context.pause();
                ledger.defer(number() as Time * MILLISECOND, Deferred::Resume(id));
                ledger.count("paused");
            }
            b"misclose" => {
                let refused = context.close(CloseCode::NO_STATUS_RECEIVED, "").is_err();
                ledger.count(if refused { "a wrong code is refused" } else { "a wrong code comes too late" });
            }
            b"close" => {
                let code = CloseCode::new(number() as u16);
                ledger.close(client, code);
                context.close(code, "as you wish").expect("a code that may be sent");
            }
            b"closing" => context.remote().close(id, CloseCode::new(number() as u16), "as you wish"),
            b"tell" => {
                ledger.defer(number() as Time * MILLISECOND, Deferred::Tell(id, payload.to_vec()));
                ledger.count("told later");
            }
            b"timer" => {
                let (name, delay) = (u32::from(payload.len() % 3 == 0), number() as u64);
                ledger.set_timer(client, name, delay * MILLISECOND);
                context.set_timer(name, Duration::from_millis(delay)).expect("two timers at most");
            }
            b"watch" => {
                ledger.watch(client);
                context.notify_when_drained();
            }
            b"terminate" => {
                ledger.terminate(client);
                context.terminate();
                // Nothing follows.
                context.send(message);
                context.set_timer(0, Duration::ZERO).expect("no timer");
            }
            b"noop" => {}
            other => panic!("{} is not an action", String::from_utf8_lossy(other)),
        }
    }

    fn told(&mut self, Peer(client): &mut Peer, told: Told, context: &mut Context<'_>) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.send(*client, &told, false);
        ledger.count("told");
        context.send(Message::Binary(&told));
    }

    fn pong(&mut self, Peer(client): &mut Peer, payload: &[u8], _: &mut Context<'_>) {
        assert_eq!(payload, b"", "the payload of the server's own Pings, and of the clients' Pongs");
        self.ledger.borrow_mut().ponged(*client);
    }

    fn timer(&mut self, Peer(client): &mut Peer, name: u32, context: &mut Context<'_>) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.timer(*client, name);
        let text = format!("timer|{client}|{name}|");
        ledger.send(*client, text.as_bytes(), false);
        context.send(Message::Text(&text));
    }

    fn drained(&mut self, Peer(client): &mut Peer, _: &mut Context<'_>) {
        self.ledger.borrow_mut().drained(*client);
    }

    fn missed(&mut self, Peer(client): &mut Peer, count: u64, _: &mut Context<'_>) {
        self.ledger.borrow_mut().missed(*client, count);
    }

    fn closed(&mut self, Peer(client): Peer, id: ConnectionId, end: &End, _: &Remote) {
        self.ledger.borrow_mut().closed(client, id, end);
    }
}

/// Subscribes a connection to a topic with the policy of the run.
fn subscribe(ledger: &Ledger, topic: &str, context: &mut Context<'_>) {
    match ledger.setting.chosen_policy(topic) {
        Some(policy) => context.subscribe_with(topic, policy),
        None => context.subscribe(topic),
    }
}

/// Parses a request's target: `/client/mode/milliseconds`.
fn parse_target(target: &str) -> (usize, &str, Time) {
    let mut words = target.split('/').skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (client, mode, after) = (word(), word(), word());
    (client.parse().expect("a client"), mode, after.parse().unwrap_or(0) * MILLISECOND)
}
