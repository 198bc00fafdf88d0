//! The rules of every database of the latest schema, beyond what SQLite checks itself.
//!
//! Each rule is a query for what breaks it. The queries read whole tables: they are for checks, not for a server's
//! thread.

use std::collections::HashSet;

use rusqlite::Connection;

use super::{StoreError, room_search};

/// A check of one rule. Returns descriptions of what breaks it, at most [`MAX_FOUND`].
pub(super) type Rule = fn(&Connection) -> Result<Vec<String>, StoreError>;

macro_rules! rules {
    ($($sql:literal,)+) => {
        [$(|db| found(db, $sql)),+, search_index]
    };
}

/// All rules.
pub(super) const RULES: &[Rule] = &rules![
    // Kinds and roles.
    "SELECT 'room 1 is not the Lobby' WHERE NOT EXISTS (SELECT 1 FROM rooms WHERE id = 1 AND kind = 0)",
    "SELECT 'room ' || id || ' has the unknown kind ' || kind FROM rooms WHERE kind NOT BETWEEN 0 AND 3",
    "SELECT 'room ' || id || ' has a key of another kind' FROM rooms WHERE key NOT GLOB CASE kind
        WHEN 0 THEN 'name *' WHEN 1 THEN 'invited *' WHEN 2 THEN 'pair *' ELSE 'removed *' END",
    "SELECT 'the membership of user ' || person || ' in room ' || room || ' has the unknown role ' || role
        FROM members WHERE role NOT BETWEEN 0 AND 3",
    "SELECT 'room ' || id || ' has a folded name, or has none' FROM rooms WHERE (folded IS NULL) <> (kind <> 0)",
    "SELECT 'user ' || id || ' has a folded name, or has none' FROM people WHERE (folded IS NULL) <> (key IS NULL)",
    // Reserved keys.
    "SELECT 'room ' || id || ' waits for a name that is free' FROM rooms WHERE instr(key, char(0x10FFFF)) > 0
        AND substr(key, 1, instr(key, char(0x10FFFF)) - 1) NOT IN (SELECT key FROM rooms)",
    "SELECT 'user ' || id || ' waits for a name that is free' FROM people WHERE instr(key, char(0x10FFFF)) > 0
        AND substr(key, 1, instr(key, char(0x10FFFF)) - 1) NOT IN (SELECT key FROM people WHERE key IS NOT NULL)",
    // Ids are never reused.
    "SELECT 'the next id of ' || name || ' is in use' FROM sqlite_sequence WHERE seq < CASE name
        WHEN 'people' THEN (SELECT max(id) FROM people) WHEN 'rooms' THEN (SELECT max(id) FROM rooms)
        WHEN 'sessions' THEN (SELECT max(id) FROM sessions)
        WHEN 'notices' THEN (SELECT max(id) FROM notices) END",
    // Logs: without gaps, in rooms that exist, by users who exist. Each query reads all entries once, in their order.
    "SELECT 'the log of room ' || room || iif(count(*) <> max(seq) - min(seq) + 1 OR min(seq) < 1,
            ' has ' || count(*) || ' entries from ' || min(seq) || ' to ' || max(seq), ' is there, and the room is not')
        FROM messages NOT INDEXED GROUP BY room HAVING count(*) <> max(seq) - min(seq) + 1 OR min(seq) < 1
            OR (room NOT IN (SELECT id FROM rooms) AND room NOT IN (SELECT room FROM removed))",
    "SELECT 'entry ' || seq || ' of room ' || room || CASE
            WHEN kind NOT BETWEEN 0 AND 9 THEN ' has the unknown kind ' || kind
            WHEN author NOT IN (SELECT id FROM people) THEN ' has the unknown author ' || author
            WHEN other NOT IN (SELECT id FROM people) THEN ' was deleted by or of the unknown user ' || other
            WHEN kind = 9 THEN ' deletes the later entry ' || ifnull(about, 'NULL')
            WHEN kind BETWEEN 4 AND 8 THEN ' is about the unknown user ' || ifnull(about, 'NULL')
            ELSE ' has a key, and is no message' END
        FROM messages NOT INDEXED WHERE kind NOT BETWEEN 0 AND 9 OR author NOT IN (SELECT id FROM people)
            OR (other IS NOT NULL AND other NOT IN (SELECT id FROM people))
            OR (kind = 9 AND ifnull(about >= seq, 1))
            OR (kind BETWEEN 4 AND 8 AND ifnull(about, 0) NOT IN (SELECT id FROM people))
            OR (kind <> 0 AND key IS NOT NULL)",
    "SELECT 'user ' || person || ' has read entry ' || read || ' of room ' || room || ', which is not there'
        FROM members WHERE read > ifnull((SELECT max(seq) FROM messages WHERE messages.room = members.room), 0)
            AND room IN (SELECT id FROM rooms WHERE kind < 3)",
    // Members.
    "SELECT 'room ' || id || ' counts ' || members || ' members, and has ' ||
            (SELECT count(*) FROM members WHERE room = id AND role >= 2)
        FROM rooms WHERE members <> (SELECT count(*) FROM members WHERE room = id AND role >= 2)",
    "SELECT 'user ' || person || ' is in room ' || room || ' by the unknown user ' || initiator FROM members
        WHERE initiator IS NOT NULL AND initiator NOT IN (SELECT id FROM people)",
    "SELECT 'user ' || person || ' and room ' || room || ' disagree whether it is a direct room'
        FROM members JOIN rooms ON rooms.id = room WHERE kind < 3 AND (active IS NOT NULL) <> (kind = 2)",
    "SELECT 'user ' || person || ' is in the direct room ' || room || ' of others'
        FROM members JOIN rooms ON rooms.id = room
        WHERE kind = 2 AND key NOT GLOB 'pair ' || person || ' *' AND key NOT GLOB 'pair * ' || person",
    // Users.
    "SELECT 'user ' || id || ' is gone, and has a password or an operator''s rights' FROM people
        WHERE key IS NULL AND (password IS NOT NULL OR operator)",
    "SELECT 'user ' || person || ' is gone, and has session ' || sessions.id
        FROM sessions JOIN people ON people.id = person WHERE key IS NULL",
    "SELECT 'session ' || sessions.id || ' of user ' || person || ' is a guest''s, or is not'
        FROM sessions JOIN people ON people.id = person WHERE key IS NOT NULL AND guest <> (password IS NULL)",
    "SELECT 'user ' || person || ' is gone, and what is left of the membership in room ' || room || ' is forgotten'
        FROM members JOIN people ON people.id = person
        WHERE key IS NULL AND person NOT IN (SELECT person FROM departures)",
    "SELECT 'user ' || person || ' is to be removed, and is not gone'
        FROM departures JOIN people ON people.id = person WHERE key IS NOT NULL",
    "SELECT 'notice ' || id || ' has the unknown author ' || author FROM notices
        WHERE author NOT IN (SELECT id FROM people)",
    "SELECT 'user ' || id || ' has dismissed notice ' || notice || ', which was never sent' FROM people
        WHERE notice > ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'notices'), 0)",
    "SELECT 'user ' || person || ' blocks themselves' FROM blocks WHERE person = blocked",
    "SELECT 'room ' || room || ' is to be removed, and is not gone'
        FROM removed JOIN rooms ON rooms.id = room WHERE kind < 3",
];

