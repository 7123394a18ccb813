-- Which of the last runs of each probe on each schedule failed, where that says how grave it is.
CREATE TABLE recents (
    schedule TEXT NOT NULL,
    probe    TEXT NOT NULL,
    recent   TEXT NOT NULL,      -- stretches of the same, as JSON
    PRIMARY KEY (schedule, probe)
) STRICT, WITHOUT ROWID;
