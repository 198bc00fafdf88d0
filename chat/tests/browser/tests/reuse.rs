//! A browser that one test has used is like a new one for the next test, and one that has crashed is replaced.
//!
//! A test program of its own, since the other tests would take the browsers in between.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::{Value, json};
use switchboard_browser::{Browser, Display, Page};

/// Waits until no other test of this program runs. A test holds the guard to its end.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A site with a page and a service worker. Browsers may keep the file `/number`, which is another one for each
/// request.
struct Site(SocketAddr);

impl Site {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let requests = Arc::clone(&requests);
                // A browser also connects without a request.
                thread::spawn(move || answer(&stream.unwrap(), &requests));
            }
        });
        Self(address)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0)
    }
}

/// Answers one request.
fn answer(mut stream: &TcpStream, requests: &AtomicU64) {
    let head: Vec<String> =
        BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else { return };
    let (kind, fields, body) = match path {
        "/" => ("text/html", "", "<!doctype html><title>A site</title><p>Hello".to_owned()),
        "/worker.js" => ("text/javascript", "", "self.onfetch = () => {};".to_owned()),
        "/number" => {
            ("text/plain", "Cache-Control: max-age=3600\r\n", requests.fetch_add(1, Ordering::Relaxed).to_string())
        }
        _ => ("text/plain", "", String::new()),
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{fields}");
    // The browser may have left.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
}

/// Returns what a site learns of its visitor's earlier visits and of their device, by name.
fn known(page: &Page) -> Value {
    page.evaluate(
        "(async () => ({
            cookies: (await cookieStore.getAll()).map(({ name }) => name),
            localStorage: Object.keys(localStorage),
            sessionStorage: Object.keys(sessionStorage),
            databases: (await indexedDB.databases()).map(({ name }) => name),
            caches: await caches.keys(),
            serviceWorkers: (await navigator.serviceWorker.getRegistrations()).length,
            files: (await (await navigator.storage.getDirectory()).keys().next()).value ?? null,
            isPersisted: await navigator.storage.persisted(),
            notifications: (await navigator.permissions.query({ name: 'notifications' })).state,
            geolocation: (await navigator.permissions.query({ name: 'geolocation' })).state,
            timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
            languages: navigator.languages,
            locale: Intl.NumberFormat().resolvedOptions().locale,
            width: innerWidth,
            isDark: matchMedia('(prefers-color-scheme: dark)').matches,
            touchPoints: navigator.maxTouchPoints,
            isOnline: navigator.onLine,
            userAgent: navigator.userAgent,
            history: history.length,
        }))()",
    )
}