/// Returns the texts that a query returns.
fn found(db: &Connection, sql: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = db.prepare(&format!("{sql} LIMIT {MAX_FOUND}"))?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The search's index has exactly the pairs of characters of all public rooms' folded names.
fn search_index(db: &Connection) -> Result<Vec<String>, StoreError> {
    let mut wrong = Vec::new();
    let mut rooms = db.prepare("SELECT id, folded FROM rooms WHERE kind = 0 AND folded IS NOT NULL")?;
    let mut part = db.prepare("SELECT 1 FROM room_parts WHERE part = ?1 AND folded = ?2 AND room = ?3")?;
    let mut rooms = rooms.query([])?;
    let mut expected = 0_usize;
    while let Some(row) = rooms.next()?
        && wrong.len() < MAX_FOUND
    {
        let (room, folded): (i64, String) = (row.get(0)?, row.get(1)?);
        let pairs: HashSet<&str> = room_search::pairs(&folded).collect();
        expected += pairs.len();
        for pair in pairs {
            if !part.exists((pair, &folded, room))? {
                wrong.push(format!("room {room} is not found by a part of its name"));
                break;
            }
        }
    }
    let count: usize = db.query_row("SELECT count(*) FROM room_parts", [], |row| row.get(0))?;
    if wrong.is_empty() && count != expected {
        wrong.push(format!("the index of room names has {count} parts instead of {expected}"));
    }
    Ok(wrong)
}

/// Maximum descriptions of what breaks one rule.
const MAX_FOUND: usize = 5;

#[cfg(test)]
impl super::Store {
    /// For tests: returns what breaks the rules.
    pub(crate) fn broken_rules(&self) -> Vec<String> {
        RULES.iter().flat_map(|rule| rule(&self.db).unwrap()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Data, Entry, LOBBY, NewEntry, Role, RoomKind, Stamp, Store, UserId},
        *,
    };

    /// A chat with two users, a room of each kind, and three messages.
    fn chat() -> Store {
        let store = Store::open(&Data::Memory).unwrap();
        for name in ["ada", "bob"] {
            store.add_user(name, name, Some("a hash"), 0).unwrap().unwrap();
        }
        let (ada, bob) = (UserId(1), UserId(2));
        store.add_room(RoomKind::Public, "Rust", "name rust", "", "e").unwrap().unwrap();
        store.add_room(RoomKind::Invited, "Attic", "invited e", "", "e").unwrap().unwrap();
        let direct = store.add_room(RoomKind::Direct, "", "pair 1 2", "", "e").unwrap().unwrap();
        for user in [ada, bob] {
            store.set_role(direct, user, Role::Member, 0).unwrap();
            store.set_direct_member(direct, user, ada, 0).unwrap();
        }
        for seq in 1..=3 {
            let new =
                NewEntry { entry: Entry::Said, author: ada, key: None, text: Some("hi"), about: None, other: None };
            store.append(LOBBY, Stamp::new(seq, 0, &new), &new).unwrap();
        }
        store
    }

    #[test]
    fn each_rule_finds_what_breaks_it() {
        assert_eq!(chat().broken_rules(), [""; 0]);
        let rows = [
            ("UPDATE rooms SET kind = 1, key = 'invited x' WHERE id = 1", "room 1 is not the Lobby"),
            ("UPDATE rooms SET kind = 7 WHERE id = 3", "room 3 has the unknown kind 7"),
            ("UPDATE rooms SET key = 'pair 3 4' WHERE id = 3", "room 3 has a key of another kind"),
            ("UPDATE members SET role = 9 WHERE room = 1 AND person = 2", "unknown role 9"),
            ("UPDATE rooms SET folded = NULL WHERE id = 2", "room 2 has a folded name, or has none"),
            ("UPDATE people SET folded = NULL WHERE id = 2", "user 2 has a folded name, or has none"),
            ("UPDATE rooms SET key = 'name x' || char(0x10FFFF) || '2' WHERE id = 2", "room 2 waits for a name"),
            ("UPDATE people SET key = 'x' || char(0x10FFFF) || '2' WHERE id = 2", "user 2 waits for a name"),
            ("UPDATE sqlite_sequence SET seq = 1 WHERE name = 'people'", "the next id of people is in use"),
            ("DELETE FROM messages WHERE seq = 2", "the log of room 1 has 2 entries from 1 to 3"),
            ("UPDATE messages SET seq = 0 WHERE seq = 1", "the log of room 1 has 3 entries from 0 to 3"),
            ("UPDATE messages SET room = 77", "the log of room 77 is there, and the room is not"),
            ("UPDATE messages SET kind = 11 WHERE seq = 2", "entry 2 of room 1 has the unknown kind 11"),
            ("UPDATE messages SET author = 5 WHERE seq = 2", "entry 2 of room 1 has the unknown author 5"),
            (
                "UPDATE messages SET other = 6 WHERE seq = 2",
                "entry 2 of room 1 was deleted by or of the unknown user 6",
            ),
            ("UPDATE messages SET kind = 2, key = x'00' WHERE seq = 1", "entry 1 of room 1 has a key"),
            ("UPDATE messages SET kind = 4, about = 9 WHERE seq = 1", "entry 1 of room 1 is about the unknown user 9"),
            ("UPDATE messages SET kind = 9, about = 3 WHERE seq = 2", "entry 2 of room 1 deletes the later entry 3"),
            ("UPDATE members SET read = 4 WHERE room = 1", "user 1 has read entry 4 of room 1"),
            ("UPDATE rooms SET members = 5 WHERE id = 1", "room 1 counts 5 members, and has 2"),
            ("UPDATE members SET initiator = 8 WHERE room = 4", "user 1 is in room 4 by the unknown user 8"),
            ("UPDATE members SET active = NULL WHERE room = 4", "user 1 and room 4 disagree"),
            ("UPDATE rooms SET key = 'pair 2 3' WHERE id = 4", "user 1 is in the direct room 4 of others"),
            ("UPDATE people SET key = NULL WHERE id = 2", "user 2 is gone, and has a password"),
            (
                "UPDATE people SET key = NULL, password = NULL WHERE id = 2",
                "user 2 is gone, and what is left of the membership in room 1",
            ),
            (
                "INSERT INTO sessions (person, guest, token, created, used, expires) VALUES (1, 1, x'00', 0, 0, 0)",
                "session 1 of user 1 is a guest's, or is not",
            ),
            (
                "INSERT INTO sessions (person, guest, token, created, used, expires) VALUES (1, 0, x'00', 0, 0, 0);
                UPDATE people SET key = NULL, password = NULL WHERE id = 1",
                "user 1 is gone, and has session 1",
            ),
            ("INSERT INTO departures VALUES (2)", "user 2 is to be removed, and is not gone"),
            ("INSERT INTO notices (author, text, sent) VALUES (7, '', 0)", "notice 1 has the unknown author 7"),
            ("UPDATE people SET notice = 3 WHERE id = 1", "user 1 has dismissed notice 3, which was never sent"),
            ("INSERT INTO blocks VALUES (2, 2)", "user 2 blocks themselves"),
            ("INSERT INTO removed VALUES (3)", "room 3 is to be removed, and is not gone"),
            ("DELETE FROM room_parts WHERE part = 'us'", "room 2 is not found by a part of its name"),
            ("INSERT INTO room_parts VALUES ('xy', 'xy', 9)", "the index of room names has 8 parts instead of 7"),
        ];
        for (change, expected) in rows {
            let store = chat();
            store.execute(change).unwrap();
            let broken = store.broken_rules();
            assert!(broken.iter().any(|found| found.contains(expected)), "{change}: {broken:#?}");
        }
        assert!(rows.len() >= RULES.len(), "each rule has a row");
    }
}
