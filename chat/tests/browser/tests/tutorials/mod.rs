//! The pages of the tutorials, and that of `switchboard echo`.

#![expect(dead_code, reason = "the tests call what `main` does in each example")]

#[path = "../../../../../examples/tutorials/broadcast_others.rs"]
mod broadcast_others;
#[path = "../../../../../examples/tutorials/controller.rs"]
mod controller;
#[path = "../../../../../examples/tutorials/echo_time.rs"]
mod echo_time;
#[path = "../../../../../examples/tutorials/event_rooms.rs"]
mod event_rooms;
#[path = "../../../../../examples/tutorials/login.rs"]
mod login;
#[path = "../../../../../examples/tutorials/numbers.rs"]
mod numbers;
#[path = "../../../../../examples/tutorials/private_message.rs"]
mod private_message;

use std::{net::Ipv4Addr, time::Duration};

use serde_json::json;
use switchboard::{
    OriginPolicy,
    apps::{Audience, Broadcast, Echo},
};
use switchboard_browser::{Browser, Expected, Page};

use super::{Served, bind, start_browser};

fn listening() -> switchboard::Server {
    bind((Ipv4Addr::LOCALHOST, 0).into())
}

/// Opens a page of events, which has connected.
fn open(browser: &Browser, served: &Served, name: &str) -> Page {
    let page = served.open(browser, name);
    page.wait_for_value("$('#state').textContent", "open");
    page
}

/// Submits a form of such a page with these texts in its fields.
fn submit(page: &Page, form: &str, texts: &[&str]) {
    for (index, text) in texts.iter().enumerate() {
        page.fill(&format!("{form} input:nth-of-type({})", index + 1), text);
    }
    page.click(&format!("{form} button"));
}

fn wait_for_log(page: &Page, lines: &[&str]) {
    page.wait_for_value("$$('#log li').map(({ textContent }) => textContent)", json!(lines));
}

#[test]
fn the_pages_of_events_do_what_they_say() {
    let browser = start_browser();
    browser.expect(Expected::NoWebSocket);

    let served = Served::start(controller::router());
    let [first, second] = ["First", "Second"].map(|name| open(&browser, &served, name));
    submit(&first, "[data-event=chat]", &["hi"]);
    wait_for_log(&first, &["chat: done"]);
    second.wait_for("/^chat: \".* says hi\"$/.test($('#log').textContent)");

    let served = Served::start(numbers::router());
    let [first, second] = ["First", "Second"].map(|name| open(&browser, &served, name));
    submit(&first, "[data-event=say]", &["hi"]);
    wait_for_log(&first, &["said: \"1: hi\"", "say: done"]);
    // A page that is loaded anew connects anew.
    first.go(&format!("http://{}/", served.address));
    wait_for_log(&second, &["said: \"1: hi\"", "left: 1"]);

    let served = Served::start(event_rooms::router());
    let [first, second] = ["First", "Second"].map(|name| open(&browser, &served, name));
    submit(&second, "[data-event=join]", &["red"]);
    let welcome = "welcome: \"join a room\"";
    wait_for_log(&second, &[welcome, "join: true"]);
    submit(&first, "[data-event=say]", &["red", "hello"]);
    wait_for_log(&first, &[welcome, "say: 5"]);
    wait_for_log(&second, &[welcome, "join: true", "said: \"hello\""]);

    let served = Served::start(login::router(Duration::ZERO));
    let page = served.open(&browser, "Login");
    submit(&page, "#connect", &["wrong"]);
    page.wait_for_value("$('#state').textContent", "waiting");
    submit(&page, "#connect", &["wonderland"]);
    page.wait_for_value("$('#state').textContent", "open");
    submit(&page, "[data-event='who am I']", &[]);
    submit(&page, "[data-event=login]", &["token=builder"]);
    wait_for_log(&page, &["who am I failed: you were idle, log in again", "login: done"]);
}

/// The state of the page for messages is readyState.
fn open_for_messages(browser: &Browser, served: &Served, name: &str) -> Page {
    let page = served.open(browser, name);
    page.wait_for_value("$('#state').textContent", "1 (OPEN)");
    page
}

fn send(page: &Page, text: &str) {
    page.fill("#text", text);
    page.press("Enter");
}

fn wait_for_received(page: &Page, pattern: &str) {
    page.wait_for(&format!("$$('#log li').some(({{ textContent }}) => /received: {pattern}$/.test(textContent))"));
}

#[test]
fn the_page_for_messages_opens_sends_and_receives() {
    let browser = start_browser();
    for (running, answer) in [
        (listening().start(|_| Echo::new(OriginPolicy::SameHostOr(Vec::new()))).map(Served::of), "hello"),
        (echo_time::start(listening()).map(Served::of), "\\d+ hello"),
    ] {
        let served = running.unwrap();
        let page = open_for_messages(&browser, &served, "Echo");
        send(&page, "hello");
        wait_for_received(&page, answer);
        page.click("#close");
        page.wait_for_value("$('#closed').textContent", "1000, clean");
        page.click("#open");
        page.wait_for_value("$('#state').textContent", "1 (OPEN)");
    }
    let broadcast = Broadcast::new(Audience::Others, OriginPolicy::SameHostOr(Vec::new()));
    for (running, text, answer) in [
        (listening().start(move |_| broadcast.clone()).map(Served::of), "hello", "1: hello"),
        (broadcast_others::start(listening()).map(Served::of), "hello", "hello"),
        (private_message::start(listening()).map(Served::of), "2 hello", "from 1: hello"),
    ] {
        let served = running.unwrap();
        let [first, second] = ["First", "Second"].map(|name| open_for_messages(&browser, &served, name));
        send(&first, text);
        wait_for_received(&second, answer);
    }
}
