//! The cookies of devices on which a user has signed in.

use super::{super::super::device::Device, *};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR_MILLIS: i64 = 365 * 24 * 60 * 60 * 1000;

/// Creates an account, and returns the cookie of its device.
fn register(chat: &mut TestChat, name: &str, hash: &str) -> String {
    let (name, token, agent) = (Name::new(name).unwrap(), Token::random().hash(), UserAgent::default());
    let session = chat.request(SignUp { name, password_hash: Some(hash.to_owned()), token, agent }).unwrap();
    chat.front.device_cookie(&session, hash, None).as_str().to_owned()
}

/// Returns the device as which a client with this cookie counts for an account.
fn device_of(chat: &mut TestChat, name: &str, cookie: &str) -> Option<Device> {
    let name = Name::new(name).unwrap();
    let claim = chat.front.device_key().verify(cookie, name.key())?;
    let account = chat.request(FindAccount(name)).unwrap();
    chat.front.known_device(&account, &claim)
}

/// Logs in with a cookie, and returns the new one.
fn log_in(chat: &mut TestChat, name: &str, hash: &str, cookie: Option<&str>) -> String {
    let device = cookie.and_then(|cookie| device_of(chat, name, cookie));
    let user = chat.state.store.user_named(&Name::new(name).unwrap()).unwrap().unwrap().id;
    let (token, agent) = (Token::random().hash(), UserAgent::default());
    let session = chat.request(LogIn { user, password_hash: hash.to_owned(), token, agent }).unwrap();
    chat.front.device_cookie(&session, hash, device).as_str().to_owned()
}

fn set_password(chat: &TestChat, name: &str, hash: &str) {
    let user = chat.state.store.user_named(&Name::new(name).unwrap()).unwrap().unwrap().id;
    chat.state.store.set_password(user, hash).unwrap();
}

#[test]
fn a_log_in_with_a_valid_cookie_stays_the_same_device() {
    let mut chat = TestChat::new();
    let first = register(&mut chat, "Ada", "a hash");
    let device = device_of(&mut chat, "Ada", &first).expect("a known device");
    chat.advance(60 * DAY);
    let second = log_in(&mut chat, "Ada", "a hash", Some(&first));
    assert_eq!(device_of(&mut chat, "Ada", &second), Some(device));
    // Another device, and another account in the same browser.
    let other = log_in(&mut chat, "Ada", "a hash", None);
    assert_ne!(device_of(&mut chat, "Ada", &other), Some(device));
    register(&mut chat, "Bob", "another hash");
    assert_eq!(device_of(&mut chat, "Bob", &second), None);
    let of_bob = log_in(&mut chat, "Bob", "another hash", Some(&second));
    assert_ne!(device_of(&mut chat, "Bob", &of_bob), Some(device));
    // Each log-in begins the 90 days anew.
    chat.advance(60 * DAY);
    assert_eq!(device_of(&mut chat, "Ada", &first), None);
    assert_eq!(device_of(&mut chat, "Ada", &second), Some(device));
    chat.advance(30 * DAY);
    assert_eq!(device_of(&mut chat, "Ada", &second), None);
}

#[test]
fn a_cookie_ends_with_the_password_and_with_the_account() {
    let mut chat = TestChat::new();
    let old = register(&mut chat, "Ada", "a hash");
    set_password(&chat, "Ada", "another hash");
    assert_eq!(device_of(&mut chat, "Ada", &old), None, "another password");
    let new = log_in(&mut chat, "Ada", "another hash", Some(&old));
    assert!(device_of(&mut chat, "Ada", &new).is_some());
    let user = chat.state.store.user_named(&Name::new("Ada").unwrap()).unwrap().unwrap().id;
    chat.state.in_transaction(|state| state.remove_user(user)).unwrap();
    assert_eq!(device_of(&mut chat, "Ada", &new), None, "no account");
    // Even with the same hash.
    let next = register(&mut chat, "Ada", "another hash");
    assert_eq!(device_of(&mut chat, "Ada", &new), None, "another account of the same name");
    assert!(device_of(&mut chat, "Ada", &next).is_some());
}

#[test]
fn a_session_renews_the_void_cookie_of_its_device_and_no_other() {
    let mut chat = TestChat::new();
    let of_bob = register(&mut chat, "Bob", "a hash");
    let guest = chat.guest("Guest").unwrap();
    let token = chat.account("Ada").unwrap();
    let old = log_in(&mut chat, "Ada", "a hash", None);
    let device = device_of(&mut chat, "Ada", &old).expect("a known device");
    let renewed = |chat: &mut TestChat, token: TokenHash, cookie: &str| {
        let session = chat.request(FindSession(vec![token])).unwrap();
        let cookie = chat.front.renewed_cookie(&session, &["no cookie".to_owned(), cookie.to_owned()]);
        cookie.map(|cookie| cookie.as_str().to_owned())
    };
    assert_eq!(renewed(&mut chat, token, &old), None, "it is valid");
    set_password(&chat, "Ada", "another hash");
    let new = renewed(&mut chat, token, &old).expect("a new cookie");
    assert_eq!(device_of(&mut chat, "Ada", &new), Some(device));
    assert_eq!(renewed(&mut chat, token, &new), None);
    // A session alone makes no device known, nor does it renew the cookie of another account.
    for cookie in ["", "no cookie", &of_bob] {
        assert_eq!(renewed(&mut chat, token, cookie), None, "{cookie:?}");
    }
    assert_eq!(renewed(&mut chat, guest, &old), None);
    chat.log_out(&[token]).unwrap();
    assert_eq!(renewed(&mut chat, token, &old), None, "the session has ended");
}

#[test]
fn a_guest_gets_no_cookie() {
    let mut chat = TestChat::new();
    let (result, results) = std::sync::mpsc::channel();
    let client = NewClient { from: Ipv4Addr::LOCALHOST.into(), agent: UserAgent::default() };
    let callback = move |signed_in| result.send(signed_in).unwrap();
    chat.front.enter_as_guest(client, Name::new("Guest").unwrap(), Box::new(callback));
    chat.process_queue();
    assert!(results.recv().unwrap().unwrap().device_cookie.is_none());
}

#[test]
fn a_cookie_lives_for_90_days_whatever_the_clock_shows() {
    for step in [9 * YEAR_MILLIS, -9 * YEAR_MILLIS] {
        let mut chat = TestChat::new();
        let before = register(&mut chat, "Ada", "a hash");
        chat.set_wall_clock(step);
        chat.advance(MINUTE);
        assert!(device_of(&mut chat, "Ada", &before).is_some(), "{step}: while the clock is wrong");
        let during = log_in(&mut chat, "Ada", "a hash", None);
        chat.set_wall_clock(-step);
        chat.advance(89 * DAY);
        for cookie in [&before, &during] {
            assert!(device_of(&mut chat, "Ada", cookie).is_some(), "{step}");
        }
        chat.advance(DAY);
        for cookie in [&before, &during] {
            assert!(device_of(&mut chat, "Ada", cookie).is_none(), "{step}");
        }
    }
}
