-- A slot is the first that the index goes by, so that what ends together stands together: with the probe first each run
-- dirtied a page of its own. Which run of a probe is its last is written down instead of being looked for.
ALTER TABLE slots ADD COLUMN last_run TEXT; -- absent where none has ended
UPDATE slots SET last_run = (
    SELECT id FROM runs WHERE runs.schedule = slots.schedule AND runs.probe = slots.probe
    ORDER BY slot DESC, location DESC LIMIT 1
);
DROP INDEX runs_by_slot;
CREATE UNIQUE INDEX runs_by_slot ON runs (slot, schedule, probe, location);
