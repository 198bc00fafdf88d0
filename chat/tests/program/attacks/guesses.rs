//! AP-01: guessing passwords at once, and from devices that have logged in before.

use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard_tests::server::{HttpResponse, Raw};

use super::{
    chat,
    signing_in::{log_in_from, refusal},
};
use crate::support::chat_user::{AS_JSON, ChatUser, PASSWORD, account, log_in, post, request, request_over};

const NEW_PASSWORD: &str = "another horse";

/// Sends requests to log in, all before the first response is read. Returns the status of each.
fn log_in_at_once(address: SocketAddr, bodies: &[Value]) -> Vec<u16> {
    let mut pending: Vec<_> = bodies
        .iter()
        .map(|body| {
            let (mut raw, body) = (Raw::connect(address), body.to_string());
            raw.write(format!(
                "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            raw
        })
        .collect();
    pending.iter_mut().map(|raw| raw.response().status).collect()
}

fn count(statuses: &[u16], status: u16) -> usize {
    statuses.iter().filter(|other| **other == status).count()
}

fn login(password: &str) -> Value {
    json!({"name": "Ann", "password": password})
}

#[test]
fn ap_01_any_number_of_right_passwords_at_once_is_no_guess() {
    let program = chat(&[]);
    let address = program.address();
    account(address, "Ann");
    let statuses = log_in_at_once(address, &vec![login(PASSWORD); 40]);
    assert_eq!(count(&statuses, 200), 40, "{statuses:?}");
}

#[test]
fn ap_01_passwords_that_are_guessed_at_once_are_no_more_than_the_limit() {
    let program = chat(&["--sign-in-rate", "10+1/h"]);
    let address = program.address();
    account(address, "Ann");
    let guesses: Vec<Value> = (0..40).map(|number| login(&format!("wrong horse {number}"))).collect();
    let statuses = log_in_at_once(address, &guesses);
    assert_eq!((count(&statuses, 401), count(&statuses, 429)), (10, 30), "{statuses:?}");
    assert_eq!(post(address, "/api/login", &login(PASSWORD)).status, 429);
}

#[test]
fn ap_01_right_passwords_among_fewer_wrong_ones_than_the_limit_are_not_refused() {
    let program = chat(&["--sign-in-rate", "4+1/h"]);
    let address = program.address();
    account(address, "Ann");
    let bodies: Vec<Value> =
        (0..30).map(|number| login(if number % 10 == 9 { "wrong horse" } else { PASSWORD })).collect();
    let statuses = log_in_at_once(address, &bodies);
    assert_eq!((count(&statuses, 200), count(&statuses, 401)), (27, 3), "{statuses:?}");
}

/// A browser with the cookie of its device, behind a proxy.
struct Browser {
    address: SocketAddr,
    from: &'static str,
    cookie: Option<String>,
}

impl Browser {
    fn new(address: SocketAddr, from: &'static str) -> Self {
        Self { address, from, cookie: None }
    }

    /// Sends a request to sign in, and stores the new cookie, if there is one.
    fn sign_in(&mut self, path: &str, password: &str) -> (u16, String) {
        let body = login(password);
        let mut raw = Raw::connect(self.address);
        let answer = if path == "/api/login" {
            log_in_from(&mut raw, self.from, &body, self.cookie.as_deref())
        } else {
            let fields = [AS_JSON, ("Origin", "http://localhost"), ("X-Forwarded-For", self.from)];
            request_over(&mut raw, "localhost", "POST", path, &fields, body.to_string())
        };
        if answer.status >= 400 {
            return refusal(&answer);
        }
        self.cookie = Some(device_cookie(&answer));
        (answer.status, String::new())
    }

    fn log_in(&mut self, password: &str) -> (u16, String) {
        self.sign_in("/api/login", password)
    }
}

/// Returns the device's cookie of a response, of which there is one.
fn device_cookie(answer: &HttpResponse) -> String {
    let cookies: Vec<&str> =
        answer.headers("Set-Cookie").filter(|cookie| cookie.starts_with("switchboard-device=")).collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    cookies[0].split(';').next().unwrap().to_owned()
}

fn behind_proxy() -> [&'static str; 4] {
    ["--trusted-proxy", "127.0.0.1", "--sign-in-rate", "3+1/h"]
}

/// Strangers use up all guesses at the account.
fn use_up_guesses(address: SocketAddr) {
    for network in 0..30 {
        let answer = log_in_from(&mut Raw::connect(address), &format!("10.1.{network}.1"), &login("wrong horse"), None);
        assert_eq!(answer.status, 401, "network {network}");
    }
    let answer = log_in_from(&mut Raw::connect(address), "10.2.0.1", &login(PASSWORD), None);
    assert_eq!(refusal(&answer), (429, "too_fast".to_owned()));
}

#[test]
fn ap_01_log_ins_of_a_device_give_no_further_guesses() {
    let program = chat(&behind_proxy());
    let address = program.address();
    let mut browser = Browser::new(address, "10.3.0.1");
    assert_eq!(browser.sign_in("/api/register", PASSWORD).0, 201);
    let mut cookies = Vec::new();
    for _ in 0..5 {
        cookies.push(browser.cookie.clone());
        assert_eq!(browser.log_in(PASSWORD).0, 200);
    }
    use_up_guesses(address);
    let wrong_password = (401, "bad_credentials".to_owned());
    for _ in 0..3 {
        browser.cookie = cookies.pop().unwrap();
        assert_eq!(browser.log_in("wrong horse"), wrong_password);
    }
    for cookie in cookies {
        browser.cookie = cookie;
        assert_eq!(browser.log_in("wrong horse"), (429, "too_fast".to_owned()), "as a stranger");
    }
}

#[test]
fn ap_01_a_device_is_a_stranger_after_a_change_of_the_password() {
    let program = chat(&behind_proxy());
    let address = program.address();
    let [mut thief, mut owner] = ["10.3.0.1", "10.3.1.1"].map(|from| Browser::new(address, from));
    assert_eq!(owner.sign_in("/api/register", PASSWORD).0, 201);
    assert_eq!(thief.log_in(PASSWORD).0, 200);
    let mut ann = ChatUser::with_token(address, &log_in(address, "Ann"));
    ann.ask("password", json!({"old": PASSWORD, "new": NEW_PASSWORD})).unwrap();
    assert_eq!(owner.log_in(NEW_PASSWORD).0, 200, "with a new cookie");
    use_up_guesses(address);
    assert_eq!(thief.log_in(NEW_PASSWORD), (429, "too_fast".to_owned()));
    assert_eq!(owner.log_in(NEW_PASSWORD).0, 200);
}

#[test]
fn ap_01_the_device_that_changes_the_password_stays_known() {
    let program = chat(&behind_proxy());
    let address = program.address();
    let [mut thief, mut owner] = ["10.3.0.1", "10.3.1.1"].map(|from| Browser::new(address, from));
    assert_eq!(thief.sign_in("/api/register", PASSWORD).0, 201);
    let answer = log_in_from(&mut Raw::connect(address), owner.from, &login(PASSWORD), None);
    let session = answer.headers("Set-Cookie").find(|cookie| cookie.starts_with("switchboard-session=")).unwrap();
    let session = session.split(';').next().unwrap().to_owned();
    owner.cookie = Some(device_cookie(&answer));
    let device_cookies = |cookies: &str| {
        let answer = request(address, "GET", "/api/session", &[("Cookie", cookies)], "");
        assert_eq!(answer.status, 200);
        answer.headers("Set-Cookie").map(str::to_owned).collect::<Vec<_>>()
    };
    let own = |owner: &Browser| format!("{session}; {}", owner.cookie.as_deref().unwrap());
    let none: [String; 0] = [];
    assert_eq!(device_cookies(&own(&owner)), none, "the cookie is valid");
    let mut ann = ChatUser::with_token(address, session.split_once('=').unwrap().1);
    ann.ask("password", json!({"old": PASSWORD, "new": NEW_PASSWORD})).unwrap();
    let renewed = device_cookies(&own(&owner));
    assert_eq!(renewed.len(), 1, "{renewed:?}");
    assert!(renewed[0].contains("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict"), "{renewed:?}");
    owner.cookie = renewed[0].split(';').next().map(str::to_owned);
    assert_eq!(device_cookies(&own(&owner)), none, "it is valid again");
    // Without the session nothing is renewed.
    assert_eq!(device_cookies(thief.cookie.as_deref().unwrap()), none);
    use_up_guesses(address);
    assert_eq!(thief.log_in(NEW_PASSWORD), (429, "too_fast".to_owned()));
    assert_eq!(owner.log_in(NEW_PASSWORD).0, 200);
}

#[test]
fn ap_01_a_device_is_a_stranger_to_another_account_of_the_same_name() {
    let program = chat(&behind_proxy());
    let address = program.address();
    let [mut earlier, mut owner] = ["10.3.0.1", "10.3.1.1"].map(|from| Browser::new(address, from));
    assert_eq!(earlier.sign_in("/api/register", PASSWORD).0, 201);
    let mut ann = ChatUser::with_token(address, &log_in(address, "Ann"));
    ann.ask("delete_account", json!({"password": PASSWORD})).unwrap();
    assert_eq!(owner.sign_in("/api/register", PASSWORD).0, 201);
    use_up_guesses(address);
    assert_eq!(earlier.log_in(PASSWORD), (429, "too_fast".to_owned()));
    assert_eq!(owner.log_in(PASSWORD).0, 200);
}
