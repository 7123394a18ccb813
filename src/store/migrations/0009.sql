-- What was looked at because an incident opened.
CREATE TABLE diagnoses (
    incident   TEXT NOT NULL REFERENCES incidents (id),
    run        TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finding    TEXT NOT NULL,       -- what it came to in short, as JSON
    body       TEXT NOT NULL,       -- what the run left, as JSON
    PRIMARY KEY (incident, run)
) STRICT, WITHOUT ROWID;

-- Which incidents opened close in time.
CREATE INDEX incidents_by_opening ON incidents (opened_at);

-- Those that are over and of which somebody is still to be reminded.
CREATE INDEX incidents_by_post_mortem ON incidents (json_extract(body, '$.post_mortem_at'))
    WHERE json_extract(body, '$.post_mortem_at') IS NOT NULL;
