//! The thread's own loop, run on this one.

use super::{super::keep, *};

#[test]
fn nothing_is_made_while_the_workers_do_not_keep_up() {
    let House { keeper, desk, errands, .. } = House::new();
    let (inbox, connection) = (keeper.inbox.clone(), connection_numbered(1));
    desk.overloaded.store(3, Ordering::Relaxed);
    inbox.put(Errand::Opened(connection, strange_token()));
    inbox.put(Errand::Stop);
    keep(keeper, &errands, &desk);
    // What waited is done all the same, once they do.
    assert_eq!(desk.told.lock().unwrap()[&connection], [json!(["expired", { "reason": "unknown" }])]);
}
