-- With what a message may be told: those of one channel with the same text go together.
ALTER TABLE outbox ADD COLUMN together TEXT;
-- How much its incident matters.
ALTER TABLE outbox ADD COLUMN severity TEXT;
-- The row that carries it: its own id where it is told by itself or carries others; absent while it waits for others.
ALTER TABLE outbox ADD COLUMN message TEXT;
-- When it was let go, in the row that carries.
ALTER TABLE outbox ADD COLUMN gone_at INTEGER;
UPDATE outbox SET message = id;

-- What a message tells, the gravest first.
CREATE INDEX outbox_by_message ON outbox (message, severity, created_at, id) WHERE message IS NOT NULL;
-- What is to be tried, however many rows it carries.
CREATE INDEX outbox_carrying ON outbox (channel, created_at, id) WHERE state = 'pending' AND message = id;
CREATE INDEX outbox_waiting ON outbox (channel, severity, created_at, id) WHERE state = 'pending' AND message IS NULL;
-- What a channel was told of lately.
CREATE INDEX outbox_by_departure ON outbox (channel, gone_at) WHERE gone_at IS NOT NULL;

-- How each probe on each schedule has come and gone lately.
CREATE TABLE flaps (
    schedule TEXT NOT NULL,
    probe    TEXT NOT NULL,
    aspect   TEXT NOT NULL,
    flap     TEXT NOT NULL,      -- as JSON
    PRIMARY KEY (schedule, probe, aspect)
) STRICT, WITHOUT ROWID;
