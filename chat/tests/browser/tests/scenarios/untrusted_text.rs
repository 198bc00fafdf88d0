//! Messages, topics and names are shown as text: they never become markup, never run, and never overflow their element.
//! If one became a script, the content security policy would refuse it, which is a fault.

use serde_json::json;
use switchboard_browser::{Chat, User};

/// Texts that look like markup, scripts or layout.
const TEXTS: &[&str] = &[
    "<script>document.title = 'mine'</script>",
    "<img src=x onerror=\"document.title = 'mine'\">",
    "<svg onload=\"document.title = 'mine'\"></svg>",
    "</p></div></article><h1>Huge</h1>",
    "&lt;b&gt; &amp;amp; &#x3c;i&#x3e;",
    "{name} ${document.cookie} {{constructor}}",
    "javascript:document.title='mine'",
    "JaVaScRiPt://example.org/%0adocument.title='mine'",
    "data:text/html,<script>alert(1)</script>",
    "https://chat.example@evil.example/",
    "\u{202e}gnihtemos ton si siht\u{202c} \u{2067}abc",
    "oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo\
     oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo",
    "Z\u{334}\u{321}\u{31b}\u{316}\u{34d}\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}algo",
];

#[test]
fn message_text_is_never_markup() {
    let chat = Chat::open(&[]);
    let [ada, ben] = ["Ada", "Ben"].map(|name| chat.user(name));
    for text in TEXTS {
        ada.say(text);
    }
    let all: Vec<_> = TEXTS.iter().map(|text| ("Ada", *text)).collect();
    for user in [&ada, &ben] {
        user.sees_messages(&all);
        user.wait_for_value("$$('.message .text *').length", 0);
        user.wait_for_value("document.title", "Lobby – switchboard");
        // No text is wider than its message, and no message is wider than the log.
        user.wait_for_value(
            "$$('.message .text').filter((text) => text.scrollWidth > text.clientWidth + 1
                || text.getBoundingClientRect().right > $('.log:not([hidden])').getBoundingClientRect().right)
                .map(({ textContent }) => textContent)",
            json!([]),
        );
    }
}

#[test]
fn web_addresses_become_links_that_open_without_an_opener() {
    let chat = Chat::open(&[]);
    let ada = chat.user("Ada");
    let rows = [
        ("Look at https://example.org/a?b=c#d, please.", json!(["https://example.org/a?b=c#d"])),
        ("(http://example.org/x_(y))", json!(["http://example.org/x_(y)"])),
        ("https://one.example https://two.example/", json!(["https://one.example/", "https://two.example/"])),
        ("https://evil.example/\"onclick=\"alert(1)", json!(["https://evil.example/"])),
        ("ftp://example.org mailto:a@example.org //example.org", json!([])),
    ];
    for (text, links) in rows {
        ada.say(text);
        ada.wait_for_value("$$('.messages .message').at(-1).querySelector('.text').textContent", text);
        ada.wait_for_value(
            "$$('.messages .message').at(-1).querySelectorAll('a').values().map(({ href }) => href).toArray()",
            links,
        );
    }
    ada.wait_for("$$('.message .text a').length === 5");
    ada.wait_for(
        "$$('.message .text a').every(({ rel, target }) => target === '_blank' && rel.split(' ').includes('noopener'))",
    );
}

