-- Who caused a membership, and which direct rooms of a user come first.

-- The user who created the room, began the conversation, or sent the invitation; NULL: the user has joined the room. No
-- foreign key: each new user would have to be looked up here.
ALTER TABLE members ADD COLUMN initiator INTEGER;
-- In direct rooms: the time of the latest message, at most a minute too early; NULL: not a direct room.
ALTER TABLE members ADD COLUMN active INTEGER;
-- In direct rooms: whether the user has written a message since they became a member.
ALTER TABLE members ADD COLUMN wrote INTEGER NOT NULL DEFAULT 0;

UPDATE members SET initiator = person
    WHERE role = 3 AND room IN (SELECT id FROM rooms WHERE kind <> 2);
UPDATE members SET
        initiator = ifnull((SELECT author FROM messages AS m WHERE m.room = members.room AND m.kind = 0
            ORDER BY seq LIMIT 1), person),
        active = ifnull((SELECT time FROM messages AS m WHERE m.room = members.room ORDER BY seq DESC LIMIT 1), since),
        wrote = EXISTS (SELECT 1 FROM messages AS m WHERE m.room = members.room AND m.kind = 0 AND m.author = person)
    WHERE room IN (SELECT id FROM rooms WHERE kind = 2);

CREATE INDEX rooms_of ON members (person, role) WHERE active IS NULL;
CREATE INDEX directs_of ON members (person, wrote, active, room) WHERE active IS NOT NULL;
CREATE INDEX begun ON members (person) WHERE active IS NOT NULL AND initiator = person;
CREATE INDEX invitations_by ON members (initiator, since) WHERE role = 1;
