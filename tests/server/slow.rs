//! The policies of topics for subscribers that do not read as fast as others publish.

use std::{convert::Infallible, sync::mpsc};

use switchboard::{
    App, ConnectionId, Context, End, Handshake, Message, Remote, Running, Server, SlowSubscriber, Verdict,
    client::{Client, Message as Received},
};
use switchboard_tests::server::{LONG, Raw, builder, config, round_trip};

/// Subscribes each connection to "news" with a policy, echoes its messages, and tells it what it has missed.
struct News {
    policy: SlowSubscriber,
    ended: mpsc::Sender<(ConnectionId, End)>,
}

impl App for News {
    type Peer = ();
    type Told = Infallible;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(());
    }

    fn opened(&mut self, _: &mut (), context: &mut Context<'_>) {
        context.subscribe_with("news", self.policy);
        // The second takes the place of the first, or the connection would be closed.
        context.subscribe_with("other", SlowSubscriber::Close);
        context.subscribe_with("other", self.policy);
        context.send(Message::Text("welcome"));
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        match message {
            Message::Text("missed") => {
                let missed = context.worker().missed_messages();
                context.send(Message::Text(&missed.to_string()));
            }
            message => context.send(message),
        }
    }

    fn missed(&mut self, _: &mut (), count: u64, context: &mut Context<'_>) {
        context.send(Message::Text(&format!("you missed {count}")));
    }

    fn closed(&mut self, _: (), id: ConnectionId, end: &End, _: &Remote) {
        // A test that has ended waits for nothing.
        let _ = self.ended.send((id, end.clone()));
    }
}

fn serve(policy: SlowSubscriber) -> (Running, mpsc::Receiver<(ConnectionId, End)>) {
    let mut config = config();
    config.max_queued_bytes = 256 << 10;
    #[cfg(feature = "deflate")]
    {
        config.deflate = Some(deflate());
    }
    let (sender, ended) = mpsc::channel();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    (server.start(move |_| News { policy, ended: sender.clone() }).unwrap(), ended)
}

/// With context takeover.
#[cfg(feature = "deflate")]
fn deflate() -> switchboard::DeflateConfig {
    let mut deflate = switchboard::DeflateConfig::default();
    deflate.memory_bytes = 4 << 20;
    deflate
}

fn client(running: &Running) -> Client {
    let mut client = builder().connect(&format!("ws://{}/", running.local_addr())).unwrap();
    assert_eq!(client.receive().unwrap(), Received::Text("welcome".into()));
    client
}

const BROADCASTS: u32 = 400;

/// A payload of 64 KiB that begins with `number`.
fn payload(number: u32) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(64 << 10, 0);
    payload
}

fn number(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

#[test]
fn a_slow_subscriber_misses_what_the_policy_of_the_topic_says_and_its_app_knows_how_much() {
    for (policy, topic) in [
        (SlowSubscriber::Skip, "news"),
        (SlowSubscriber::DropOldest, "news"),
        (SlowSubscriber::Latest, "news"),
        (SlowSubscriber::DropOldest, "other"),
        (SlowSubscriber::Latest, "other"),
    ] {
        let (running, _ended) = serve(policy);
        let mut fast = client(&running);
        let mut slow = Raw::connect_with_small_buffer(running.local_addr());
        slow.handshake();
        slow.expect_frame(0x81, "welcome");
        for number in 0..BROADCASTS {
            running.remote().publish(topic, Message::Binary(&payload(number)));
            assert!(fast.receive().unwrap() == Received::Binary(payload(number)), "{policy:?}: {number} is missing");
        }
        fast.send_text("missed").unwrap();
        let Received::Text(in_all) = fast.receive().unwrap() else { panic!("not the count") };
        let (mut numbers, mut missed) = (Vec::new(), 0);
        // The app may be told in between: the kernel's buffers grow.
        while numbers.len() + missed < BROADCASTS as usize {
            let frame = slow.frame();
            if frame.first == 0x81 {
                let text = String::from_utf8(frame.payload).unwrap();
                missed += text.strip_prefix("you missed ").unwrap().parse::<usize>().unwrap();
            } else {
                numbers.push(number(&frame.payload));
            }
        }
        assert_eq!((missed > 10, missed), (true, in_all.parse().unwrap()), "{policy:?}");
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{policy:?}: {numbers:?}");
        let gaps: Vec<_> = numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1).collect();
        let last = *numbers.last().unwrap();
        match policy {
            SlowSubscriber::Skip => assert_eq!(numbers[0], 0, "{numbers:?}"),
            // The last frames that fit into 256 KiB follow a gap.
            SlowSubscriber::DropOldest => {
                assert_eq!(last, BROADCASTS - 1, "{numbers:?}");
                assert!((2..=4).contains(&(BROADCASTS - gaps[gaps.len() - 1][1])), "{numbers:?}");
            }
            SlowSubscriber::Latest => assert_eq!(gaps[gaps.len() - 1][1], BROADCASTS - 1, "{numbers:?}"),
            other => panic!("{other:?} is not in the table"),
        }
        // It has caught up and gets messages again.
        running.remote().publish(topic, Message::Text("later"));
        slow.expect_frame(0x81, "later");
        assert_eq!(fast.receive().unwrap(), Received::Text("later".into()));
        round_trip(&mut fast);
        running.stopper().stop();
        running.join().unwrap();
    }
}

