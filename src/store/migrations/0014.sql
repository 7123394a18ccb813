-- What somebody wants not to be run for a while.
CREATE TABLE pauses (
    id       TEXT PRIMARY KEY,
    ended_at INTEGER,               -- absent as long as it is not over
    body     TEXT NOT NULL          -- the whole, as JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX pauses_by_end ON pauses (ended_at);
