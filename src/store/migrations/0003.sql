CREATE TABLE bundles (
    run        TEXT NOT NULL PRIMARY KEY,
    probe      TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    incident   TEXT REFERENCES incidents (id), -- absent where it speaks of none
    body       TEXT NOT NULL                   -- as JSON, without secrets
) STRICT;
-- Which of a probe are the last.
CREATE INDEX bundles_by_probe ON bundles (probe, started_at, run, incident);
-- Which of an incident are the first and the latest.
CREATE INDEX bundles_by_incident ON bundles (incident, started_at, run) WHERE incident IS NOT NULL;
-- Finds what is old.
CREATE INDEX bundles_by_start ON bundles (started_at) WHERE incident IS NULL;
