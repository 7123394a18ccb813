-- What a receiver said of an incident of its own accord: what was said is not taken twice, and what the receiver calls the
-- incident is known from then on.
CREATE TABLE replies (
    channel  TEXT NOT NULL,
    id       TEXT NOT NULL,        -- the receiver's, of what it said
    theirs   TEXT NOT NULL,        -- the receiver's, of the incident
    incident TEXT NOT NULL REFERENCES incidents (id),
    PRIMARY KEY (channel, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replies_by_theirs ON replies (channel, theirs, incident);
CREATE INDEX replies_by_incident ON replies (incident);
-- What was given up, the latest first.
CREATE INDEX outbox_given_up ON outbox (settled_at) WHERE state = 'dead';
