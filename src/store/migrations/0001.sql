CREATE TABLE runs (
    id         TEXT NOT NULL PRIMARY KEY,
    schedule   TEXT,             -- absent when somebody asked for the run
    probe      TEXT NOT NULL,
    location   TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration   INTEGER NOT NULL,
    lateness   INTEGER NOT NULL,
    verdict    TEXT NOT NULL,    -- the word
    why        TEXT NOT NULL,    -- the verdict whole, as JSON
    steps      TEXT NOT NULL     -- as JSON
) STRICT;
-- A slot is served once at each location; rows without a schedule never collide.
CREATE UNIQUE INDEX runs_by_slot ON runs (schedule, probe, slot, location);
-- Answers the charts by itself, and finds what is old.
CREATE INDEX runs_by_start ON runs (started_at, schedule, probe, duration, verdict);

CREATE TABLE slots (
    schedule  TEXT NOT NULL,
    probe     TEXT NOT NULL,
    through   INTEGER NOT NULL,
    ran       INTEGER NOT NULL,
    skipped   INTEGER NOT NULL,
    saturated INTEGER NOT NULL,
    paused    INTEGER NOT NULL,
    gap       INTEGER NOT NULL,
    PRIMARY KEY (schedule, probe)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_states (
    schedule TEXT NOT NULL,
    probe    TEXT NOT NULL,
    aspect   TEXT NOT NULL,
    state    TEXT NOT NULL,      -- as JSON
    PRIMARY KEY (schedule, probe, aspect)
) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
    id          TEXT NOT NULL PRIMARY KEY,
    probe       TEXT NOT NULL,
    aspect      TEXT NOT NULL,
    opened_at   INTEGER NOT NULL,
    resolved_at INTEGER,         -- absent while it is open
    body        TEXT NOT NULL    -- the incident whole, as JSON
) STRICT;
CREATE INDEX incidents_by_end ON incidents (resolved_at);

CREATE TABLE moments (
    incident TEXT NOT NULL REFERENCES incidents (id),
    place    INTEGER NOT NULL,   -- in the time line, from 1
    at       INTEGER NOT NULL,
    what     TEXT NOT NULL,
    text     TEXT NOT NULL,
    PRIMARY KEY (incident, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    id              TEXT NOT NULL PRIMARY KEY,
    channel         TEXT NOT NULL,
    fallback        TEXT,
    incident        TEXT NOT NULL REFERENCES incidents (id),
    event           TEXT NOT NULL,
    transition      INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    plain           INTEGER NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'merged')),
    settled_at      INTEGER,
    receipt         TEXT,        -- how the receiver calls the message
    error           TEXT,        -- of the last attempt
    notification    TEXT NOT NULL -- as JSON
) STRICT;
-- The order in which a channel is told of an incident.
CREATE INDEX outbox_by_order ON outbox (incident, channel, transition, created_at, id);
CREATE INDEX outbox_by_channel ON outbox (channel, created_at, id) WHERE state = 'pending';
CREATE INDEX outbox_by_age ON outbox (created_at, id) WHERE state = 'pending';
CREATE INDEX outbox_by_next_attempt ON outbox (next_attempt_at) WHERE state = 'pending';
