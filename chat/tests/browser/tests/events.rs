//! `events.js` with a server of `switchboard::events`, the pages of the tutorials, and the page of `switchboard echo`,
//! in one browser, which is started once.

mod tutorials;

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use switchboard::{
    Config, Running, Server,
    events::{Emitter, JsonArrays, Parser, Router},
};
use switchboard_browser::{Browser, Display, Expected, Page};

/// A server of events that stops when it is dropped.
struct Served {
    address: SocketAddr,
    stop: Option<Box<dyn FnOnce()>>,
}

impl Served {
    fn of<T: Send + 'static>(running: Running<T>) -> Self {
        let address = running.local_addr();
        let stop = move || {
            running.stopper().stop();
            running.join().unwrap();
        };
        Self { address, stop: Some(Box::new(stop)) }
    }

    fn start<S: Send + 'static, P: Parser>(router: Router<S, P>) -> Self {
        Self::of(router.start(bind(([127, 0, 0, 1], 0).into())).unwrap().0)
    }

    /// Opens the server's page for a new user.
    fn open(&self, browser: &Browser, name: &str) -> Page {
        let page = browser.page(name, Display::default());
        page.go(&format!("http://{}/", self.address));
        page
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.take().expect("it runs")();
    }
}

fn bind(address: SocketAddr) -> Server {
    Server::bind(address, Config::default()).unwrap()
}

/// A server whose page has the module as `Events`, `EventError` and the parsers.
fn start_at(address: SocketAddr) -> (Served, Emitter) {
    let router = Router::new(JsonArrays)
        .file("/", "<!doctype html><title>events.js</title><script type=module src=page.js></script>")
        .file("/page.js", "import * as module from '/events.js'; Object.assign(globalThis, module);")
        .on("double", |_, number: u32| number * 2)
        .on("tell", |socket, (): ()| socket.emit("told", &[1, 2]))
        .on("ask", |socket, what: String| {
            let timeout = Duration::from_secs(20);
            let then = |socket: &mut switchboard::events::Socket<'_>, answer: Result<serde_json::Value, _>| {
                let text = answer.map_or_else(
                    |error: switchboard::events::NotAcknowledged| error.to_string(),
                    |answer| answer.to_string(),
                );
                socket.emit("asked", &text);
            };
            socket.emit_with_ack(&what, &7, timeout, then).unwrap();
        })
        .on_with_ack("never", |_, (): (), ack| std::mem::forget(ack))
        .on("end", |socket, code: u16| {
            socket.close(switchboard::CloseCode::new(code), "the end").unwrap();
        });
    let (running, emitter) = router.start(bind(address)).unwrap();
    (Served::of(running), emitter)
}

fn start() -> (Served, Emitter) {
    start_at(([127, 0, 0, 1], 0).into())
}

fn start_browser() -> Browser {
    let browser = Browser::start();
    browser.expect(Expected::NoIcon);
    browser
}

/// Runs statements on the page.
#[track_caller]
fn run(page: &Page, statements: &str) {
    page.evaluate(&format!("(() => {{ {statements} }})()"));
}

/// Opens a page that has connected, as `events`.
fn connected(browser: &Browser, served: &Served) -> Page {
    let page = served.open(browser, "Events");
    page.wait_for("globalThis.Events");
    run(
        &page,
        "globalThis.states = []; globalThis.events = new Events({ times: { firstPause: 20 } });
         events.on('state', ({ state }) => states.push(state))",
    );
    page.wait_for_value("states", json!(["open"]));
    page
}

#[test]
fn events_are_sent_answered_and_received() {
    let (served, emitter) = start();
    let browser = start_browser();
    let page = connected(&browser, &served);
    assert_eq!(page.evaluate("events.emitWithAck('double', 21)"), 42);
    assert_eq!(page.evaluate("new Promise((r) => events.emit('double', 4, (...all) => r(all)))"), json!([null, 8]));
    let failed = "(error) => [error instanceof EventError, error.code, error.event, error.message]";
    for (call, code, event, message) in [
        ("events.emitWithAck('none')", "failed", "none", "unknown event"),
        (
            "events.emitWithAck('never', null, { timeout: 30 })",
            "timeout",
            "never",
            "The server did not answer in time.",
        ),
    ] {
        assert_eq!(page.evaluate(&format!("{call}.catch({failed})")), json!([true, code, event, message]));
    }
    let wrong = page.evaluate("events.emitWithAck('double', 'x').catch(({ code, message }) => `${code}: ${message}`)");
    assert!(wrong.as_str().unwrap().starts_with("failed: invalid type"), "{wrong}");

    // An event of the server; one for nobody; one that is taken once; one whose handler is removed.
    run(
        &page,
        "globalThis.got = [];
         events.on('told', (data) => got.push(data));
         events.once('told', () => got.push('once'));
         const off = () => got.push('off');
         events.on('told', off); events.off('told', off);
         events.on('error', (data) => got.push(data));
         events.emit('tell'); events.emit('tell'); events.emit('none')",
    );
    let refused = json!({"event": "none", "message": "unknown event"});
    page.wait_for_value("got", json!([[1, 2], "once", [1, 2], refused]));
    // The server cannot play a change of the connection.
    emitter.emit("state", &json!({"state": "played"}));
    emitter.emit("told", &"last");
    page.wait_for("got.at(-1) === 'last'");
    assert_eq!(page.evaluate("states"), json!(["open"]));
}

