-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What the provider last asked for one part, in Rial; NULL until it has asked for anything. The dearer of this and what
-- the cafe says is what budgets are judged by.
ALTER TABLE sms_providers ADD COLUMN charged_per_part numeric(18, 2);
GRANT SELECT (charged_per_part) ON sms_providers TO staff_role;

-- Of a day's cost, what is under way: its price is only what was expected.
ALTER TABLE sms_usage ADD COLUMN reserved numeric(30, 2) NOT NULL DEFAULT 0;

-- migrate:down
