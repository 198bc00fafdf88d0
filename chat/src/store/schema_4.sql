-- The first log-in page of a chat, and where users are signed in.

-- Whether there is any account is found with this.
CREATE INDEX accounts ON people (id) WHERE password IS NOT NULL;

-- The program and the system of the client that has signed in: names of user_agent.rs, or NULL if they are not known.
ALTER TABLE sessions ADD COLUMN program TEXT;
ALTER TABLE sessions ADD COLUMN system TEXT;

-- The search for names and their order go by what readers compare, and not by what looks the same.

-- The folded name (fold.rs); NULL: the user is gone. The key of a name that a user with an older account has as well is
-- that key, U+10FFFF and the id: no name has such a key.
ALTER TABLE people ADD COLUMN folded TEXT;
CREATE INDEX people_by_name ON people (folded) WHERE folded IS NOT NULL;

-- The folded name of a public room; NULL for others.
ALTER TABLE rooms ADD COLUMN folded TEXT;
DROP INDEX public_rooms;
CREATE INDEX public_rooms ON rooms (folded) WHERE kind = 0;

-- The pairs of adjacent characters in public rooms' folded names.
DROP TABLE room_parts;
CREATE TABLE room_parts (
    part   TEXT NOT NULL,
    folded TEXT NOT NULL,
    room   INTEGER NOT NULL,
    PRIMARY KEY (part, folded, room)
) STRICT, WITHOUT ROWID;

-- An apostrophe as phones type it (U+02BC) is the same as that of ASCII, in new names too.
UPDATE people SET name = replace(name, char(0x2BC), '''') WHERE instr(name, char(0x2BC)) > 0;

-- All keys and folded names are computed when the database is opened (keys.rs).
DELETE FROM facts WHERE name = 'keys';

-- Who has deleted a message; notices for users who were away.

-- The other user of a deletion: of a message, who has deleted it; of the entry about it, the author of the message.
-- NULL: it is the entry's own author, or an older version has deleted the message.
ALTER TABLE messages ADD COLUMN other INTEGER;

-- The latest notices by operators. No foreign key: each new user would have to be looked up here.
CREATE TABLE notices (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    author INTEGER NOT NULL,
    text   TEXT NOT NULL,
    sent   INTEGER NOT NULL
) STRICT;
-- The latest notice that the user has dismissed, with all before it.
ALTER TABLE people ADD COLUMN notice INTEGER NOT NULL DEFAULT 0;