#[test]
fn a_topic_that_closes_does_so_although_others_do_not() {
    let (running, ended) = serve(SlowSubscriber::Close);
    let mut slow = Raw::connect_with_small_buffer(running.local_addr());
    slow.handshake();
    for number in 0..BROADCASTS {
        running.remote().publish("news", Message::Binary(&payload(number)));
    }
    assert_eq!(ended.recv_timeout(LONG).unwrap().1, End::TooSlow);
    running.stopper().stop();
    running.join().unwrap();
}

/// What is compressed for a topic refers to nothing, and nothing refers to it, so a client with context takeover can
/// inflate everything that is left, its own answers among it.
#[cfg(feature = "deflate")]
#[test]
fn dropped_messages_leave_no_gap_in_compression() {
    /// Compresses to about half: hexadecimal digits of a generator.
    fn text(number: u64) -> String {
        let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut text = format!("{number}|");
        while text.len() < 64 << 10 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(&format!("{state:016x}"));
        }
        text
    }

    for policy in [SlowSubscriber::DropOldest, SlowSubscriber::Latest] {
        let (running, _ended) = serve(policy);
        let mut fast = client(&running);
        let deflate = Some(switchboard::Deflate::new(deflate()));
        let mut slow = builder().deflate(deflate).connect(&format!("ws://{}/", running.local_addr())).unwrap();
        assert_eq!(slow.receive().unwrap(), Received::Text("welcome".into()));
        let own = |number: u64| format!("{number}, {}", "an answer with a context of its own, ".repeat(20));
        for number in 0..u64::from(BROADCASTS) {
            running.remote().publish("news", Message::Text(&text(number)));
            let Received::Text(got) = fast.receive().unwrap() else { panic!("binary") };
            assert!(got == text(number), "{number} is missing");
            if number % 40 == 0 {
                slow.send_text(&own(number)).unwrap();
            }
        }
        let (mut answers, mut published, mut missed) = (0, 0, 0);
        // The app may be told in between: the kernel's buffers grow.
        while published + missed < BROADCASTS {
            let Received::Text(got) = slow.receive().unwrap() else { panic!("binary") };
            if let Some((number, _)) = got.split_once('|') {
                assert!(got == text(number.parse().unwrap()), "{policy:?}: {number} is damaged");
                published += 1;
            } else if let Some(count) = got.strip_prefix("you missed ") {
                missed += count.parse::<u32>().unwrap();
            } else {
                assert_eq!(got, own(answers * 40), "{policy:?}");
                answers += 1;
            }
        }
        assert_eq!(published + missed, BROADCASTS, "{policy:?}");
        assert!(answers > 2 && missed > 10, "{policy:?}: {answers} answers, {missed} missed");
        running.stopper().stop();
        running.join().unwrap();
    }
}
