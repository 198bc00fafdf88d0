//! Web addresses in texts of users are links, which show where they lead.

use serde_json::json;
use switchboard_browser::{Chat, Expected};

#[test]
fn an_address_whose_host_reads_differently_shows_where_it_leads() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let rows = [
        ("https://example.org/", json!([null])),
        ("https://EXAMPLE.org:443/\u{E9}", json!([null])),
        // Cyrillic letters.
        ("https://\u{430}\u{440}\u{440}\u{4CF}\u{435}.com/", json!(["xn--80ak6aa92e.com"])),
        ("https://b\u{FC}cher.example", json!(["xn--bcher-kva.example"])),
        ("https://bank.example\u{2215}a.evil.example/", json!(["bank.xn--examplea-4f7d.evil.example"])),
        ("https://\u{24D4}vil.example/ https://0x7f.1/", json!(["evil.example", "127.0.0.1"])),
        ("https:///evil.example/", json!(["evil.example"])),
        ("https://\u{5D0}\u{5D1}.\u{5D2}\u{5D3}/", json!(["xn--4dbc.xn--6dbc"])),
    ];
    for (text, hosts) in rows {
        ada.say(text);
        ada.wait_for_value("$$('.messages .message').at(-1).querySelector('.text').textContent", text);
        let links = ada.evaluate(
            "$$('.messages .message').at(-1).querySelectorAll('.text a').values().map((link) =>
                [link.dataset.host ?? null, getComputedStyle(link, '::after').content, new URL(link.href).host]).toArray()",
        );
        for (link, host) in links.as_array().expect("links").iter().zip(hosts.as_array().expect("hosts")) {
            assert_eq!(link[0], *host, "{text}");
            let shown = link[1].as_str().expect("a string");
            assert_eq!(shown.contains(host.as_str().unwrap_or("(")), !host.is_null(), "{text}: {shown}");
        }
        assert_eq!(links.as_array().map(Vec::len), hosts.as_array().map(Vec::len), "{text}");
    }
}

#[test]
fn addresses_in_topics_and_notices_are_links() {
    const TOPIC: &str = "Rules: https://rules.example/ (please read)";
    let chat = Chat::open(&[]);
    chat.browser.expect(Expected::NoConnection);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    ada.create_room("Den", "public");
    ada.click("#topic-edit");
    ada.fill("#ask-input", TOPIC);
    ada.click("#ask-yes");
    ben.open_room_search();
    ben.click("#found-rooms li:first-child button");
    ben.wait_for_value("$('#preview-topic a').href", "https://rules.example/");
    ben.click("#preview-join");
    for place in ["#room-topic", "#about-topic", ".line[data-kind=topic] bdi"] {
        ada.wait_for_value(&format!("$({})?.textContent", json!(place)), TOPIC);
        ada.wait_for_value(&format!("$({}).href", json!(format!("{place} a"))), "https://rules.example/");
    }
    ben.wait_for_value("$('#room-topic a').href", "https://rules.example/");

    // The notice of a text that could not be sent.
    ben.network.cut();
    ben.wait_until_disconnected();
    ben.say("See https://example.org/.");
    ada.click("#remove");
    ada.click("#ask-yes");
    ada.wait_for_value("$('#room-name').textContent", "Lobby");
    ben.network.restore();
    ben.wait_until_connected();
    ben.wait_for_value("$('.notice bdi').textContent", "See https://example.org/.");
    ben.wait_for_value("[$('.notice a').href, $('.notice a').target]", json!(["https://example.org/", "_blank"]));
}
