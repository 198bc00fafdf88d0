//! The timers that an app sets, for a connection and for itself.

use std::{
    convert::Infallible,
    sync::mpsc,
    time::{Duration, Instant},
};

use switchboard::{
    App, CloseCode, ConnectionId, Context, End, Handshake, Message, Remote, Running, Server, TooManyTimers, Verdict,
    WorkerContext,
    client::{Client, Message as Received},
};
use switchboard_tests::server::{LONG, builder, config, expect_text};

/// An app whose clients set timers: `once NAME MS`, `every NAME MS`, `cancel NAME`, `close`. Each gets `NAME` when a timer
/// is due.
struct Alarms {
    /// How often a timer was due, and whether the connection had ended before.
    rung: mpsc::Sender<u32>,
}

impl App for Alarms {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(());
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words[at].parse::<u32>().unwrap();
        let after = || Duration::from_millis(number(2).into());
        let set = match words[0] {
            "once" => context.set_timer(number(1), after()),
            "every" => context.set_interval(number(1), after()),
            "cancel" => {
                context.cancel_timer(number(1));
                Ok(())
            }
            _ => {
                context.close(CloseCode::NORMAL_CLOSURE, "").unwrap();
                // Nothing comes of it.
                context.set_timer(99, Duration::ZERO)
            }
        };
        if set == Err(TooManyTimers) {
            context.send(Message::Text("too many"));
        }
    }

    fn timer(&mut self, _: &mut (), name: u32, context: &mut Context<'_>) {
        self.rung.send(name).unwrap();
        context.send(Message::Text(&name.to_string()));
    }

    fn closed(&mut self, (): (), _: ConnectionId, _: &End, _: &Remote) {
        self.rung.send(u32::MAX).unwrap();
    }
}

struct Served {
    running: Running,
    rung: mpsc::Receiver<u32>,
}

impl Served {
    fn new() -> Self {
        let mut config = config();
        config.workers = 1;
        let (sender, rung) = mpsc::channel();
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
        Self { running: server.start(move |_| Alarms { rung: sender.clone() }).unwrap(), rung }
    }

    fn client(&self) -> Client {
        builder().connect(&format!("ws://{}/", self.running.local_addr())).unwrap()
    }

    /// Stops the server, and returns what was due.
    fn stop(self) -> Vec<u32> {
        self.running.stopper().stop();
        self.running.join().unwrap();
        self.rung.iter().collect()
    }
}

#[test]
fn each_timer_is_due_in_its_time_once_or_again_and_again() {
    let served = Served::new();
    let mut client = served.client();
    let begin = Instant::now();
    for text in ["every 4 100", "once 1 250", "once 2 10", "once 1 30", "once 3 60", "cancel 3", "cancel 9"] {
        client.send_text(text).unwrap();
    }
    for text in ["2", "1", "4", "4", "4"] {
        expect_text(&mut client, text);
    }
    // A turn begins up to 10 ms after the hundredth that it counts from.
    assert!(begin.elapsed() >= Duration::from_millis(290), "three times 100 ms took {:?}", begin.elapsed());
    client.send_text("cancel 4").unwrap();
    client.send_text("once 5 0").unwrap();
    while let Received::Text(text) = client.receive().unwrap() {
        if text == "5" {
            break;
        }
        assert_eq!(text, "4", "the last one before the cancellation");
    }
    client.send_text("once 6 20").unwrap();
    expect_text(&mut client, "6");
    drop(client);
    served.stop();
}

