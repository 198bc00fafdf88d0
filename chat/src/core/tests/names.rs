//! The search for names, their order, and names from before an update.

use super::*;

fn names(listed: &Value, list: &str) -> Vec<String> {
    let listed = listed[list].as_array().unwrap().iter();
    listed.map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

/// As when the name is from before the rule that no new user takes such a name.
#[test]
fn a_user_whose_name_ends_in_a_colon_signs_in_and_is_found() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada:"), chat.connect_user("Bob"));
    let name = Name::at_most(Name::HIGHEST_LIMIT, "ada:").unwrap();
    let (user, hash) = chat.request(FindAccount(name)).unwrap().credentials.expect("an account");
    assert!(chat.log_in(user, &hash).is_ok());
    let key = chat.key();
    chat.call(bob, "tell", json!({ "name": "Ada:", "text": "hi", "key": key })).unwrap();
    assert_eq!(chat.pushes_of(ada, "room")[0]["name"], "Bob");
}

#[test]
fn users_are_listed_and_searched_by_what_one_reads() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    for name in ["Rita", "Mia", "Sam", "Léna", "Lena Two", "ida", "I2", "Ярослав", "Яна", "O’Brien"] {
        chat.connect_user(name);
    }
    let online = chat.call(ada, "people", json!({})).unwrap();
    let order = ["Ada", "I2", "ida", "Léna", "Lena Two", "Mia", "O'Brien", "Rita", "Sam", "Яна", "Ярослав"];
    assert_eq!(names(&online, "people"), order);
    let rows: &[(&str, &[&str])] = &[
        ("i", &["I2", "ida"]),
        ("I", &["I2", "ida"]),
        ("l", &["Léna", "Lena Two"]),
        ("lena", &["Léna", "Lena Two"]),
        ("LÉNA", &["Léna", "Lena Two"]),
        ("Lena ", &["Léna", "Lena Two"]),
        ("lena t", &["Lena Two"]),
        ("rn", &[]),
        ("m", &["Mia"]),
        ("яр", &["Ярослав"]),
        ("o’b", &["O'Brien"]),
        ("o'b", &["O'Brien"]),
        ("", &order),
    ];
    for (search, expected) in rows {
        let found = chat.call(ada, "people", json!({ "search": search })).unwrap();
        assert_eq!(names(&found, "people"), *expected, "{search}");
    }
    for (number, name) in order.iter().enumerate() {
        for data in [json!({ "after": name }), json!({ "after": name, "search": "" })] {
            let page = chat.call(ada, "people", data).unwrap();
            assert_eq!(names(&page, "people"), order[number + 1..], "after {name}");
        }
    }
    let token = chat.account("Zoe").unwrap();
    let zoe = chat.connect(token);
    let welcome = chat.take_output(zoe).remove(0);
    assert_eq!(welcome[1]["online"]["names"].as_array().unwrap()[..3], [json!("Ada"), json!("I2"), json!("ida")]);
}

#[test]
fn rooms_are_listed_and_searched_by_what_one_reads() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    for name in ["Music", "corn", "Café", "cafeteria", "Ilmenau", "Joe’s – pub"] {
        chat.create(ada, name, "public");
    }
    chat.create(ada, "Cafe, invited", "invited");
    let order = ["Café", "cafeteria", "corn", "Ilmenau", "Joe's – pub", "Lobby", "Music"];
    assert_eq!(names(&chat.call(ada, "rooms", json!({})).unwrap(), "rooms"), order);
    let rows: &[(&str, &[&str])] = &[
        ("rn", &["corn"]),
        ("m", &["Music"]),
        ("i", &["Ilmenau"]),
        ("us", &["Music"]),
        ("CAFÉ", &["Café", "cafeteria"]),
        ("joe's - p", &["Joe's – pub"]),
        ("e’s", &["Joe's – pub"]),
        ("", &order),
    ];
    for (search, expected) in rows {
        let found = chat.call(ada, "rooms", json!({ "search": search })).unwrap();
        assert_eq!(names(&found, "rooms"), *expected, "{search}");
    }
    for (number, name) in order.iter().enumerate() {
        let page = chat.call(ada, "rooms", json!({ "after": name })).unwrap();
        assert_eq!(names(&page, "rooms"), order[number + 1..], "after {name}");
    }
    assert!(chat.call(ada, "join", json!({ "name": "JOE‘S – PUB" })).is_ok());
}

