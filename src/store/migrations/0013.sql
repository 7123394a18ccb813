-- What somebody changed.
CREATE TABLE audit (
    id   TEXT NOT NULL PRIMARY KEY,  -- later ones sort later
    at   INTEGER NOT NULL,
    body TEXT NOT NULL               -- who, what, before and after, as JSON
) STRICT, WITHOUT ROWID;
