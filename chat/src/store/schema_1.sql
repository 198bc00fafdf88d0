-- Times are milliseconds since 1970.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE people (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    name     TEXT NOT NULL,               -- for display
    key      TEXT UNIQUE,                 -- the key of the name (name.rs); NULL: the user is gone
    password TEXT,                        -- Argon2id; NULL: a guest, or the user is gone
    operator INTEGER NOT NULL DEFAULT 0,
    created  INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    person  INTEGER NOT NULL REFERENCES people,
    guest   INTEGER NOT NULL,             -- whether the user is a guest
    token   BLOB NOT NULL UNIQUE,         -- SHA-256
    created INTEGER NOT NULL,
    used    INTEGER NOT NULL,             -- the last activity, stored with a delay of up to a minute
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_of ON sessions (person);
CREATE INDEX sessions_by_use ON sessions (guest, used);
CREATE INDEX sessions_by_end ON sessions (expires);

CREATE TABLE rooms (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind  INTEGER NOT NULL,               -- 0 public, 1 invited, 2 direct
    name  TEXT NOT NULL,
    key   TEXT NOT NULL UNIQUE,           -- made from a public room's name, or from two users
    topic TEXT NOT NULL DEFAULT '',
    epoch TEXT NOT NULL
) STRICT;

CREATE INDEX public_rooms ON rooms (key) WHERE kind = 0;

-- Every user is a member of this room from the beginning.
INSERT INTO rooms (id, kind, name, key, epoch) VALUES (1, 0, 'Lobby', 'name lobby', lower(hex(randomblob(4))));

CREATE TABLE members (
    room   INTEGER NOT NULL REFERENCES rooms,
    person INTEGER NOT NULL REFERENCES people,
    role   INTEGER NOT NULL,              -- 0 banned, 1 invited, 2 member, 3 owner
    since  INTEGER NOT NULL,
    read   INTEGER NOT NULL DEFAULT 0,    -- the latest message that the user has read
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_of ON members (person);
-- For the few banned users and owners among many members.
CREATE INDEX banned ON members (room, person) WHERE role = 0;
CREATE INDEX owners ON members (room) WHERE role = 3;

-- No foreign keys for room and author: this table is written most often.
CREATE TABLE messages (
    room   INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    time   INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    author INTEGER NOT NULL,
    key    BLOB,                          -- the client's key, for chat messages only
    text   TEXT,                          -- NULL if it was deleted, or if the kind has none
    about  INTEGER,                       -- a user or a message, depending on the kind
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_key ON messages (key, author) WHERE key IS NOT NULL;

-- Removed rooms whose messages are not all deleted yet.
CREATE TABLE removed (
    room INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE blocks (
    person  INTEGER NOT NULL REFERENCES people,
    blocked INTEGER NOT NULL REFERENCES people,
    PRIMARY KEY (person, blocked)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_of ON blocks (blocked);
