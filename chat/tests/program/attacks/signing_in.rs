//! AP-01: signing in as another user.

use std::{fs, net::IpAddr, process::Command};

use serde_json::{Value, json};
use switchboard_tests::server::{HttpResponse, Raw};

use super::{PLENTY, chat, generous_chat};
use crate::support::{
    chat_user::{AS_JSON, PASSWORD, account, guest, json_of, post, request, request_over},
    folder::Folder,
    program::{PATH, start_command},
};

#[test]
fn ap_01_guessing_a_password_is_limited_per_address() {
    let program = chat(&["--sign-in-rate", "5+1/h"]);
    let address = program.address();
    account(address, "Ann");
    let guess = |password: &str| post(address, "/api/login", &json!({"name": "Ann", "password": password}));
    for number in 0..5 {
        // The right password is no guess.
        assert_eq!(guess(PASSWORD).status, 200);
        assert_eq!(guess(&format!("wrong horse {number}")).status, 401);
    }
    // Even the right password is refused, and so is another account's.
    for name in ["Ann", "Bob"] {
        let answer = post(address, "/api/login", &json!({"name": name, "password": PASSWORD}));
        assert_eq!(refusal(&answer), (429, "too_many_attempts".to_owned()), "{name}");
        let wait: u64 = answer.header("Retry-After").expect("Retry-After").parse().unwrap();
        assert!((3_500..=3_601).contains(&wait), "{wait}");
    }
    // New users of this address come in, and another address is not affected.
    for (path, name) in [("/api/register", "Bob"), ("/api/guest", "Cem")] {
        assert_eq!(post(address, path, &json!({"name": name, "password": PASSWORD})).status, 201, "{path}");
    }
    let mut other = Raw::connect_from(IpAddr::from([127, 0, 0, 2]), address);
    let body = json!({"name": "Ann", "password": PASSWORD}).to_string();
    let answer = request_over(&mut other, &address.to_string(), "POST", "/api/login", &[AS_JSON], body);
    assert_eq!(answer.status, 200);
}

#[test]
fn ap_01_thirty_guests_of_one_address_come_in_at_once_and_a_flood_of_them_does_not() {
    let program = chat(&[]);
    let enter = |number: u32| post(program.address(), "/api/guest", &json!({"name": format!("Guest {number}")}));
    for number in 0..30 {
        assert_eq!(enter(number).status, 201, "guest {number}");
    }
    let refused = (30..200).map(enter).find(|answer| answer.status != 201).expect("a refusal");
    assert_eq!(refusal(&refused), (429, "too_many_sign_ups".to_owned()));
    let message = json_of(&refused)["error"]["message"].to_string();
    assert!(message.contains("from your network"), "{message}");
}

/// A request to log in through a proxy, for a client of this address.
pub(super) fn log_in_from(raw: &mut Raw, from: &str, body: &Value, cookie: Option<&str>) -> HttpResponse {
    let mut fields = vec![AS_JSON, ("X-Forwarded-For", from), ("Origin", "http://localhost")];
    fields.extend(cookie.map(|cookie| ("Cookie", cookie)));
    request_over(raw, "localhost", "POST", "/api/login", &fields, body.to_string())
}

