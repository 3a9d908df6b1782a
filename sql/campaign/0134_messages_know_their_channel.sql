-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A message leaves by the channel that its campaign had when it was written. All until now were SMS.
ALTER TABLE campaign_deliveries ADD COLUMN channel campaign_type_enum NOT NULL DEFAULT 'sms';

-- migrate:down
