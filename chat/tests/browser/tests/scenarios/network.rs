//! The network or the server goes away and comes back.

use serde_json::json;
use switchboard_browser::{Chat, Expected, StopSignal, User};

/// Two users who have exchanged a message, in a chat where connections will fail.
fn two_users(chat: &Chat) -> [User; 2] {
    chat.browser.expect(Expected::NoConnection);
    let users = ["Ada", "Ben"].map(|name| chat.user(name));
    users[0].say("We begin.");
    for user in &users {
        user.sees_messages(&[("Ada", "We begin.")]);
    }
    users
}

#[test]
fn messages_sent_while_disconnected_arrive_after_reconnecting() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_users(&chat);

    let places = "$$('#rooms a, #text').map((each) => each.getBoundingClientRect().y)";
    let before = ada.evaluate(places);
    ada.network.cut();
    ada.wait_until_disconnected();
    ada.wait_for("getComputedStyle($('#retry-now')).visibility === 'visible'");
    assert_eq!(ada.evaluate(places), before, "the status must not move anything under a click");
    ada.say("Hello?");
    ada.say("Does anybody hear me?");
    ada.wait_for_value(
        "$$('.unsent .message').map((message) => [message.dataset.state, message.querySelector('.text').textContent])",
        json!([["waiting", "Hello?"], ["waiting", "Does anybody hear me?"]]),
    );
    ben.say("Ada?");
    ben.say("She is gone.");
    ben.sees_messages(&[("Ada", "We begin."), ("Ben", "Ada?"), ("Ben", "She is gone.")]);
    // The pauses grow, so one is long enough to see the countdown.
    let seconds = "Number($('#connection-text').textContent.match(/\\d+/))";
    let first = ada.wait_for(&format!("{seconds} > 1 && {seconds}")).as_u64().expect("a number");
    ada.wait_for_value(seconds, first - 1);

    ada.network.restore();
    ada.wait_until_connected();
    ben.wait_for("$$('.log:not([hidden]) .message').length === 5");
    ben.say("There you are.");
    let all = [
        ("Ada", "We begin."),
        ("Ben", "Ada?"),
        ("Ben", "She is gone."),
        ("Ada", "Hello?"),
        ("Ada", "Does anybody hear me?"),
        ("Ben", "There you are."),
    ];
    ada.sees_messages(&all);
    ben.sees_messages(&all);
}

#[test]
fn a_message_whose_ack_is_lost_is_delivered_once() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_users(&chat);

    ada.network.drop_answers();
    ada.say("I have no idea whether this arrives.");
    ben.sees_messages(&[("Ada", "We begin."), ("Ada", "I have no idea whether this arrives.")]);
    ada.wait_for_value("$$('.unsent .message').map((message) => message.dataset.state)", json!(["sending"]));

    // The browser reports a network change; the page then tests whether its connection has survived.
    ada.evaluate("dispatchEvent(new Event('online'))");
    ada.wait_until_disconnected();
    ada.wait_until_connected();
    ben.say("It did.");
    let all = [("Ada", "We begin."), ("Ada", "I have no idea whether this arrives."), ("Ben", "It did.")];
    ada.sees_messages(&all);
    ben.sees_messages(&all);
}

#[test]
fn a_stopped_server_loses_no_session_and_no_message() {
    a_restarted_server_loses_nothing(StopSignal::Terminate);
}

#[test]
fn a_killed_server_loses_no_session_and_no_message() {
    a_restarted_server_loses_nothing(StopSignal::Kill);
}

fn a_restarted_server_loses_nothing(signal: StopSignal) {
    let mut chat = Chat::open(&[]);
    let [ada, ben] = two_users(&chat);
    ben.say("And go on.");
    // An acknowledged message survives everything that follows.
    ben.sees_messages(&[("Ada", "We begin."), ("Ben", "And go on.")]);

    chat.server.end(signal);
    ada.wait_until_disconnected();
    ben.wait_until_disconnected();
    ada.say("Nobody answers.");
    chat.server.restart();

    ben.wait_until_connected();
    ada.wait_until_connected();
    ada.sees_messages(&[("Ada", "We begin."), ("Ben", "And go on."), ("Ada", "Nobody answers.")]);
    ben.say("I do.");
    let all = [("Ada", "We begin."), ("Ben", "And go on."), ("Ada", "Nobody answers."), ("Ben", "I do.")];
    ada.sees_messages(&all);
    ben.sees_messages(&all);
}