/// Pages go on after each name, also if it is as another name, and after one that is gone.
#[test]
fn pages_have_each_name_once_although_many_read_the_same() {
    let mut chat = TestChat::new();
    let ada = chat.connect_user("Ada");
    let marked = |number: u32| {
        let marks = ['\u{301}', '\u{302}', '\u{303}', '\u{304}', '\u{306}', '\u{307}'];
        let letter = |letter, place: u32| format!("{letter}{}", marks[number as usize / 6_usize.pow(place) % 6]);
        format!("L{}{}{}{}", letter('e', 0), letter('n', 1), letter('a', 2), if number < 216 { "" } else { "h" })
    };
    let expected: BTreeSet<String> =
        (0..432).map(|number| Name::new(&marked(number)).unwrap().as_str().to_owned()).collect();
    for name in &expected {
        chat.guest(name).unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = chat.call(ada, "people", json!({ "search": "lena", "after": after })).unwrap();
        found.extend(names(&page, "people"));
        if page["more"] == false {
            break;
        }
        after = found.last().cloned();
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(BTreeSet::from_iter(found), expected);
    let page = chat.call(ada, "people", json!({ "search": "l", "after": "Lemand" })).unwrap();
    assert_eq!(names(&page, "people").len(), 200, "nobody has this name");
}

/// A database of the schema before names had a folded form, in which two names did not count as the same yet.
#[test]
fn accounts_from_before_an_update_of_the_rules_still_sign_in() {
    let rows = "INSERT INTO people (id, name, key, password, created) VALUES
            (1, 'Ada', 'ada', 'a hash', 0), (2, 'OʼBrien', 'o''brien', 'a hash', 0),
            (3, 'Léna', 'le' || char(0x301) || 'na', 'a hash', 0),
            (4, 'ıpek', 'an old key', 'a hash', 0), (5, 'Ipek', 'lpek', 'a hash', 0), (6, 'Guest', 'guest', NULL, 0),
            (7, 'Gone', NULL, NULL, 0);
        INSERT INTO members (room, person, role, since) SELECT 1, id, 2, 0 FROM people WHERE key IS NOT NULL;
        INSERT INTO rooms (id, kind, name, key, epoch) VALUES
            (2, 0, 'Rock ’n’ Roll', 'name rock ''n'' roll', 'e'), (3, 1, 'Attic', 'invited e', 'e');
        INSERT INTO members (room, person, role, since) VALUES (2, 1, 3, 0);";
    let mut chat = TestChat::start(Store::of_version(3, rows), ChatConfig::default());
    assert_eq!(chat.state.store.broken_rules(), [""; 0]);
    for (typed, id, shown) in [
        ("ada", 1, "Ada"),
        ("O’Brien", 2, "O'Brien"),
        ("o'brien", 2, "O'Brien"),
        ("LÉNA", 3, "Léna"),
        ("ıpek", 4, "ıpek"),
        ("1PEK", 4, "ıpek"),
        ("Ipek", 5, "Ipek"),
        ("guest", 6, "Guest"),
    ] {
        let name = Name::new(typed).unwrap();
        let row = chat.state.store.user_named(&name).unwrap().unwrap();
        assert_eq!((row.id.number(), &*row.name), (id, shown), "{typed}");
        let found = chat.request(FindAccount(name)).unwrap();
        assert_eq!(found.credentials.is_some(), id != 6, "{typed}");
        let Some((user, hash)) = found.credentials else { continue };
        let (token, agent) = (Token::random().hash(), UserAgent::default());
        let session = chat.request(LogIn { user, password_hash: hash.clone(), token, agent }).unwrap();
        assert_eq!(session.you.name, shown);
        // The cookie is verified against the key of the name that the client sends.
        let (key, cookie) =
            (Name::new(typed).unwrap().key().to_owned(), chat.front.device_cookie(&session, &hash, None));
        assert!(chat.front.device_key().verify(cookie.as_str(), &key).is_some(), "{typed}");
    }
    let token = chat.account("Bob").unwrap();
    let bob = chat.connect(token);
    chat.take_output(bob);
    let found = chat.call(bob, "people", json!({ "search": "" })).unwrap();
    assert_eq!(names(&found, "people"), ["Ada", "Bob", "Guest", "ıpek", "Ipek", "Léna", "O'Brien"]);
    let found = chat.call(bob, "rooms", json!({ "search": "rock 'n" })).unwrap();
    assert_eq!(names(&found, "rooms"), ["Rock ’n’ Roll"]);
    assert!(chat.call(bob, "join", json!({ "name": "Rock 'n' Roll" })).is_ok());
    let key = chat.key();
    assert!(chat.call(bob, "tell", json!({ "name": "Ipek", "text": "hi", "key": key })).is_ok());
    assert_eq!(chat.call(bob, "invite", json!({ "room": 2, "name": "Gone" })), Err("unknown_person".into()));
    assert_eq!(chat.account("IPEK").map(drop), Err(SignInError::NameTaken));
}
