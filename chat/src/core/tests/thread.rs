//! The loop of the core's thread, run on the test's thread.

use super::{
    super::{super::token::epoch, handle::run},
    *,
};

#[test]
fn nothing_is_sent_while_the_workers_are_overloaded() {
    let TestChat { state, delivery, commands, .. } = TestChat::new();
    let (sender, connection) = (state.commands.clone(), connection_numbered(1));
    delivery.0.overloaded.store(3, Ordering::Relaxed);
    sender.send(Command::Opened(connection, unknown_token(), backlog()));
    sender.send(Command::Stop);
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
    let (sender, commands) = command_queue(1 << 20);
    let state = State::new(store, Arc::new(ChatConfig::default()), DeviceKey::random(), sender.clone(), hasher());
    let (result, results) = std::sync::mpsc::channel();
    let token = Token::random().hash();
    let log_out = Request::new(
        move |state: &mut State| state.log_out(&[token]),
        Box::new(move |result_of_log_out| result.send(result_of_log_out).unwrap()),
    );
    sender.request(Source::Core, log_out);
    sender.send(Command::Stop);
    run(state, commands, &JsonDelivery::<RecordedTransport>::default());
    assert_eq!(results.recv(), Ok(Err(SignInError::Storage)));
    drop(lock);
    std::fs::remove_dir_all(folder).unwrap();
}
