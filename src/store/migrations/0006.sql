-- Why a run was made off the slots; absent for the one of a slot. A slot is still served once at each location, and a run
-- off the slots never takes the place of one that serves a slot, should both name the same instant.
ALTER TABLE runs ADD COLUMN extra TEXT;
-- Which run of a probe is its last is written down instead of being looked for; absent where none has ended.
ALTER TABLE slots ADD COLUMN last_run TEXT;
UPDATE slots SET last_run = (
    SELECT id FROM runs WHERE runs.schedule = slots.schedule AND runs.probe = slots.probe
    ORDER BY slot DESC, location DESC LIMIT 1
);
-- The index goes by the slot first, so that what ends together stands together: with the probe first each run dirtied a
-- page of its own.
DROP INDEX runs_by_slot;
CREATE UNIQUE INDEX runs_by_slot ON runs (slot, schedule, probe, location, ifnull(extra, ''));