/// A name may have any words, also those of the page. Their looks tell them apart.
#[test]
fn no_name_looks_like_words_of_the_page() {
    const EVE: &str = "Eve (operator)";
    const YOU: &str = "You left and Ben";
    let chat = Chat::open(&[]);
    let [eve, you, ben] = [EVE, YOU, "Ben"].map(|name| chat.user(name));
    chat.make_operator(&ben);
    eve.create_room("Den and all you have", "public");
    eve.click("#topic-edit");
    eve.fill("#ask-input", "What (operators) say");
    eve.click("#ask-yes");
    for user in [&you, &ben] {
        user.open_room_search();
        user.click("#found-rooms li:first-child button");
        user.click("#preview-join");
        user.wait_for_value("$('#room-name').textContent", "Den and all you have");
    }
    you.say("To be deleted");
    let message = format!(".log:not([hidden]) .message[data-from=\"{YOU}\"]");
    eve.wait_for(&format!("$({})", json!(message)));
    eve.evaluate(&format!("$({}).focus()", json!(message)));
    eve.click(&format!("{message} .delete"));
    eve.click("#ask-yes");
    ben.wait_for("$('.message.deleted')");
    eve.fill("#text", "...");
    ben.wait_for("$('#typing').textContent !== ''");
    assert_names_stand_out(&ben, &[".line[data-kind=topic]", ".line[data-kind=joined]", ".deleted .text", "#typing"]);
    ben.wait_for_value(
        "$$('#member-list .tag').map((tag) => [tag.closest('button').dataset.user, tag.textContent])",
        json!([[EVE, "owner"], ["Ben", "you"], ["Ben", "operator"]]),
    );
    let is_apart = "$$('#member-list .tag').every((tag) =>
        tag.closest('button').querySelector('.name').textContent === tag.closest('button').dataset.user
        && getComputedStyle(tag).borderStyle === 'solid')";
    ben.wait_for(is_apart);
    eve.click(&format!("#member-list [data-user=\"{YOU}\"]"));
    eve.click("#user-kick");
    assert_names_stand_out(&eve, &["#ask-title"]);
    eve.click("#ask-yes");
    you.wait_for("$('#toasts p')");
    assert_names_stand_out(&you, &["#toasts p"]);
    you.click("#account-open");
    you.click("#delete-account");
    you.fill("#ask-input", "correct horse battery staple");
    you.click("#ask-yes");
    you.wait_for("!$('#sign-in').hidden");
    ben.evaluate("location.reload()");
    ben.wait_for_value("$('.message.deleted .name .tag').textContent", "account deleted");
}

/// Asserts that each of these elements has a name in it, and that names look different from the text around them.
#[track_caller]
fn assert_names_stand_out(user: &User, selectors: &[&str]) {
    for selector in selectors {
        let looks = format!(
            "[...$({}).querySelectorAll('.named')].map((each) => [each, each.parentElement].map((each) => {{
                const {{ color, fontWeight }} = getComputedStyle(each);
                return [color, fontWeight];
            }}))",
            json!(selector),
        );
        let looks = user.wait_for(&format!("$({}) && {looks}", json!(selector)));
        assert_ne!(looks, json!([]), "{selector} has no name");
        for pair in looks.as_array().expect("a list") {
            assert_ne!(pair[0], pair[1], "{selector}");
        }
    }
}

#[test]
fn names_and_topics_are_never_markup() {
    const NAME: &str = "<img src=x onerror=alert(1)>";
    const ROOM: &str = "<b>Bold</b> {name} &amp;";
    const TOPIC: &str = "<script>alert(1)</script> \u{5d0}\u{5d1}\u{5d2} https://example.org";
    let chat = Chat::open(&[]);
    let [eve, ben] = [NAME, "Ben"].map(|name| chat.user(name));
    eve.create_room(ROOM, "public");
    eve.click("#topic-edit");
    eve.fill("#ask-input", TOPIC);
    eve.click("#ask-yes");
    eve.say("Welcome!");
    eve.sees_messages(&[(NAME, "Welcome!")]);

    ben.open_room_search();
    ben.wait_for_value(
        "$$('#found-rooms li:first-child :is(.name, .topic)').map(({ innerText }) => innerText)",
        json!([ROOM, TOPIC]),
    );
    ben.click("#found-rooms li:first-child button");
    ben.wait_for_value("[$('#preview-name').innerText, $('#preview-topic').innerText]", json!([ROOM, TOPIC]));
    ben.wait_for_value("$$('#preview-messages .message').map(({ dataset }) => dataset.from)", json!([NAME]));
    ben.wait_for_value("$$('img[src=x], #preview b b, #preview script').length", 0);
    ben.click("#preview-join");
    ben.wait_for_value("$('#room-name').textContent", ROOM);
    ben.sees_messages(&[(NAME, "Welcome!")]);
    eve.fill("#text", "And more");
    ben.wait_for(&format!("$('#typing').textContent.includes({})", json!(NAME)));
    ben.wait_for(&format!("$$('.line[data-kind=topic]').at(-1).textContent.includes({})", json!(TOPIC)));
    ben.wait_for_value(
        "[document.title, $$('img[src=x], #chat b b, #chat script').length]",
        json!([format!("{ROOM} – switchboard"), 0]),
    );

    ben.open_direct_with(NAME);
    ben.say("Is this your name?");
    eve.open("Ben");
    eve.sees_messages(&[("Ben", "Is this your name?")]);
}
