-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How an account at a provider fares: after a failed call it is left alone until `paused_until`, longer each time. `own_key`
-- tells people whether the row has a key of its own, which they may not read. Some rows a cafe: written anew in a moment.
ALTER TABLE sms_providers
-- squawk-ignore adding-field-with-default
ADD COLUMN own_key boolean GENERATED ALWAYS AS (api_key_sealed IS NOT NULL) STORED,
ADD COLUMN failures integer NOT NULL DEFAULT 0,
ADD COLUMN last_error varchar(50),
ADD COLUMN last_error_at timestamptz,
ADD COLUMN paused_until timestamptz;
GRANT SELECT (own_key, failures, last_error, last_error_at, paused_until) ON sms_providers TO staff_role;

-- When the job looks at a campaign next: for its next recipients, or whether all of its messages are through. Who was
-- looked at waits for the others.
ALTER TABLE campaigns ADD COLUMN look_at timestamptz;

-- migrate:down
