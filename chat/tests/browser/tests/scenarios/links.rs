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

/// Without the character that nobody sees, `https://bank.exa` would be read as another address.
#[test]
fn an_address_that_a_hidden_character_touches_is_no_link() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let links = |text: &str| {
        // The browser would not type some of these characters.
        ada.evaluate(&format!(
            "($('#text').value = {}, $('#text').dispatchEvent(new Event('input')), $('#send').click()) ?? true",
            json!(text)
        ));
        ada.wait_for_value("$$('.messages .message').at(-1)?.querySelector('.text').textContent", text);
        ada.evaluate("[...$$('.messages .message').at(-1).querySelectorAll('.text a')].map((link) => link.textContent)")
    };
    for hidden in HIDDEN {
        let text = [
            format!("https://bank.exa{hidden}mple/login https://example.org/1"),
            format!("https://bank.example/{hidden}evil. https://example.org/2"),
            format!("https://bank.example/.{hidden}/https://evil.example/ https://example.org/3"),
            format!("{hidden}https://bank.example/ https://example.org/4"),
            format!("(https://bank.example/){hidden}) https://example.org/5"),
        ];
        let expected: Vec<_> = (1..=5).map(|number| format!("https://example.org/{number}")).collect();
        assert_eq!(links(&text.join("\n")), json!(expected), "{}", hidden.escape_unicode());
    }
    let text = "https://example.org/1\thttps://example.org/2\u{A0}https://example.org/3\u{3000}\
        https://example.org/\u{2764}\u{FE0F}/4 https://example.org/5\u{300C}\u{200B}";
    assert_eq!(links(text).as_array().map(Vec::len), Some(5));
}

/// Spaces and joiners without width, marks of direction, selectors, tags, blanks, what no font has.
const HIDDEN: &[&str] = &[
    "\u{200B}",
    "\u{200D}",
    "\u{2060}",
    "\u{FEFF}",
    "\u{AD}",
    "\u{34F}",
    "\u{202E}",
    "\u{2066}",
    "\u{2069}",
    "\u{200F}",
    "\u{61C}",
    "\u{FE0F}",
    "\u{FE00}",
    "\u{180B}",
    "\u{E0041}",
    "\u{E0100}",
    "\u{3164}",
    "\u{2800}",
    "\u{FFFC}",
    "\u{200A}",
    "\u{2028}",
    "\u{E000}",
    "\u{378}",
];

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
    for place in ["#room-topic", "#about-topic", ".line[data-kind=topic] bdi:not(.named)"] {
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
