//! The loop of the core's thread, run on the test's thread.

use super::{super::handle::run, *};

#[test]
fn nothing_is_sent_while_the_workers_are_overloaded() {
    let TestChat { state, delivery, commands, .. } = TestChat::new();
    let (sender, connection) = (state.commands.clone(), connection_numbered(1));
    delivery.overloaded.store(3, Ordering::Relaxed);
    sender.send(Command::Opened(connection, unknown_token(), backlog()));
    sender.send(Command::Stop);
    run(state, commands, &delivery);
    // The waiting commands are still processed after that.
    assert_eq!(delivery.output.lock().unwrap()[&connection], [json!(["expired", { "reason": "unknown" }])]);
}
