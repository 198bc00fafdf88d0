//! Threads for slow work: results that come back to connections, a queue that is full, tasks that panic.

use std::{
    sync::{Arc, Barrier, mpsc},
    time::Duration,
};

use switchboard::{App, ConnectionId, Context, Handshake, Message, Remote, Server, TaskPool, TaskPoolFull, Verdict};
use switchboard_tests::server::{LONG, builder, config, expect_text};

/// An app that computes on a pool, and tells the connection the result.
struct Doubling {
    tasks: TaskPool,
    remote: Remote<u64>,
}

impl App for Doubling {
    type Peer = ();
    type Told = u64;

    fn accept(&mut self, _: &Handshake<'_>, verdict: Verdict<()>) {
        verdict.accept(());
    }

    fn message(&mut self, _: &mut (), message: Message<'_>, context: &mut Context<'_>) {
        let Message::Text(text) = message else { return };
        let number: u64 = text.parse().expect("a number");
        let (remote, id): (_, ConnectionId) = (self.remote.clone(), context.id());
        if self.tasks.run(move || remote.tell(id, 2 * number)).is_err() {
            context.send(Message::Text("busy"));
        }
    }

    fn told(&mut self, _: &mut (), result: u64, context: &mut Context<'_>) {
        context.send(Message::Text(&result.to_string()));
    }
}

#[test]
fn a_result_comes_back_and_a_full_queue_is_told() {
    let tasks = TaskPool::start(1, 2).unwrap();
    let mut config = config();
    config.workers = 1;
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), config).unwrap();
    let of_apps = tasks.clone();
    let running = server.start(move |remote| Doubling { tasks: of_apps.clone(), remote: remote.clone() }).unwrap();
    let mut client = builder().connect(&format!("ws://{}/", running.local_addr())).unwrap();
    client.send_text("21").unwrap();
    expect_text(&mut client, "42");
    // The only thread is busy, so two tasks wait, and there is no place for the third.
    let barrier = Arc::new(Barrier::new(2));
    let (begun, has_begun) = mpsc::channel();
    let blocked = Arc::clone(&barrier);
    tasks
        .run(move || {
            begun.send(()).unwrap();
            blocked.wait();
        })
        .unwrap();
    has_begun.recv_timeout(LONG).unwrap();
    for number in ["1", "2", "3"] {
        client.send_text(number).unwrap();
    }
    expect_text(&mut client, "busy");
    assert_eq!(tasks.waiting(), 2);
    assert_eq!(tasks.run(|| panic!("it is run")), Err(TaskPoolFull));
    assert_eq!(tasks.run_with("mine", |_| panic!("it is run")), Err("mine"));
    barrier.wait();
    for number in ["2", "4"] {
        expect_text(&mut client, number);
    }
    drop(client);
    running.stopper().stop();
    running.join().unwrap();
}

#[test]
fn tasks_run_in_their_order_and_a_panic_ends_none_but_its_own() {
    let tasks = TaskPool::start(1, 100).unwrap();
    let (sender, results) = mpsc::channel();
    for number in 0..10 {
        let sender = sender.clone();
        tasks
            .run_with(number, move |number| {
                assert!(number % 3 != 0, "on purpose");
                sender.send(number).unwrap();
            })
            .unwrap();
    }
    // What waits is done although no handle is left.
    drop((sender, tasks));
    let all: Vec<i32> = std::iter::from_fn(|| results.recv_timeout(LONG).ok()).collect();
    assert_eq!(all, [1, 2, 4, 5, 7, 8]);
}

#[test]
fn several_threads_work_at_once_and_end_with_the_pool() {
    let tasks = TaskPool::start(3, 100).unwrap();
    let barrier = Arc::new(Barrier::new(4));
    let (sender, ended) = mpsc::channel::<()>();
    for _ in 0..3 {
        let (barrier, sender) = (Arc::clone(&barrier), sender.clone());
        tasks
            .run(move || {
                barrier.wait();
                drop(sender);
            })
            .unwrap();
    }
    drop(sender);
    // All three are in their tasks at the same time.
    barrier.wait();
    assert_eq!(ended.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    let none = TaskPool::start(0, 0).unwrap();
    assert_eq!(none.run(|| ()), Err(TaskPoolFull), "a queue without a place");
    assert_eq!(ended.recv_timeout(Duration::ZERO), Err(mpsc::RecvTimeoutError::Disconnected));
}