/// Changes everything that [`known`] returns.
fn leave_traces(page: &Page, site: &Site) {
    page.evaluate(
        "(async () => {
            await cookieStore.set({ name: 'trace', value: '1', expires: Date.now() + 3600_000 });
            localStorage.setItem('trace', 1);
            sessionStorage.setItem('trace', 1);
            await new Promise((resolve) => indexedDB.open('trace').onsuccess = resolve);
            await caches.open('trace');
            await navigator.serviceWorker.register('worker.js');
            await navigator.serviceWorker.ready;
            await (await navigator.storage.getDirectory()).getFileHandle('trace', { create: true });
            history.pushState(null, '', '?trace');
            return true;
        })()",
    );
    page.set_display(Display { width: 400, dark: true, touch: true, ..Display::default() });
    page.call("Emulation.setTimezoneOverride", json!({"timezoneId": "Asia/Tokyo"}));
    page.call("Emulation.setUserAgentOverride", json!({"userAgent": "trace", "acceptLanguage": "eo"}));
    page.call("Emulation.setLocaleOverride", json!({}));
    page.call("Emulation.setLocaleOverride", json!({"locale": "eo"}));
    let permissions = ["notifications", "geolocation", "durableStorage"];
    let context = page.call("Target.getTargetInfo", json!({}))["targetInfo"]["browserContextId"].take();
    let permissions = json!({"origin": site.url(), "permissions": permissions, "browserContextId": context});
    page.call("Browser.grantPermissions", permissions);
    page.evaluate("navigator.storage.persist()");
    page.call("Network.enable", json!({}));
    let offline = json!({"offline": true, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    page.call("Network.emulateNetworkConditions", offline);
}

/// Returns the number of the request of `/number` whose answer this page gets.
fn number(page: &Page) -> Value {
    page.evaluate("fetch('number').then((answer) => answer.json())")
}

/// Returns the process of a browser.
fn process(browser: &Browser) -> Value {
    let processes = browser.call("SystemInfo.getProcessInfo", json!({}))["processInfo"].take();
    let is_browser = |process: &&Value| process["type"] == "browser";
    processes.as_array().and_then(|list| list.iter().find(is_browser)).expect("a browser")["id"].clone()
}

fn visitor(browser: &Browser, site: &Site) -> Page {
    let page = browser.page("a visitor", Display::default());
    page.go(&site.url());
    page.wait_for_value("document.title", "A site");
    page
}

#[test]
fn the_next_test_finds_nothing_of_the_last_one() {
    let _turn = one_at_a_time();
    let site = Site::start();
    let browser = Browser::start();
    let (first_process, targets) = (process(&browser), targets(&browser));
    let page = visitor(&browser, &site);
    let new = known(&page);
    assert_eq!([number(&page), number(&page)], [0, 0], "the file is kept");
    leave_traces(&page, &site);
    let traces = known(&page);
    for (name, value) in new.as_object().expect("an object") {
        assert_ne!(*value, traces[name], "{name} is not changed");
    }
    // Neither does another user in the same test.
    let other = visitor(&browser, &site);
    assert_eq!((known(&other), number(&other)), (new.clone(), json!(1)));
    drop(browser);

    let browser = Browser::start();
    assert_eq!(process(&browser), first_process, "the test is about a browser that is used again");
    assert_eq!(self::targets(&browser), targets);
    let page = visitor(&browser, &site);
    assert_eq!((known(&page), number(&page)), (new, json!(2)));
}

/// Returns the kinds and addresses of what is open in a browser: pages and workers.
fn targets(browser: &Browser) -> Vec<(Value, Value)> {
    let targets = browser.call("Target.getTargets", json!({}))["targetInfos"].take();
    let targets = targets.as_array().expect("a list").iter();
    targets.map(|target| (target["type"].clone(), target["url"].clone())).collect()
}

#[test]
fn a_browser_that_crashes_fails_its_own_test_alone() {
    let _turn = one_at_a_time();
    let site = Site::start();
    let others = Browser::start();
    let other = visitor(&others, &site);
    let mut crashed = Value::Null;
    let failed = catch_unwind(AssertUnwindSafe(|| {
        let browser = Browser::start();
        let page = visitor(&browser, &site);
        crashed = process(&browser);
        crash(&browser);
        page.evaluate("true");
    }));
    assert!(failed.is_err(), "the test whose browser crashes goes on");
    assert_eq!(other.evaluate("document.title"), "A site");
    let next = Browser::start();
    assert!(![crashed, process(&others)].contains(&process(&next)));
    visitor(&next, &site);
}

/// Its browser might be what has failed.
#[test]
fn the_browser_of_a_test_that_fails_is_not_used_again() {
    let _turn = one_at_a_time();
    let mut failed = Value::Null;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let browser = Browser::start();
        failed = process(&browser);
        panic!("the test fails");
    }));
    assert!(result.is_err());
    assert_ne!(process(&Browser::start()), failed);
}

#[test]
fn a_browser_that_has_crashed_between_two_tests_is_replaced() {
    let _turn = one_at_a_time();
    let browser = Browser::start();
    let crashed = process(&browser);
    // Without a page, nothing tells that it is gone before it is given back.
    crash(&browser);
    drop(browser);
    let next = Browser::start();
    assert_ne!(process(&next), crashed);
    visitor(&next, &Site::start());
}

/// Crashes a browser, and waits for its end.
fn crash(browser: &Browser) {
    let called = catch_unwind(AssertUnwindSafe(|| browser.call("Browser.crash", json!({}))));
    assert!(called.is_err(), "{called:?}");
}

#[test]
#[should_panic(expected = "does not answer")]
fn a_page_that_crashes_fails_its_test() {
    let _turn = one_at_a_time();
    let browser = Browser::start();
    let page = visitor(&browser, &Site::start());
    // The call fails, and with it a test that does not catch that.
    let _ = catch_unwind(AssertUnwindSafe(|| page.call("Page.crash", json!({}))));
}
