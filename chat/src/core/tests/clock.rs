//! A wall clock that is wrong for a while: no session, guest or invitation ends or lives longer because of it, and
//! order does not depend on it.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const HOUR_MILLIS: i64 = 60 * 60 * 1000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
const YEAR_MILLIS: i64 = 365 * DAY_MILLIS;
/// Steps by which a clock is wrong. The last one is before 1970, so the clock shows 1970.
const STEPS: [i64; 8] = [
    300_000,
    -300_000,
    3 * HOUR_MILLIS,
    -3 * HOUR_MILLIS,
    9 * YEAR_MILLIS,
    -9 * YEAR_MILLIS,
    200 * YEAR_MILLIS,
    -200 * YEAR_MILLIS,
];

/// A chat whose wall clock is wrong by `step` for the time until [`put_right`](Self::put_right).
struct WrongClock {
    right: u64,
    start: Instant,
}

impl WrongClock {
    fn new(chat: &mut TestChat, step: i64) -> Self {
        let wrong = Self { right: chat.now.wall, start: chat.now.instant };
        chat.set_wall_clock(step);
        wrong
    }

    fn put_right(self, chat: &mut TestChat) {
        chat.now.wall = self.right + u64::try_from((chat.now.instant - self.start).as_millis()).unwrap();
    }
}

/// Advances the clock in steps of ten seconds.
fn run_for(chat: &mut TestChat, time: Duration) {
    for _ in 0..time.as_secs() / 10 {
        chat.advance(10 * SECOND);
    }
}

/// Ends the server, and starts a new process over the same data after a time in which the computer was off.
fn restart(chat: &mut TestChat, off: Duration) {
    chat.state.close(chat.now);
    start_after_crash(chat, off);
}

/// Replaces the server by a new process over the same data.
fn start_after_crash(chat: &mut TestChat, off: Duration) {
    let store = std::mem::replace(&mut chat.state.store, Store::open(&Data::Memory).unwrap());
    chat.state = State::new(store, chat.state.next_config.clone());
    // The monotonic clock does not run while the computer is off.
    chat.now.wall += u64::try_from(off.as_millis()).unwrap();
    chat.advance(Duration::ZERO);
}

fn is_signed_in(chat: &mut TestChat, token: TokenHash) -> bool {
    chat.request(FindSession(vec![token])).unwrap().you.is_some()
}

/// Changes the stored sessions, as an older version of the program may have left them.
fn change_sessions(chat: &TestChat, change: &str) {
    chat.state.store.execute(&format!("UPDATE sessions SET {change}")).unwrap();
}

/// The times of all stored sessions: when they began, were used last, and end.
fn stored_times(chat: &TestChat) -> [i64; 3] {
    ["created", "used", "expires"]
        .map(|of| chat.state.store.number(&format!("SELECT max({of}) FROM sessions")).unwrap())
}