#[test]
fn the_page_acknowledges_events_of_the_server() {
    let (served, _) = start();
    let browser = start_browser();
    browser.expect(Expected::Script("not today"));
    let page = connected(&browser, &served);
    run(
        &page,
        "globalThis.asked = [];
         events.on('asked', (answer) => asked.push(answer));
         events.on('now', (number) => number + 1);
         events.on('later', (number) => new Promise((resolve) => setTimeout(() => resolve(number + 2), 20)));
         events.on('nothing', () => {});
         events.on('thrown', () => { throw new Error('not today'); })",
    );
    for (event, answer) in [
        ("now", "8"),
        ("later", "9"),
        ("nothing", "null"),
        ("thrown", "the peer answered: the handler failed"),
        ("none", "the peer answered: unknown event"),
        ("state", "the peer answered: unknown event"),
    ] {
        page.evaluate(&format!("events.emitWithAck('ask', '{event}')"));
        page.wait_for_value("asked.splice(0)", json!([answer]));
    }
}

#[test]
fn the_page_reconnects_and_a_bounded_queue_waits() {
    let browser = start_browser();
    browser.expect(Expected::NoWebSocket);
    let (served, _) = start();
    let address = served.address;
    let page = connected(&browser, &served);
    run(&page, "globalThis.lost = events.emitWithAck('never').catch(({ code }) => code)");
    // An event of the server, which is answered too late.
    run(
        &page,
        "globalThis.asked = []; globalThis.answers = [];
         events.on('asked', (answer) => asked.push(answer));
         events.on('slow', () => new Promise((resolve) => answers.push(resolve)));
         events.emit('ask', 'slow');",
    );
    page.wait_for_value("answers.length", 1);
    drop(served);
    page.wait_for("states.includes('waiting')");
    assert_eq!(page.evaluate("lost"), "disconnected");
    run(
        &page,
        "globalThis.got = [];
         events.on('told', () => got.push('told'));
         globalThis.sent = Array.from({ length: 97 }, () => events.emit('tell'));
         globalThis.late = events.emitWithAck('double', 1, { timeout: 20 }).catch(({ code }) => code);
         globalThis.doubles = [1, 2, 3].map((n) => events.emitWithAck('double', n).catch(({ code }) => code))",
    );
    // 101 events: the last one had no room. One that has waited too long makes room.
    assert_eq!(page.evaluate("sent.every(Boolean) && late"), "timeout");
    assert_eq!(page.evaluate("doubles[2]"), "full");
    assert_eq!(page.evaluate("[events.emit('tell'), events.emit('tell')]"), json!([true, false]));
    let _served = start_at(address);
    assert_eq!(page.evaluate("Promise.all(doubles)"), json!([2, 4, "full"]));
    page.wait_for_value("got.length", 98);

    // The next server counts its events from one again: the late answer is not that of its event.
    run(&page, "events.emit('ask', 'slow');");
    page.wait_for_value("answers.length", 2);
    run(&page, "answers[0]('late'); setTimeout(answers[1], 0, 'in time');");
    page.wait_for_value("asked", json!(["\"in time\""]));

    // A reason that remains ends it, until `connect`.
    run(&page, "states.length = 0; events.emit('end', 4000)");
    page.wait_for_value(
        "[events.status.state, events.status.code, events.status.reason, states]",
        json!(["closed", 4000, "the end", ["closed"]]),
    );
    assert_eq!(page.evaluate("[events.emit('tell'), events.emitWithAck('tell').catch(({ code }) => code)][0]"), false);
    page.evaluate("events.connect()");
    page.wait_for_value("states", json!(["closed", "connecting", "open"]));
    page.evaluate("events.close()");
    page.wait_for_value("states.at(-1)", "closed");
    // The server restarts: RFC 6455 §7.4.1 asks for 5 to 30 seconds.
    run(&page, "events.connect(); events.emit('end', 1012);");
    page.wait_for_value("events.status.code", 1012);
    let pause = page.evaluate("events.status.retryAt - Date.now()").as_f64().unwrap();
    assert!((4_000.0..=30_000.0).contains(&pause), "{pause}");
    page.evaluate("events.retryNow()");
    page.wait_for_value("states.at(-1)", "open");
    run(&page, "events.close();");
}
