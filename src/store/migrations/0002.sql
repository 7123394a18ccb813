-- What runs may leave behind in their targets, until it is cleaned up. It holds what they captured.
CREATE TABLE journal (
    run      TEXT NOT NULL PRIMARY KEY,
    probe    TEXT NOT NULL,
    captures TEXT NOT NULL,      -- those that the cleanup names, as JSON
    since    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at   INTEGER             -- absent while the run goes on
) STRICT, WITHOUT ROWID;

-- Which version each step last saw of its target.
CREATE TABLE versions (
    probe   TEXT NOT NULL,
    step    TEXT NOT NULL,
    version TEXT NOT NULL,
    since   INTEGER NOT NULL,
    before  TEXT,                -- absent for the first that was ever seen
    PRIMARY KEY (probe, step)
) STRICT, WITHOUT ROWID;