#[test]
fn a_message_has_the_time_of_the_clock_and_its_place_by_number() {
    let mut chat = TestChat::new();
    let (ada, bob) = (chat.connect_user("Ada"), chat.connect_user("Bob"));
    chat.join(bob, LOBBY).unwrap();
    let mut expected = Vec::new();
    for (number, step) in (0..).zip(STEPS) {
        let wrong = WrongClock::new(&mut chat, step);
        assert_eq!(chat.say(ada, LOBBY, &format!("wrong {number}")), Ok(2 * number + 1));
        expected.push(chat.now.wall);
        wrong.put_right(&mut chat);
        assert_eq!(chat.say(ada, LOBBY, &format!("right {number}")), Ok(2 * number + 2));
        expected.push(chat.now.wall);
    }
    assert!(expected.contains(&1_000), "a clock before 1970 shows 1970");
    let times =
        |messages: &[Value]| messages.iter().map(|message| message["time"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(times(&chat.pushes_of(bob, "message")), expected);
    let history = chat.call(bob, "history", json!({ "room": LOBBY, "limit": 100 })).unwrap();
    assert_eq!(times(history["messages"].as_array().unwrap()), expected, "in the order of their numbers");
    let epoch = history["messages"][0]["epoch"].clone();
    let entered = chat.call(bob, "join", json!({ "room": LOBBY, "since": { "epoch": epoch, "seq": 3 } })).unwrap();
    assert_eq!(times(entered["messages"].as_array().unwrap()), expected[3..]);
    let room = chat.call(bob, "rooms", json!({})).unwrap()["rooms"][0].clone();
    assert_eq!((&room["seq"], &room["unread"]), (&json!(16), &json!(16)));
}

/// A guest ends after 24 hours without activity, a session after 30 days.
#[test]
fn a_clock_that_is_wrong_for_some_minutes_ends_no_session_and_no_guest() {
    for step in STEPS {
        let mut chat = TestChat::new();
        let (account, guest) = (chat.account("Ada").unwrap(), chat.guest("Guest").unwrap());
        let (ada, visitor) = (chat.connect(account), chat.connect(guest));
        let bob = chat.account("Bob").unwrap();
        let other = chat.guest("Other").unwrap();
        run_for(&mut chat, HOUR);
        let wrong = WrongClock::new(&mut chat, step);
        run_for(&mut chat, 5 * MINUTE);
        for token in [account, guest, bob, other] {
            assert!(is_signed_in(&mut chat, token), "{step}: while the clock is wrong");
        }
        wrong.put_right(&mut chat);
        run_for(&mut chat, 5 * MINUTE);
        for token in [account, guest, bob, other] {
            assert!(is_signed_in(&mut chat, token), "{step}: after the clock was put right");
        }
        assert_eq!([ada, visitor].map(|connection| chat.closed_with(connection)), [None; 2], "{step}");
        // They end when they are not used from now on.
        run_for(&mut chat, MINUTE);
        for _ in 0..24 {
            chat.advance(HOUR);
        }
        assert!(!is_signed_in(&mut chat, guest) && !is_signed_in(&mut chat, other), "{step}: the guests");
        for _ in 0..29 {
            assert!(is_signed_in(&mut chat, account) || step.abs() > HOUR_MILLIS, "{step}");
            chat.advance(DAY);
        }
        assert!(!is_signed_in(&mut chat, account) && !is_signed_in(&mut chat, bob), "{step}: the accounts");
        assert_eq!(chat.state.store.number("SELECT count(*) FROM sessions").unwrap(), 0, "{step}");
    }
}

#[test]
fn a_session_that_is_used_while_the_clock_is_ahead_ends_when_it_would_have_ended_otherwise() {
    for step in [HOUR_MILLIS, 5 * YEAR_MILLIS] {
        // From the first start on, or for some minutes of a later run.
        for is_first in [true, false] {
            let mut chat = TestChat::new();
            let wall = chat.now.wall;
            if !is_first {
                chat.connect_user("Earlier");
            }
            let wrong = WrongClock::new(&mut chat, step);
            let token = chat.account("Ada").unwrap();
            let ada = chat.connect(token);
            run_for(&mut chat, 2 * MINUTE);
            chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
            wrong.put_right(&mut chat);
            run_for(&mut chat, 2 * MINUTE);
            let sessions = chat.call(ada, "sessions", json!({})).unwrap();
            for of in ["created", "used"] {
                let shown = sessions["sessions"][0][of].as_u64().unwrap();
                let is_right = (wall..=chat.now.wall).contains(&shown) || (!is_first && shown < wall + 7 * 3_600_000);
                assert!(is_right, "{step}: {of} {shown} at {wall}");
            }
            chat.close(ada);
            chat.advance(29 * DAY);
            assert!(is_signed_in(&mut chat, token), "{step}");
            chat.advance(DAY);
            assert!(!is_signed_in(&mut chat, token), "{step}");
        }
    }
}

#[test]
fn stored_times_in_the_future_are_corrected_when_they_are_seen() {
    let mut chat = TestChat::new();
    let (account, guest) = (chat.account("Ada").unwrap(), chat.guest("Guest").unwrap());
    let [created, _, expires] = stored_times(&chat);
    chat.advance(MINUTE);
    change_sessions(&chat, "created = created + 1e11, used = used + 2e11, expires = expires + 1e11");
    // Before they are written, too.
    chat.in_pieces = true;
    let ada = chat.connect(account);
    let welcome = &chat.take_output(ada)[0][1];
    assert_eq!(welcome["session"]["expires"], expires + 60_000, "the lifetime begins now");
    let sessions = chat.call(ada, "sessions", json!({})).unwrap();
    assert_eq!(
        (&sessions["sessions"][0]["created"], &sessions["sessions"][0]["used"]),
        (&json!(created + 60_000), &json!(created + 60_000))
    );
    chat.in_pieces = false;
    chat.advance(SECOND);
    assert_eq!(stored_times(&chat), [created + 61_000, created + 61_000, expires + 61_000]);
    chat.advance(23 * HOUR);
    assert!(is_signed_in(&mut chat, guest));
    chat.advance(HOUR);
    assert!(!is_signed_in(&mut chat, guest));
    chat.close(ada);
    chat.advance(29 * DAY);
    assert!(!is_signed_in(&mut chat, account));
}

#[test]
fn many_stored_times_in_the_future_are_corrected_in_pieces() {
    let mut chat = TestChat::new();
    for number in 0..120 {
        chat.guest(&format!("Guest {number}")).unwrap();
    }
    chat.advance(SECOND);
    change_sessions(&chat, "used = used + 1e11");
    let wrong =
        |chat: &TestChat| chat.state.store.number("SELECT count(*) FROM sessions WHERE used > 1.85e12").unwrap();
    (chat.in_pieces, chat.state.max_piece) = (true, Duration::ZERO);
    chat.advance(SECOND);
    let mut left = vec![wrong(&chat)];
    while chat.work_in_background() {
        left.push(wrong(&chat));
    }
    assert_eq!(left[..4], [120, 70, 20, 0]);
}

/// A week in which the computer was off counts after an hour of running, also if no run lasts that long.
#[test]
fn time_in_which_the_computer_was_off_counts_gradually() {
    for run in [HOUR, 10 * MINUTE, MINUTE] {
        let mut chat = TestChat::new();
        let (account, guest) = (chat.account("Ada").unwrap(), chat.guest("Guest").unwrap());
        restart(&mut chat, 31 * DAY);
        assert!(is_signed_in(&mut chat, account) && is_signed_in(&mut chat, guest), "{run:?}: at the start");
        let mut running = Duration::ZERO;
        let mut ended = [None; 2];
        while running < 6 * HOUR {
            run_for(&mut chat, run);
            running += run;
            for (ended, token) in ended.iter_mut().zip([guest, account]) {
                if ended.is_none() && !is_signed_in(&mut chat, token) {
                    *ended = Some(running);
                }
            }
            restart(&mut chat, SECOND);
        }
        let [guest, account] = ended.map(|ended| ended.expect("it has ended"));
        assert!(guest <= run.max(9 * MINUTE), "{run:?}: the guest ended after {guest:?}");
        assert!(account <= 4 * HOUR + 30 * MINUTE + run, "{run:?}: the account's session ended after {account:?}");
    }
}

/// After a crash, the time since the clock was saved counts as time in which the computer was off.
#[test]
fn a_crash_loses_nothing_of_the_order_of_conversations() {
    let mut chat = TestChat::new();
    let ada = chat.account("Ada").unwrap();
    let tell = |chat: &mut TestChat, from: ClientId, name: &str| {
        let key = chat.key();
        chat.call(from, "tell", json!({ "name": name, "text": "hi", "key": key })).unwrap();
    };
    let names = |chat: &mut TestChat, connection| -> Vec<String> {
        let rooms = chat.call(connection, "conversations", json!({})).unwrap()["rooms"].as_array().unwrap().clone();
        rooms.iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect()
    };
    let connection = chat.connect(ada);
    for name in ["Bob", "Eve", "Mia"] {
        chat.connect_user(name);
    }
    for name in ["Bob", "Eve", "Mia", "Bob"] {
        chat.advance(2 * MINUTE);
        tell(&mut chat, connection, name);
    }
    assert_eq!(names(&mut chat, connection), ["Bob", "Mia", "Eve"]);
    start_after_crash(&mut chat, SECOND);
    let connection = chat.connect(ada);
    tell(&mut chat, connection, "Eve");
    assert_eq!(names(&mut chat, connection), ["Eve", "Bob", "Mia"]);
}

#[test]
fn conversations_come_in_the_order_of_their_latest_messages_whatever_the_clock_shows() {
    for step in STEPS {
        let mut chat = TestChat::new();
        let ada = chat.connect_user("Ada");
        for name in ["Bob", "Eve", "Mia"] {
            chat.account(name).unwrap();
        }
        let tell = |chat: &mut TestChat, name: &str| {
            chat.advance(2 * MINUTE);
            let key = chat.key();
            chat.call(ada, "tell", json!({ "name": name, "text": "hi", "key": key })).unwrap();
            let rooms = chat.call(ada, "conversations", json!({})).unwrap()["rooms"].as_array().unwrap().clone();
            let names: Vec<String> = rooms.iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect();
            let mut shown = rooms;
            shown.sort_by_key(|room| std::cmp::Reverse(room["active"].as_u64().unwrap()));
            let shown: Vec<&str> = shown.iter().map(|room| room["name"].as_str().unwrap()).collect();
            assert_eq!(shown, names, "{step}: the order in which the page shows them");
            names
        };
        tell(&mut chat, "Bob");
        assert_eq!(tell(&mut chat, "Eve"), ["Eve", "Bob"], "{step}");
        let wrong = WrongClock::new(&mut chat, step);
        assert_eq!(tell(&mut chat, "Mia"), ["Mia", "Eve", "Bob"], "{step}");
        assert_eq!(tell(&mut chat, "Bob"), ["Bob", "Mia", "Eve"], "{step}");
        wrong.put_right(&mut chat);
        assert_eq!(tell(&mut chat, "Eve"), ["Eve", "Bob", "Mia"], "{step}");
        assert_eq!(tell(&mut chat, "Mia"), ["Mia", "Eve", "Bob"], "{step}");
        // As a wrong clock has left them in an older version.
        chat.state.store.execute("UPDATE members SET active = active + 1e11 WHERE active IS NOT NULL").unwrap();
        assert_eq!(tell(&mut chat, "Bob")[0], "Bob", "{step}");
        assert_eq!(tell(&mut chat, "Eve")[..2], ["Eve", "Bob"], "{step}");
    }
}

#[test]
fn the_oldest_member_becomes_the_owner_whatever_the_clock_shows() {
    for step in STEPS {
        let mut chat = TestChat::new();
        let owner = chat.connect_user("Owner");
        let room = chat.create(owner, "Room", "public");
        let members: Vec<_> = ["Zoe", "Bob", "Ada"].map(|name| chat.connect_user(name)).into();
        chat.join(members[2], room).unwrap();
        let wrong = WrongClock::new(&mut chat, step);
        chat.join(members[1], room).unwrap();
        wrong.put_right(&mut chat);
        chat.join(members[0], room).unwrap();
        // As a wrong clock has left them in an older version.
        chat.state.store.execute("UPDATE members SET since = since + 1e11 WHERE room <> 1").unwrap();
        let late = chat.connect_user("Late");
        chat.join(late, room).unwrap();
        for leaving in [owner, members[2], members[1], members[0]] {
            chat.clear_output();
            chat.call(leaving, "leave", json!({ "room": room })).unwrap();
            let next = match leaving {
                _ if leaving == owner => members[2],
                _ if leaving == members[2] => members[1],
                _ if leaving == members[1] => members[0],
                _ => late,
            };
            assert_eq!(chat.pushes_of(next, "room")[0]["role"], "owner", "{step}");
        }
    }
}

/// An invitation counts for its inviter for 30 days.
#[test]
fn invitations_count_as_long_as_they_should_whatever_the_clock_shows() {
    for step in STEPS {
        let mut chat = TestChat::new();
        let host = chat.guest("Host").unwrap();
        let host = chat.connect(host);
        let room = chat.create(host, "Room", "invited");
        let invite = |chat: &mut TestChat, name: String| {
            chat.account(&name).unwrap();
            chat.call(host, "invite", json!({ "room": room, "name": name }))
        };
        let wrong = WrongClock::new(&mut chat, step);
        for number in 0..20 {
            chat.advance(SECOND);
            invite(&mut chat, format!("User {number}")).unwrap();
        }
        let too_many = Err("too_many_invitations".to_owned());
        assert_eq!(invite(&mut chat, "During".to_owned()), too_many, "{step}");
        wrong.put_right(&mut chat);
        chat.advance(SECOND);
        assert_eq!(invite(&mut chat, "After".to_owned()), too_many, "{step}");
        // As a wrong clock has left them in an older version.
        chat.state.store.execute("UPDATE members SET since = since + 1e11 WHERE role = 1").unwrap();
        assert_eq!(invite(&mut chat, "Corrected".to_owned()), too_many, "{step}");
        for day in 0..30 {
            let name = format!("Day {day}");
            assert_eq!(invite(&mut chat, name), too_many, "{step}, day {day}");
            for _ in 0..2 {
                chat.advance(12 * HOUR);
                chat.call(host, "typing", json!({ "room": room })).unwrap();
            }
        }
        chat.advance(MINUTE);
        invite(&mut chat, "Later".to_owned()).unwrap();
    }
}

#[test]
fn uses_of_sessions_are_stored_although_the_clock_was_set_back() {
    let mut chat = TestChat::new();
    let token = chat.account("Ada").unwrap();
    let ada = chat.connect(token);
    for step in STEPS {
        chat.advance(MINUTE);
        chat.set_wall_clock(step);
        let before = stored_times(&chat)[1];
        chat.call(ada, "typing", json!({ "room": LOBBY })).unwrap();
        chat.advance(2 * MINUTE);
        assert!(stored_times(&chat)[1] > before, "{step}");
    }
}
