-- Removing a room or a user is one small change. Their rows in other tables are deleted later, in small pieces.

-- A room of kind 3 is removed. It stays until its last member is deleted, and nothing else returns it.
CREATE INDEX removed_rooms ON rooms (id) WHERE kind = 3;

-- Users who are gone, whose memberships and blocks are not all deleted yet.
CREATE TABLE departures (
    person INTEGER PRIMARY KEY REFERENCES people
) STRICT;

-- A user's bans, of which there may be any number, are apart from the user's rooms.
DROP INDEX members_of;
CREATE INDEX members_of ON members (person, role);

-- For the member who becomes the owner. The Lobby needs none.
CREATE INDEX members_by_age ON members (room, since, person) WHERE role = 2 AND room <> 1;

-- The number of members, owners included.
ALTER TABLE rooms ADD COLUMN members INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET members = (SELECT count(*) FROM members WHERE room = rooms.id AND role >= 2);
CREATE TRIGGER member_added AFTER INSERT ON members WHEN new.role >= 2 BEGIN
    UPDATE rooms SET members = members + 1 WHERE id = new.room;
END;
CREATE TRIGGER member_removed AFTER DELETE ON members WHEN old.role >= 2 BEGIN
    UPDATE rooms SET members = members - 1 WHERE id = old.room;
END;
CREATE TRIGGER member_changed AFTER UPDATE OF role ON members WHEN (old.role >= 2) <> (new.role >= 2) BEGIN
    UPDATE rooms SET members = members + CASE WHEN new.role >= 2 THEN 1 ELSE -1 END WHERE id = new.room;
END;

-- The pairs of adjacent characters in public rooms' names, for the search. They are filled with the keys of names.
CREATE TABLE room_parts (
    part TEXT NOT NULL,
    key  TEXT NOT NULL,                   -- the room's key
    room INTEGER NOT NULL,
    PRIMARY KEY (part, key)
) STRICT, WITHOUT ROWID;
DELETE FROM facts WHERE name = 'keys';
