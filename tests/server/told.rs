//! What other threads tell an app: `Remote::tell` and `Remote::tell_all`.

use std::sync::mpsc;

use switchboard::{
    App, CloseCode, ConnectionId, Context, Handshake, Message, Remote, Running, Server, Verdict,
    client::{Client, Message as Received},
};
use switchboard_tests::server::{LONG, builder, config, expect_text};

/// An app whose connections count what they are told, and send it on with the number before it.
struct Teller {
    opened: mpsc::Sender<ConnectionId>,
    dropped: mpsc::Sender<u32>,
}

/// A text, and who learns that it is gone.
#[derive(Clone)]
struct Told(String, mpsc::Sender<u32>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.1.send(1);
    }
}

impl App for Teller {
    type Peer = u32;
    type Told = Told;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<u32>) {
        verdict.accept(0);
    }

    fn opened(&mut self, _: &mut u32, context: &mut Context<'_>) {
        self.opened.send(context.id()).unwrap();
    }

    fn message(&mut self, _: &mut u32, message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text("close") => context.close(CloseCode::NORMAL_CLOSURE, "as asked").unwrap(),
            message => context.send(message),
        }
    }

    fn told(&mut self, count: &mut u32, told: Told, context: &mut Context<'_>) {
        *count += 1;
        context.send(Message::Text(&format!("{count}: {}", told.0)));
        if told.0 == "close" {
            context.close(CloseCode::NORMAL_CLOSURE, "as told").unwrap();
        }
        self.dropped.send(0).unwrap();
    }
}

struct Served {
    running: Running<Told>,
    opened: mpsc::Receiver<ConnectionId>,
    /// 1 for each text that is dropped, 0 for each call of `told`.
    dropped: mpsc::Receiver<u32>,
    sender: mpsc::Sender<u32>,
}

impl Served {
    fn new(workers: usize) -> Self {
        let mut config = config();
        config.workers = workers;
        let (opened, all_opened) = mpsc::channel();
        let (sender, dropped) = mpsc::channel();
        let calls = sender.clone();
        let make = move |_: &Remote<Told>| Teller { opened: opened.clone(), dropped: calls.clone() };
        let running = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap().start(make).unwrap();
        Self { running, opened: all_opened, dropped, sender }
    }

    fn client(&self) -> (Client, ConnectionId) {
        let client = builder().connect(&format!("ws://{}/", self.running.local_addr())).unwrap();
        (client, self.opened.recv_timeout(LONG).unwrap())
    }

    fn told(&self, text: &str) -> Told {
        Told(text.to_owned(), self.sender.clone())
    }

    fn stop(self) {
        self.running.stopper().stop();
        self.running.join().unwrap();
    }
}

#[test]
fn each_connection_is_told_what_is_for_it_in_order() {
    let served = Served::new(2);
    let remote = served.running.remote();
    // Both workers have connections.
    let mut clients: Vec<_> = (0..16).map(|_| served.client()).collect();
    for (_, id) in &clients {
        remote.tell(*id, served.told(&format!("you are {id}")));
        remote.send(*id, Message::Text("between"));
        remote.tell(*id, served.told("again"));
    }
    remote.tell_all(served.told("all of you"));
    for (client, id) in &mut clients {
        for text in [&*format!("1: you are {id}"), "between", "2: again", "3: all of you"] {
            expect_text(client, text);
        }
    }
    drop(clients);
    served.stop();
}

#[test]
fn what_is_told_about_a_connection_that_is_not_open_is_dropped() {
    let served = Served::new(1);
    let remote = served.running.remote();
    let (mut client, id) = served.client();
    client.send_text("close").unwrap();
    assert!(matches!(client.receive().unwrap(), Received::Close(_)));
    // It is closing at first, and then gone; the other one was never there.
    for id in [id, "0.7.0".parse().unwrap(), "9.0.0".parse().unwrap()] {
        remote.tell(id, served.told("too late"));
        assert_eq!(served.dropped.recv_timeout(LONG).unwrap(), 1, "{id}");
    }
    remote.tell_all(served.told("nobody"));
    assert_eq!(served.dropped.recv_timeout(LONG).unwrap(), 1);
    served.stop();
}

#[test]
fn an_app_that_closes_the_connection_is_told_nothing_more_about_it() {
    let served = Served::new(1);
    let (mut client, id) = served.client();
    for text in ["close", "more"] {
        served.running.remote().tell(id, served.told(text));
    }
    expect_text(&mut client, "1: close");
    assert!(matches!(client.receive().unwrap(), Received::Close(_)));
    let mut events: Vec<_> = (0..3).map(|_| served.dropped.recv_timeout(LONG).unwrap()).collect();
    events.sort_unstable();
    assert_eq!(events, [0, 1, 1], "one call, and both texts are gone");
    served.stop();
}