/// A subscriber's /48 has 65,536 /64s, each with attempts of its own.
#[test]
fn ap_01_one_network_cannot_fill_the_queue_of_passwords() {
    let program = chat(&["--trusted-proxy", "127.0.0.1", "--sign-in-rate", PLENTY, "--sign-up-rate", PLENTY]);
    let address = program.address();
    account(address, "Ann");
    let body = json!({"name": "Ann", "password": "a wrong horse"}).to_string();
    let mut flood: Vec<_> = (0..150)
        .map(|number| {
            let mut raw = Raw::connect(address);
            raw.write(format!(
                "POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 X-Forwarded-For: 2001:db8:1:{number:x}::1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            raw
        })
        .collect();
    let right = json!({"name": "Ann", "password": PASSWORD});
    let answer = log_in_from(&mut Raw::connect(address), "2001:db8:2::1", &right, None);
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut answers: Vec<u16> = flood.iter_mut().map(|raw| raw.response().status).collect();
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers, [401, 503], "the network has filled its own places");
}

#[test]
fn ap_01_a_known_device_logs_in_while_strangers_use_up_the_attempts_at_its_account() {
    let program = chat(&["--trusted-proxy", "127.0.0.1", "--sign-in-rate", "3+1/h"]);
    let address = program.address();
    let [ann, bob] = ["Ann", "Bob"].map(|name| {
        let fields = [AS_JSON, ("Origin", "http://localhost")];
        let body = json!({"name": name, "password": PASSWORD}).to_string();
        let made = request_over(&mut Raw::connect(address), "localhost", "POST", "/api/register", &fields, body);
        assert_eq!(made.status, 201);
        let cookies: Vec<&str> = made.headers("Set-Cookie").collect();
        let device =
            cookies.iter().find(|cookie| cookie.starts_with("switchboard-device=")).expect("a cookie of the device");
        for attribute in ["HttpOnly", "SameSite=Strict", "Max-Age=7776000"] {
            assert!(device.contains(attribute), "{device}");
        }
        device.split(';').next().unwrap().to_owned()
    });
    let (right, wrong) =
        (json!({"name": "Ann", "password": PASSWORD}), json!({"name": "Ann", "password": "wrong horse"}));
    let mut raw = Raw::connect(address);
    let mut log_in = |from: &str, body: &Value, cookie: Option<&str>| {
        let answer = log_in_from(&mut raw, from, body, cookie);
        (answer.status, if answer.status == 200 { String::new() } else { refusal(&answer).1 })
    };
    let (welcome, wrong_password) = ((200, String::new()), (401, "bad_credentials".to_owned()));
    let (account_full, network_full) = ((429, "too_fast".to_owned()), (429, "too_many_attempts".to_owned()));
    // Strangers of many networks, each within its own limit.
    for network in 0..30 {
        assert_eq!(log_in(&format!("10.1.{network}.1"), &wrong, None), wrong_password, "network {network}");
    }
    assert_eq!(log_in("10.2.0.1", &right, None), account_full);
    // Ann's own network has no attempts left either.
    for _ in 0..3 {
        let other = json!({"name": "Nobody", "password": "wrong horse"});
        assert_eq!(log_in("10.3.0.1", &other, None), wrong_password);
    }
    assert_eq!(log_in("10.3.0.1", &right, None), network_full);
    let forged = ann.replace(|c: char| c.is_ascii_digit(), "A");
    for (cookie, whose) in
        [(&bob, "Bob's"), (&forged, "a forged one"), (&"switchboard-device=".to_owned(), "an empty one")]
    {
        assert_eq!(log_in("10.3.0.1", &right, Some(cookie)), network_full, "{whose}");
    }
    for _ in 0..10 {
        assert_eq!(log_in("10.3.0.1", &right, Some(&ann)), welcome);
    }
    // Nor do others of its network, who use up all sign-ins there, keep it out.
    let guest = |number: usize| {
        let fields = [AS_JSON, ("X-Forwarded-For", "10.3.0.1"), ("Origin", "http://localhost")];
        let body = json!({"name": format!("Guest {number}")}).to_string();
        request_over(&mut Raw::connect(address), "localhost", "POST", "/api/guest", &fields, body).status
    };
    assert!((0..200).map(guest).any(|status| status == 429));
    assert_eq!(log_in("10.3.0.1", &right, Some(&ann)), welcome);
    // Guesses from a stolen device are limited, too.
    for _ in 0..3 {
        assert_eq!(log_in("10.3.0.1", &wrong, Some(&ann)), wrong_password);
    }
    assert_eq!(log_in("10.3.0.1", &right, Some(&ann)), network_full);
}

/// Returns the status and the code of a refusal.
pub(super) fn refusal(answer: &HttpResponse) -> (u16, String) {
    let code = json_of(answer)["error"]["code"].as_str().unwrap_or_else(|| panic!("no code in {answer:?}")).to_owned();
    (answer.status, code)
}

#[test]
fn ap_01_unknown_names_and_wrong_passwords_get_the_same_answer() {
    let program = generous_chat();
    let address = program.address();
    account(address, "Ann");
    guest(address, "Bob");
    let rows = [
        ("Ann", "wrong horse", "a wrong password"),
        ("Ann", "", "no password"),
        ("Ann", "short", "an invalid password"),
        ("Ann", &"x".repeat(300), "a password over the limit"),
        ("Bob", PASSWORD, "a guest"),
        ("Cem", PASSWORD, "an unknown name"),
        ("Cem", "", "an unknown name without a password"),
        ("", PASSWORD, "no name"),
        ("\u{0}", PASSWORD, "an invalid name"),
        (&"x".repeat(33), PASSWORD, "a name over the limit"),
        ("ann' OR '1'='1", PASSWORD, "a piece of SQL"),
    ];
    let answers = rows.map(|(name, password, what)| {
        let answer = post(address, "/api/login", &json!({"name": name, "password": password}));
        // A second may pass between two answers.
        let head: Vec<_> = answer.head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect();
        assert_eq!(head.len(), answer.head.lines().count() - 1, "{what}: a Date");
        (what, answer.status, head, answer.body)
    });
    let (_, status, head, body) = &answers[0];
    assert_eq!(*status, 401);
    for (what, other_status, other_head, other_body) in &answers {
        assert_eq!((other_status, other_head, other_body), (status, head, body), "{what}");
    }
    assert_eq!(post(address, "/api/login", &json!({"name": "ANN", "password": PASSWORD})).status, 200);
}

#[test]
fn ap_01_a_taken_name_and_names_that_look_like_it_are_refused() {
    let program = generous_chat();
    let address = program.address();
    account(address, "Paypal");
    guest(address, "Lovelace");
    let (taken, no_name) = ((409, "name_taken"), (400, "bad_name"));
    for (name, expected) in [
        ("Paypal", taken),
        ("paypal", taken),
        (" PAYPAL ", taken),
        ("Paypa1", taken),
        ("PaypaI", taken),                                     // a capital i
        ("\u{440}\u{430}\u{443}\u{440}\u{430}\u{4cf}", taken), // Cyrillic
        ("\u{ff30}aypal", taken),                              // full-width
        ("P\u{430}ypal", no_name),                             // one letter is Cyrillic
        ("Paypal\u{200b}", no_name),                           // a zero-width space
        ("Lovelace", taken),
        ("love1ace", taken),
        ("Ben:", no_name), // what follows it would read as Ben's words
    ] {
        for path in ["/api/guest", "/api/register"] {
            let answer = post(address, path, &json!({"name": name, "password": PASSWORD}));
            let code = json_of(&answer)["error"]["code"].clone();
            assert_eq!((answer.status, code.as_str().unwrap()), expected, "{path} {name:?}");
        }
    }
}

/// The log has the client's address, so that an operator can block it, and no secrets.
#[test]
fn ap_01_refused_requests_are_logged_without_secrets() {
    let folder = Folder::new("refusals");
    let log = format!("{}/log", folder.path());
    let logging = ["-c", "exec \"$0\" \"$@\" 2>\"$LOG\"", PATH, "-v", "--data", ":memory:", "--listen", "127.0.0.1:0"];
    let program = start_command(Command::new("sh").args(logging).env("LOG", &log));
    let address = program.address();
    let token = account(address, "Ann");
    let guesses = ["wrong horse 1", "wrong horse 2"];
    for guess in guesses {
        assert_eq!(post(address, "/api/login", &json!({"name": "Ann", "password": guess})).status, 401);
    }
    let fields = [AS_JSON, ("Origin", "https://evil.example"), ("Cookie", &*format!("switchboard-session={token}"))];
    assert_eq!(request(address, "POST", "/api/logout", &fields, "").status, 403);
    drop(program);
    let log = fs::read_to_string(log).unwrap();
    let lines = |what: &str| log.lines().filter(|line| line.contains("127.0.0.1:") && line.contains(what)).count();
    assert_eq!(lines(r#""/api/login" is refused: bad_credentials"#), guesses.len(), "{log}");
    assert_eq!(lines(r#""/api/logout" is refused: foreign_origin"#), 1, "{log}");
    for secret in [PASSWORD, &token, guesses[0], guesses[1]] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn ap_01_disabled_registration_and_guests_get_an_error() {
    let program = chat(&["--no-guests", "--no-registration"]);
    for (path, code) in [("/api/guest", "guests_off"), ("/api/register", "registration_off")] {
        let answer = post(program.address(), path, &json!({"name": "Ann", "password": PASSWORD}));
        assert_eq!((answer.status, &json_of(&answer)["error"]["code"]), (403, &json!(code)));
    }
}

/// Markup is text: it comes back unchanged in JSON, which no browser renders.
#[test]
fn ap_01_markup_in_names_and_errors_comes_back_as_json() {
    let program = generous_chat();
    let name = "<script>alert(1)</script>";
    let is_json = |answer: &HttpResponse| {
        assert_eq!(answer.header("Content-Type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{answer:?}");
    };
    let answer = post(program.address(), "/api/guest", &json!({"name": name}));
    assert_eq!((answer.status, &json_of(&answer)["you"]["name"]), (201, &json!(name)));
    is_json(&answer);
    for body in [json!({"name": "<img\tsrc=x>"}), json!({"name": {"<b>": 1}}), json!("<b>"), Value::Null] {
        let answer = post(program.address(), "/api/guest", &body);
        assert_eq!(answer.status, 400, "{body}");
        is_json(&answer);
    }
    // The page runs only its own files.
    for path in ["/", "/?<script>", "/client.js"] {
        let address = program.address().to_string();
        let page = request_over(&mut Raw::connect(program.address()), &address, "GET", path, &[], "");
        let policy = page.header("Content-Security-Policy").expect("a policy");
        assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}