#[test]
fn timers_end_with_their_connection_and_others_go_on() {
    let served = Served::new();
    let mut clients: Vec<_> = (0..3).map(|_| served.client()).collect();
    let mut other = clients.pop().unwrap();
    let mut closing = clients.pop().unwrap();
    let mut vanishing = clients.pop().unwrap();
    // Each has told the app before it ends.
    for (client, name) in [(&mut closing, 1), (&mut vanishing, 2)] {
        for text in [format!("every {name} 10"), format!("once {} 300", name + 10)] {
            client.send_text(&text).unwrap();
        }
        expect_text(client, &name.to_string());
    }
    closing.send_text("close").unwrap();
    while !matches!(closing.receive().unwrap(), Received::Close(_)) {}
    drop(vanishing);
    let ends = || served.rung.iter().filter(|name| *name == u32::MAX);
    assert_eq!(ends().take(2).count(), 2, "both have ended");
    other.send_text("once 20 400").unwrap();
    expect_text(&mut other, "20");
    drop(other);
    assert_eq!(ends().take(1).count(), 1);
    let rung = served.stop();
    assert_eq!(rung, [0; 0], "a timer was due after its connection had ended");
}

#[test]
fn a_connection_has_sixteen_timers_at_most() {
    let served = Served::new();
    let mut client = served.client();
    for name in 0..17 {
        client.send_text(&format!("once {name} 600000")).unwrap();
    }
    expect_text(&mut client, "too many");
    // One that is set can be set again, and one that was cancelled leaves its place.
    for text in ["once 3 600000", "cancel 4", "once 40 600000", "once 41 600000"] {
        client.send_text(text).unwrap();
    }
    expect_text(&mut client, "too many");
    client.send_text("once 3 0").unwrap();
    expect_text(&mut client, "3");
    drop(client);
    served.stop();
}

/// An app that publishes the number of each call of its own timer, and tells of each on a channel.
struct Ticking {
    count: u32,
    ticks: mpsc::Sender<u32>,
}

const INTERVAL: Duration = Duration::from_millis(30);

impl App for Ticking {
    type Peer = ();
    type Told = Infallible;

    fn started(&mut self, worker: &mut WorkerContext<'_>) {
        worker.set_interval(7, INTERVAL).unwrap();
        worker.set_interval(8, Duration::from_millis(10)).unwrap();
        worker.cancel_timer(8);
        worker.set_timer(9, Duration::ZERO).unwrap();
    }

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(());
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe("ticks");
    }

    fn message(&mut self, _: &mut (), _: Message<'_>, context: &mut Context<'_>) {
        context.worker().cancel_timer(7);
    }

    fn worker_timer(&mut self, name: u32, worker: &mut WorkerContext<'_>) {
        self.ticks.send(name).unwrap();
        if name == 7 {
            self.count += 1;
            worker.publish("ticks", Message::Text(&self.count.to_string()));
        }
    }
}

#[test]
fn an_app_has_timers_of_its_own_from_the_start() {
    let mut config = config();
    config.workers = 1;
    let (sender, ticks) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let running = server.start(move |_| Ticking { count: 0, ticks: sender.clone() }).unwrap();
    // Without any connection.
    for name in [9, 7, 7] {
        assert_eq!(ticks.recv_timeout(LONG).unwrap(), name);
    }
    let mut client = builder().connect(&format!("ws://{}/", running.local_addr())).unwrap();
    let mut next = || match client.receive().unwrap() {
        Received::Text(text) => text.parse::<u32>().unwrap(),
        other => panic!("{other:?} is no tick"),
    };
    let (first, begin) = (next(), Instant::now());
    for number in 1..=20 {
        assert_eq!(next(), first + number);
    }
    // The first one may have come late, by up to the resolution of the clock if the machine is idle.
    assert!(begin.elapsed() >= INTERVAL * 18, "20 ticks took {:?}", begin.elapsed());
    client.send_text("cancel").unwrap();
    client.ping(b"after").unwrap();
    while !matches!(client.receive().unwrap(), Received::Pong(_)) {}
    while ticks.try_recv().is_ok() {}
    assert!(ticks.recv_timeout(INTERVAL * 5).is_err(), "a timer that was cancelled");
    running.stopper().stop();
    running.join().unwrap();
}
