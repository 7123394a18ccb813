-- What a channel took lately.
CREATE INDEX outbox_taken ON outbox (channel, settled_at) WHERE state = 'delivered';
-- Which channels were drilled lately.
CREATE INDEX incidents_of_drills ON incidents (opened_at) WHERE json_extract(body, '$.drill') IS NOT NULL;
