-- What became of the runs of each probe of each schedule, by the hour and by the day, counted after they were committed. The
-- time goes first, so that what ends together is counted on few pages.
CREATE TABLE stretches (
    hours        INTEGER NOT NULL, -- how long it is: 1 or 24
    begins_at    INTEGER NOT NULL,
    probe        TEXT NOT NULL,
    schedule     TEXT NOT NULL,    -- empty where runs had none: those are found by it and count nothing
    passed       INTEGER NOT NULL,
    degraded     INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    inconclusive INTEGER NOT NULL,
    durations    BLOB NOT NULL,    -- how many took how long
    places       BLOB NOT NULL,    -- of an hour: where its runs are, and which of them are bad
    PRIMARY KEY (hours, begins_at, probe, schedule)
) STRICT, WITHOUT ROWID;

-- How far runs are counted. One row.
CREATE TABLE counted (
    through INTEGER NOT NULL,      -- the row number of the last run that is
    erased  INTEGER NOT NULL       -- how often runs were taken away
) STRICT;
INSERT INTO counted VALUES (0, 0);

-- Every change of the version that a step saw of its target; `versions` has the last.
CREATE TABLE changes (
    probe   TEXT NOT NULL,
    since   INTEGER NOT NULL,
    step    TEXT NOT NULL,
    version TEXT NOT NULL,
    before  TEXT NOT NULL,
    PRIMARY KEY (probe, since, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX changes_by_time ON changes (since);
INSERT INTO changes (probe, since, step, version, before)
SELECT probe, since, step, version, before FROM versions WHERE before IS NOT NULL;
