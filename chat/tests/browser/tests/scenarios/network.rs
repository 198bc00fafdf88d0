//! The network goes and comes back, and so does the server.

use serde_json::json;
use switchboard_browser::{Chat, Ending, Expected, Person};

/// Two people who have begun to talk, in a chat where connections will fail.
fn two_people(chat: &Chat) -> [Person; 2] {
    chat.browser.expect(Expected::NoConnection);
    let people = ["Ada", "Ben"].map(|name| chat.person(name));
    people[0].say("We begin.");
    for person in &people {
        person.reads(&[("Ada", "We begin.")]);
    }
    people
}

#[test]
fn what_is_said_on_both_sides_of_a_lost_network_is_there_when_it_comes_back() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_people(&chat);

    let places = "$$('#rooms a, #text').map((each) => each.getBoundingClientRect().y)";
    let before = ada.evaluate(places);
    ada.network.cut();
    ada.is_disconnected();
    ada.wait_for("getComputedStyle($('#retry-now')).visibility === 'visible'");
    assert_eq!(ada.evaluate(places), before, "a click would find something else");
    ada.say("Hello?");
    ada.say("Does anybody hear me?");
    ada.wait_for_value(
        "$$('.unsent .message').map((message) => [message.dataset.state, message.querySelector('.text').textContent])",
        json!([["waiting", "Hello?"], ["waiting", "Does anybody hear me?"]]),
    );
    ben.say("Ada?");
    ben.say("She is gone.");
    ben.reads(&[("Ada", "We begin."), ("Ben", "Ada?"), ("Ben", "She is gone.")]);
    // The pauses grow, so there is one whose passing is seen.
    let seconds = "Number($('#connection-text').textContent.match(/\\d+/))";
    let first = ada.wait_for(&format!("{seconds} > 1 && {seconds}")).as_u64().expect("a number");
    ada.wait_for_value(seconds, first - 1);

    ada.network.restore();
    ada.is_connected();
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
    ada.reads(&all);
    ben.reads(&all);
}

#[test]
fn a_message_whose_answer_is_lost_is_said_once() {
    let chat = Chat::open(&[]);
    let [ada, ben] = two_people(&chat);

    ada.network.lose_answers();
    ada.say("I have no idea whether this arrives.");
    ben.reads(&[("Ada", "We begin."), ("Ada", "I have no idea whether this arrives.")]);
    ada.wait_for_value("$$('.unsent .message').map((message) => message.dataset.state)", json!(["sending"]));

    // The system notices that the network has changed; the page then looks whether its connection has survived.
    ada.evaluate("dispatchEvent(new Event('online'))");
    ada.is_disconnected();
    ada.is_connected();
    ben.say("It did.");
    let all = [("Ada", "We begin."), ("Ada", "I have no idea whether this arrives."), ("Ben", "It did.")];
    ada.reads(&all);
    ben.reads(&all);
}

#[test]
fn a_server_that_is_stopped_and_started_loses_nobody_and_nothing() {
    a_server_that_comes_back_loses_nobody_and_nothing(Ending::Asked);
}

#[test]
fn a_server_that_is_killed_and_started_loses_nobody_and_nothing() {
    a_server_that_comes_back_loses_nobody_and_nothing(Ending::Killed);
}

fn a_server_that_comes_back_loses_nobody_and_nothing(ending: Ending) {
    let mut chat = Chat::open(&[]);
    let [ada, ben] = two_people(&chat);
    ben.say("And go on.");
    // What is acknowledged survives whatever happens next.
    ben.reads(&[("Ada", "We begin."), ("Ben", "And go on.")]);

    chat.server.end(ending);
    ada.is_disconnected();
    ben.is_disconnected();
    ada.say("Nobody answers.");
    chat.server.restart();

    ben.is_connected();
    ada.is_connected();
    ada.reads(&[("Ada", "We begin."), ("Ben", "And go on."), ("Ada", "Nobody answers.")]);
    ben.say("I do.");
    let all = [("Ada", "We begin."), ("Ben", "And go on."), ("Ada", "Nobody answers."), ("Ben", "I do.")];
    ada.reads(&all);
    ben.reads(&all);
}
