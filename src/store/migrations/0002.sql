-- What runs may leave behind in their targets, until it is cleaned up. It holds what they captured.
CREATE TABLE journal (
    run      TEXT NOT NULL PRIMARY KEY,
    probe    TEXT NOT NULL,
    captures TEXT NOT NULL,      -- those that the cleanup names, as JSON
    since    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at   INTEGER             -- absent while the run goes on
) STRICT, WITHOUT ROWID;
