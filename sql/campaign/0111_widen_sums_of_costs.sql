-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What many messages cost together must fit, however dear a cafe says that one is. A wider numeric rewrites nothing. Only
-- the cost per message is counted anew, in a table of a few rows per cafe, because it stands on the sum.
-- squawk-ignore ban-drop-column
ALTER TABLE campaigns DROP COLUMN cost_per_message;
-- squawk-ignore changing-column-type
ALTER TABLE campaigns ALTER COLUMN estimated_cost TYPE numeric(30, 2);
-- squawk-ignore changing-column-type
ALTER TABLE campaigns ALTER COLUMN reserved_cost TYPE numeric(30, 2);
-- squawk-ignore changing-column-type
ALTER TABLE campaigns ALTER COLUMN actual_cost TYPE numeric(30, 2);
ALTER TABLE campaigns ADD COLUMN cost_per_message numeric(30, 2)
-- squawk-ignore adding-field-with-default
GENERATED ALWAYS AS (round(actual_cost / nullif(messages_sent, 0), 2)) STORED;

-- squawk-ignore changing-column-type
ALTER TABLE sms_usage ALTER COLUMN cost TYPE numeric(30, 2);

-- migrate:down
