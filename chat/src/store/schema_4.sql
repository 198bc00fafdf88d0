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
