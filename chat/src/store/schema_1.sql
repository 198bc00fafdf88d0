-- Times are milliseconds since 1970.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL,               -- as it is shown
    key      TEXT UNIQUE,                 -- what nobody else may look like; NULL: gone
    password TEXT,                        -- argon2id; NULL: a guest, or gone
    operator INTEGER NOT NULL DEFAULT 0,
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    person  INTEGER NOT NULL REFERENCES people,
    guest   INTEGER NOT NULL,             -- whether the person is one
    token   BLOB NOT NULL UNIQUE,         -- SHA-256
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL,             -- when they last did something, to the minute
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of ON sessions (person);
CREATE INDEX sessions_by_use ON sessions (guest, used);
CREATE INDEX sessions_by_end ON sessions (expires);

CREATE TABLE rooms (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind  INTEGER NOT NULL,               -- 0 public, 1 invited, 2 direct
    name  TEXT NOT NULL,
    key   TEXT NOT NULL UNIQUE,           -- of a public one's name, or of the two people
    topic TEXT NOT NULL DEFAULT '',
    epoch TEXT NOT NULL
) STRICT;

CREATE INDEX public_rooms ON rooms (key) WHERE kind = 0;

-- The room that everybody begins in.
INSERT INTO rooms (id, kind, name, key, epoch) VALUES (1, 0, 'Lobby', 'name lobby', lower(hex(randomblob(4))));

CREATE TABLE members (
    room   INTEGER NOT NULL REFERENCES rooms,
    person INTEGER NOT NULL REFERENCES people,
    role   INTEGER NOT NULL,              -- 0 banned, 1 invited, 2 member, 3 owner
    since  INTEGER NOT NULL,
    read   INTEGER NOT NULL DEFAULT 0,    -- the latest message that they have seen
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of ON members (person);
-- Who is found among many.
CREATE INDEX banned ON members (room, person) WHERE role = 0;
CREATE INDEX owners ON members (room) WHERE role = 3;

-- Neither room nor author is checked by a foreign key: this is the table that is written all the time.
CREATE TABLE messages (
    room   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    author INTEGER NOT NULL,
    key    BLOB,                          -- the author's, for what was said
    text   TEXT,                          -- NULL where it was deleted, or never had one
    about  INTEGER,                       -- a person or a message, as the kind has it
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_key ON messages (key, author) WHERE key IS NOT NULL;

-- Rooms that are no more, with messages that are still to be forgotten.
CREATE TABLE removed (
    room INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE blocks (
    person  INTEGER NOT NULL REFERENCES people,
    blocked INTEGER NOT NULL REFERENCES people,
    PRIMARY KEY (person, blocked)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_of ON blocks (blocked);
