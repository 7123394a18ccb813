-- Why a run was made off the slots; absent for the one of a slot. A slot is still served once at each location, and a run
-- off the slots never takes the place of one that serves a slot, should both name the same instant.
ALTER TABLE runs ADD COLUMN extra TEXT;
DROP INDEX runs_by_slot;
CREATE UNIQUE INDEX runs_by_slot ON runs (schedule, probe, slot, location, ifnull(extra, ''));
