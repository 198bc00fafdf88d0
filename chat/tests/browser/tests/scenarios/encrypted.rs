//! The chat over https, with a certificate of an authority that the browser trusts.

use serde_json::{Value, json};
use switchboard_browser::{Authority, Chat, Display, User};

/// Returns the server's certificate as this page's browser got it.
fn certificate(user: &User) -> Value {
    // The browser tells those of later requests.
    user.call("Network.enable", json!({}));
    user.evaluate("fetch('/client.js', { cache: 'no-store' }).then((answer) => answer.status)");
    let origin = user.evaluate("location.origin");
    user.call("Network.getCertificate", json!({"origin": origin}))["tableNames"][0].take()
}

#[test]
fn users_write_over_https_and_notice_nothing_of_a_new_certificate() {
    let authority = Authority::new();
    let chat = Chat::open_encrypted(&authority, &[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    for user in [&ada, &ben] {
        user.wait_for_value("[location.protocol, isSecureContext]", json!(["https:", true]));
        user.evaluate(
            "void (window.states = [], new MutationObserver(() => states.push($('#connection').dataset.state))
                .observe($('#connection'), { attributes: true, attributeFilter: ['data-state'] }))",
        );
    }
    let cookies = ada.call("Network.getCookies", json!({}))["cookies"].take();
    let mut cookies: Vec<_> = cookies.as_array().expect("a list").iter().collect();
    cookies.sort_by_key(|cookie| cookie["name"].to_string());
    let names: Vec<_> = cookies.iter().map(|cookie| &cookie["name"]).collect();
    assert_eq!(names, ["__Host-switchboard-device", "__Host-switchboard-session"]);
    for cookie in cookies {
        let rules = ["secure", "httpOnly", "sameSite", "path"].map(|rule| &cookie[rule]);
        assert_eq!(rules, [&json!(true), &json!(true), &json!("Strict"), &json!("/")], "{cookie}");
    }
    // The policy of the page names the scheme of its WebSocket alone.
    let policy = "fetch('/').then((answer) => answer.headers.get('Content-Security-Policy'))";
    let policy = ada.evaluate(policy).as_str().expect("a policy").to_owned();
    assert!(policy.contains("wss://127.0.0.1:") && !policy.contains(" ws://"), "{policy}");

    ada.say("Is this line safe?");
    ben.sees_messages(&[("Ada", "Is this line safe?")]);
    let first = certificate(&ada);
    assert!(first.is_string(), "{first}");
    authority.renew();
    chat.server.reload_certificates();
    // Others get the new one. (A browser that resumes its session is shown none.)
    let is_new = |_| certificate(&chat.visitor("Eve", Display::default())) != first;
    assert!((0..100).any(is_new), "the certificate is not replaced");
    ben.say("It is, and it was a moment ago.");
    ada.sees_messages(&[("Ada", "Is this line safe?"), ("Ben", "It is, and it was a moment ago.")]);
    for user in [&ada, &ben] {
        assert_eq!(user.evaluate("states"), json!([]), "the connection of {}", user.name());
    }
    ada.network.cut();
    ada.network.restore();
    ada.evaluate("location.reload()");
    ada.wait_until_connected();
    ada.sees_messages(&[("Ada", "Is this line safe?"), ("Ben", "It is, and it was a moment ago.")]);
}
