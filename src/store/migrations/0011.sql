-- Answers also what objectives ask about the past by itself, who leave out what was made off the slots.
DROP INDEX runs_by_start;
CREATE INDEX runs_by_start ON runs (started_at, schedule, probe, duration, verdict, extra);
