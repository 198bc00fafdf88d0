//! The loop of the core's thread, run on the test's thread.

use super::{
    super::{super::token::epoch, handle::run},
    *,
};

#[test]
fn nothing_is_sent_while_the_workers_are_overloaded() {
    let TestChat { state, delivery, front, commands, .. } = TestChat::new();
    let connection = connection_numbered(1);
    delivery.0.overloaded.store(3, Ordering::Relaxed);
    let id = connection.connection_to(RUN).expect("a connection of this run");
    front.opened(id, unknown_token(), Ipv4Addr::LOCALHOST.into());
    front.stop();
    run(state, commands, &delivery);
    // The waiting commands are still processed after that.
    assert_eq!(delivery.0.output.lock().unwrap()[&connection], [json!(["expired", { "reason": "unknown" }])]);
}

/// Another process, such as a tool of the operator, locks the database for longer than a statement waits.
#[test]
fn while_the_database_is_locked_clients_get_an_error_and_the_thread_can_stop() {
    let folder = std::env::temp_dir().join(format!("switchboard-test-{}", epoch()));
    let store = Store::open(&Data::Folder(folder.clone())).unwrap();
    let lock = rusqlite::Connection::open(folder.join("chat.sqlite3")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let TestChat { state, delivery, front, commands, .. } = TestChat::start(store, ChatConfig::default());
    let (result, results) = std::sync::mpsc::channel();
    let callback = move |logged_out| result.send(logged_out).unwrap();
    let request = LogOut { tokens: vec![Token::random().hash()], remove: Vec::new() };
    front.log_out(Ipv4Addr::LOCALHOST.into(), request, Box::new(callback));
    front.stop();
    run(state, commands, &delivery);
    assert_eq!(results.recv(), Ok(Err(SignInError::Storage)));
    drop(lock);
    std::fs::remove_dir_all(folder).unwrap();
}
