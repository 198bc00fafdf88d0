//! The thread's own loop, run on this one.

use super::{super::handle::run, *};

#[test]
fn nothing_is_made_while_the_workers_do_not_keep_up() {
    let TestChat { state, delivery, commands, .. } = TestChat::new();
    let (sender, connection) = (state.commands.clone(), connection_numbered(1));
    delivery.overloaded.store(3, Ordering::Relaxed);
    sender.send(Command::Opened(connection, unknown_token()));
    sender.send(Command::Stop);
    run(state, &commands, &delivery);
    // What waited is done all the same, once they do.
    assert_eq!(delivery.output.lock().unwrap()[&connection], [json!(["expired", { "reason": "unknown" }])]);
}
