//! The page uses the language of the browser, and writes each language by its rules.

use std::{fs, path::Path};

use serde_json::{Value, json};
use switchboard_browser::{Chat, Display, Sources};

use crate::{
    history::send_messages,
    reading::{RATES, comes_back, goes_away},
};

#[test]
fn the_page_uses_the_first_browser_language_it_supports() {
    let chat = Chat::open(&[]);
    chat.user("Ada");
    let rows = [
        ("en", "en", "Sign in", "Lobby"),
        ("zh-CN", "zh", "登录", "Lobby"),
        ("fr-CA", "fr", "Se connecter", "Lobby"),
        ("tlh,fr", "fr", "Se connecter", "Lobby"),
        ("tlh", "en", "Sign in", "Lobby"),
    ];
    for (number, (language, spoken, enter, room)) in rows.into_iter().enumerate() {
        let user = chat.visitor(&format!("User {number}"), Display { language, ..Display::default() });
        user.wait_for_value(
            "[document.documentElement.lang, $('#sign-in-button').textContent]",
            json!([spoken, enter]),
        );
        user.register();
        user.wait_for_value("$('#room-name').textContent", room);
    }
}

/// The English texts are the model: a key that another language lacks is an error only where the text is shown.
#[test]
fn all_languages_have_the_same_texts_in_the_same_order() {
    let sources = Sources::open();
    let texts = sources.page.evaluate(
        "(async () => {
            const { LANGUAGES } = await import('./strings.js');
            const lines = (part, path) => Object.entries(part).flatMap(([name, value]) => {
                const key = path + name;
                const text = value.other ?? value;
                if (typeof text !== 'string') return lines(value, `${key}.`);
                return [[key, ...[...text.matchAll(/\\{\\w+\\}/g)].map(String).sort()].join(' ')];
            });
            const files = Object.keys(LANGUAGES).map((tag) => import(`./strings/${tag}.js`));
            return (await Promise.all(files)).map(({ strings }) => lines(strings, ''));
        })()",
    );
    let [english, others @ ..] = &texts.as_array().expect("languages")[..] else { panic!("no languages") };
    assert!(english.as_array().is_some_and(|lines| lines.len() > 200), "{english}");
    for other in others {
        assert_eq!(other, english);
    }
}

/// The server's own sentence is English: it is for programs, and for codes that an older page does not know.
#[test]
fn each_error_of_the_server_has_a_text() {
    let mut codes = Vec::new();
    each_source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src"), &mut |source| {
        let source: String = source.split_whitespace().collect();
        for before in ["refuse(\"", "EventError::new(\"", "Self::new(\"", "code:\"", "\"code\":\""] {
            codes.extend(source.split(before).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    });
    assert!(codes.len() > 40, "{codes:?}");
    let sources = Sources::open();
    let missing = sources.page.evaluate(&format!(
        "import('./strings/en.js').then(({{ strings: {{ errors, wait_for: waits }} }}) => (
            {}.filter((code) => !Object.hasOwn(errors, code) && !Object.hasOwn(waits, code))))",
        json!(codes)
    ));
    assert_eq!(missing, json!([]));
}

fn each_source(folder: &Path, act: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "tests") {
            each_source(&path, act);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            act(&fs::read_to_string(path).expect("a source"));
        }
    }
}

#[test]
fn a_browser_without_scripts_shows_a_sentence_in_each_language() {
    let sources = Sources::open();
    let languages = sources.page.evaluate(
        "(async () => {
            const { LANGUAGES } = await import('./strings.js');
            const text = await (await fetch('/index.html')).text();
            const page = new DOMParser().parseFromString(text, 'text/html'); // It runs no scripts.
            return [Object.keys(LANGUAGES), [...page.querySelectorAll('noscript p')].map(({ lang }) => lang)];
        })()",
    );
    assert_eq!(languages[0], languages[1]);
    assert_ne!(languages[0], Value::Null);
}

/// The space before a French sign or unit is written as an escape: a plain one breaks the line there, and the right one
/// looks the same in the source.
#[test]
fn no_french_sign_begins_a_line() {
    let source = include_str!("../../../../page/strings/fr.js");
    // No text has an apostrophe of typewriters.
    let texts = source.lines().flat_map(|line| line.split('\'').skip(1).step_by(2));
    for text in texts {
        for (start, sign) in text.match_indices([':', '?', '!', ';', '»']) {
            let space = if matches!(sign, ":" | "»") { r"\u00A0" } else { r"\u202F" };
            assert!(text[..start].ends_with(space), "no {space} before {sign}: {text}");
        }
        assert!(!text.contains("{count} s.") && !text.ends_with("{count} s"), "a plain space before s: {text}");
    }
}

/// In French a day has an article, which a time of day has not.
#[test]
fn since_when_messages_are_unread_is_a_time_of_day_or_a_day() {
    let chat = Chat::open(RATES);
    let ada = chat.user("Ada");
    let lea =
        chat.visitor("Lea", Display { width: 360, height: 740, touch: true, language: "fr", ..Display::default() });
    lea.register();
    lea.open("Lobby");
    goes_away(&chat, &lea);
    send_messages(&ada, 1..=45);
    comes_back(&lea);
    lea.open("Lobby");
    let newer = "$('#newer').textContent.replace(/[\\u2068\\u2069]/g, '')";
    lea.wait_for(&format!(r"/^\d+ nouveaux depuis \d+:\d+$/.test({newer})"));
    lea.run_before_each_document(
        "const Today = Date;
        globalThis.Date = class extends Today {
            constructor(...time) { super(...(time.length > 0 ? time : [Today.now() + 86_400_000])); }
        };",
    );
    comes_back(&lea);
    lea.open("Lobby");
    lea.wait_for(&format!(r"/^\d+ nouveaux depuis le \d+ \S+$/.test({newer})"));
    // A wide page says more.
    lea.set_display(Display { language: "fr", ..Display::default() });
    lea.wait_for(&format!(r"/^\d+ nouveaux messages depuis le \d+ \S+ · Aller à la fin$/.test({newer})"));
}

/// A user may be a woman or a man: French texts are written so that it does not matter.
#[test]
fn no_french_text_has_two_genders() {
    let source = include_str!("../../../../page/strings/fr.js");
    for form in ["(e)", "(ne)", "(trice)", "·e"] {
        assert!(!source.contains(form), "{form}");
    }
}

#[test]
fn chinese_signs_are_as_wide_as_characters() {
    let source = include_str!("../../../../page/strings/zh.js");
    for text in source.lines().flat_map(|line| line.split('\'').skip(1).step_by(2)) {
        assert!(!text.contains([',', ';', ':', '?', '!', '(', ')']) && !text.ends_with('.'), "{text}");
    }
}
