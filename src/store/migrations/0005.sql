-- What somebody wants nobody to be told of, until an instant.
CREATE TABLE silences (
    id       TEXT NOT NULL PRIMARY KEY,
    ends_at  INTEGER NOT NULL,
    body     TEXT NOT NULL         -- the silence whole, as JSON
) STRICT, WITHOUT ROWID;
