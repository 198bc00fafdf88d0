-- The first log-in page of a chat, and where users are signed in.

-- Whether there is any account is found with this.
CREATE INDEX accounts ON people (id) WHERE password IS NOT NULL;

-- The program and the system of the client that has signed in: names of user_agent.rs, or NULL if they are not known.
ALTER TABLE sessions ADD COLUMN program TEXT;
ALTER TABLE sessions ADD COLUMN system TEXT;
