//! HS-05: requests from foreign web pages, to which a browser adds the chat's cookies.

use serde_json::{Value, json};
use switchboard::client::ClientError;
use switchboard_tests::server::{HttpResponse, Raw, builder};

use super::{chat, generous_chat};
use crate::support::{
    chat_user::{AS_JSON, ChatUser, Event, guest, json_of, post, request, request_over},
    program::Program,
};

/// The result of opening the WebSocket with a user's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Welcome,
    /// Accepted, but unauthenticated.
    NoSession,
    Refused(u16),
}

use Outcome::{NoSession, Refused, Welcome};

/// Opens the WebSocket with this Host and Origin.
fn open(program: &Program, host: &str, origin: Option<&str>, fields: &[(&str, &str)]) -> Outcome {
    let mut builder = builder().address(program.address());
    if let Some(origin) = origin {
        builder = builder.origin(origin);
    }
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    match builder.connect(&format!("ws://{host}/ws")) {
        Ok(client) => {
            let mut user = ChatUser::over(client);
            user.send("sessions", &Value::Null);
            match user.receive() {
                Ok(Event { name, .. }) if name == "welcome" => Welcome,
                Ok(Event { name, data, .. }) if name == "error" && data["code"] == "no_session" => NoSession,
                other => panic!("{other:?}"),
            }
        }
        Err(ClientError::Refused { response, .. }) => Refused(response.status()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn hs_05_a_cookie_opens_the_chat_for_its_own_pages_only() {
    let program = chat(&["--origin", "https://friend.example"]);
    let (address, port) = (program.address().to_string(), program.address().port());
    let localhost = format!("localhost:{port}");
    let rows: &[(&str, Option<String>, Outcome)] = &[
        (&address, Some(format!("http://{address}")), Welcome),
        (&address, Some(format!("https://{address}")), Welcome),
        (&localhost, Some(format!("http://{localhost}")), Welcome),
        (&localhost, Some(format!("http://LOCALHOST:{port}")), Welcome),
        (&address, None, NoSession),
        (&address, Some("https://friend.example".into()), NoSession),
        (&address, Some("HTTPS://FRIEND.example".into()), NoSession),
        (&address, Some("http://friend.example".into()), Refused(403)),
        (&address, Some("https://friend.example:8443".into()), Refused(403)),
        (&address, Some("https://friend.example.evil.example".into()), Refused(403)),
        (&address, Some(format!("http://{localhost}")), Refused(403)),
        (&address, Some("http://127.0.0.1".into()), Refused(403)),
        (&address, Some(format!("http://127.0.0.1:{}", port ^ 1)), Refused(403)),
        (&address, Some(format!("http://{address}.evil.example")), Refused(403)),
        (&address, Some(format!("http://evil.example/{address}")), Refused(403)),
        (&address, Some("https://evil.example".into()), Refused(403)),
        (&address, Some("null".into()), Refused(403)),
        (&address, Some("".into()), Refused(403)),
        // DNS rebinding: a foreign page's name points at the chat's address.
        ("evil.example", Some("http://evil.example".into()), Refused(421)),
        ("evil.example", None, Refused(421)),
        ("127.0.0.1.evil.example", None, Refused(421)),
    ];
    check(&program, "switchboard-session", rows);
}

#[test]
fn hs_05_with_a_public_url_only_its_pages_have_the_cookie() {
    let rows = |own: &str, other_scheme: &str| {
        [
            ("chat.example", Some(own.to_owned()), Welcome),
            ("CHAT.example:8080", Some(own.to_ascii_uppercase()), Welcome),
            ("chat.example", Some("https://friend.example".to_owned()), NoSession),
            ("chat.example", None, NoSession),
            ("chat.example", Some(other_scheme.to_owned()), Refused(403)),
            ("chat.example", Some(format!("{own}:8080")), Refused(403)),
            ("chat.example", Some(format!("{own}.evil.example")), Refused(403)),
            ("chat.example", Some("https://evil.example".to_owned()), Refused(403)),
            ("chat.example", Some("null".to_owned()), Refused(403)),
            ("friend.example", Some("https://friend.example".to_owned()), Refused(421)),
        ]
    };
    let (https, http) = ("https://chat.example", "http://chat.example");
    for (own, other, cookie) in [(https, http, "__Host-switchboard-session"), (http, https, "switchboard-session")] {
        let program = chat(&["--guests", "--public-url", own, "--origin", "https://friend.example"]);
        check(&program, cookie, &rows(own, other));
        // A cookie with the other scheme's name is ignored.
        let token = guest(program.address(), "Zoe");
        let other = if cookie == "switchboard-session" { "__Host-switchboard-session" } else { "switchboard-session" };
        let fields = [("Cookie", &*format!("{other}={token}"))];
        assert_eq!(open(&program, "chat.example", Some(own), &fields), NoSession);
    }
}

/// Checks each row with a cookie, and with a token in a header. The token counts on every accepted connection: no
/// browser adds it by itself.
fn check(program: &Program, cookie: &str, rows: &[(&str, Option<String>, Outcome)]) {
    let token = guest(program.address(), "Ann");
    for (host, origin, expected) in rows {
        let cookies = format!("theme=dark; {cookie}={token}; last=1");
        let seen = open(program, host, origin.as_deref(), &[("Cookie", &cookies)]);
        assert_eq!(seen, *expected, "a cookie at {host} from {origin:?}");
        let expected = if *expected == NoSession { Welcome } else { *expected };
        for fields in [
            &[("Authorization", &*format!("Bearer {token}"))][..],
            &[("Authorization", &*format!("bearer {token}")), ("Cookie", &*format!("{cookie}=x"))],
        ] {
            let seen = open(program, host, origin.as_deref(), fields);
            assert_eq!(seen, expected, "a token at {host} from {origin:?}");
        }
    }
}

#[test]
fn hs_05_the_cookie_is_kept_from_scripts_and_other_sites() {
    for (options, attributes) in [
        (&[][..], "Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict"),
        (&["--public-url", "http://chat.example"], "Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict"),
        (&["--public-url", "https://chat.example"], "Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict; Secure"),
    ] {
        let program = chat(&[&["--guests"], options].concat());
        let answer = post(program.address(), "/api/guest", &json!({"name": "Ann"}));
        let (cookie, given) = answer.header("Set-Cookie").expect("a cookie").split_once("; ").unwrap();
        assert_eq!((answer.status, given), (201, attributes));
        assert_eq!(cookie.starts_with("__Host-switchboard-session="), attributes.ends_with("Secure"), "{cookie}");
        assert!(json_of(&answer).get("token").is_none(), "no script can read the token from the response");
        // A request for a token gets no cookie.
        let answer = post(program.address(), "/api/guest", &json!({"name": "Bob", "token": true}));
        assert_eq!((answer.status, answer.header("Set-Cookie")), (201, None));
        let answer = request(program.address(), "POST", "/api/logout", &[("Cookie", cookie)], "");
        let emptied = format!("{}=; {}", cookie.split('=').next().unwrap(), attributes.replace("31536000", "0"));
        assert_eq!((answer.status, answer.header("Set-Cookie")), (204, Some(&*emptied)));
        let answer = request(program.address(), "GET", "/api/session", &[("Cookie", cookie)], "");
        assert_eq!(json_of(&answer)["you"], Value::Null, "the session has ended, not only its cookie");
    }
}

#[test]
fn hs_05_posts_from_other_pages_are_refused_and_change_nothing() {
    let program = chat(&["--origin", "https://friend.example", "--sign-up-rate", "100+1/h"]);
    let address = program.address();
    let token = guest(address, "Ann");
    let (own, cookie) = (format!("http://{address}"), format!("switchboard-session={token}"));
    let local = format!("http://localhost:{}", address.port());
    let body = json!({"name": "Eve", "password": "correct horse"}).to_string();
    for origin in ["https://evil.example", "https://friend.example", "null", "", &*local] {
        for path in ["/api/register", "/api/login", "/api/guest", "/api/logout", "/api/nothing"] {
            let fields = [AS_JSON, ("Origin", origin), ("Cookie", &cookie)];
            let answer = request(address, "POST", path, &fields, &body);
            assert_eq!(refused(&answer), (403, "foreign_origin".into()), "{path} from {origin:?}");
            assert_eq!(answer.header("Set-Cookie"), None);
        }
        // A GET is answered, without the user's data.
        let answer = request(address, "GET", "/api/session", &[("Origin", origin), ("Cookie", &cookie)], "");
        assert_eq!((answer.status, &json_of(&answer)["you"]), (200, &Value::Null), "{origin:?}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
    }
    let preflight = [("Origin", "https://friend.example"), ("Access-Control-Request-Method", "POST")];
    let answer = request(address, "OPTIONS", "/api/login", &preflight, "");
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.headers("Access-Control-Allow-Origin").chain(answer.headers("Access-Control-Allow-Methods")).count(),
        0
    );
    // No browser sends two Origins.
    for origins in [[&*own, "https://evil.example"], ["https://evil.example", &*own], [&*own, &*own]] {
        let fields = [("Cookie", &*cookie), ("Origin", origins[0]), ("Origin", origins[1])];
        let answer = request(address, "POST", "/api/logout", &fields, "");
        assert_eq!(refused(&answer), (403, "foreign_origin".into()), "{origins:?}");
    }
    // Ann is still signed in, and nobody is called Eve.
    assert_eq!(open(&program, &address.to_string(), Some(&own), &[("Cookie", &cookie)]), Welcome);
    let answer = request(address, "POST", "/api/guest", &[AS_JSON, ("Origin", &own)], r#"{"name": "Eve"}"#);
    assert_eq!(answer.status, 201);
}

/// A page may send these types without a preflight request.
#[test]
fn hs_05_bodies_with_a_type_that_a_form_can_send_are_refused() {
    let program = generous_chat();
    let address = program.address();
    let rows: &[(&[&str], u16)] = &[
        (&[], 415),
        (&[""], 415),
        (&["text/plain"], 415),
        (&["text/plain; charset=application/json"], 415),
        (&["application/x-www-form-urlencoded"], 415),
        (&["multipart/form-data; boundary=x"], 415),
        (&["application/jsonx"], 415),
        (&["application/json, text/plain"], 415),
        (&["x-application/json"], 415),
        (&["text/plain", "application/json"], 415),
        (&["application/json"], 201),
        (&["Application/JSON ; charset=utf-8"], 201),
    ];
    for (number, (types, expected)) in rows.iter().enumerate() {
        for path in ["/api/guest", "/api/register"] {
            let fields: Vec<_> = types.iter().map(|kind| ("Content-Type", *kind)).collect();
            let name = format!("Ann{number}{}", path.len());
            let body = json!({"name": name, "password": "correct horse"}).to_string();
            let answer = request(address, "POST", path, &fields, &body);
            assert_eq!(answer.status, *expected, "{path}, {types:?}");
            if *expected == 415 {
                assert_eq!(refused(&answer), (415, "bad_type".into()));
            }
        }
    }
}

/// DNS rebinding: a foreign name that points at the chat's address.
#[test]
fn hs_05_requests_for_another_host_are_misdirected() {
    let program = chat(&["--public-url", "https://chat.example"]);
    let hosts = [("evil.example", 421), ("chat.example.evil.example", 421), ("localhost", 200), ("chat.example", 200)];
    for (host, expected) in hosts {
        for path in ["/", "/api/session"] {
            let answer = request_over(&mut Raw::connect(program.address()), host, "GET", path, &[], "");
            assert_eq!(answer.status, expected, "{path} at {host}");
        }
    }
}

/// Returns status and code of an error response.
fn refused(answer: &HttpResponse) -> (u16, String) {
    (answer.status, json_of(answer)["error"]["code"].as_str().unwrap_or_default().to_owned())
}
