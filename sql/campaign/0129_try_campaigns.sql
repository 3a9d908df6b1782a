-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A campaign's message that a manager had sent to a number of their own: it costs, and is nobody of whom it was for.
ALTER TABLE campaign_deliveries ADD COLUMN is_test boolean NOT NULL DEFAULT false;

-- squawk-ignore ban-drop-constraint
ALTER TABLE campaign_trail DROP CONSTRAINT campaign_trail_what_check;
ALTER TABLE campaign_trail ADD CONSTRAINT campaign_trail_what_check CHECK (
    what IN ('written', 'edited', 'scheduled', 'approved', 'cancelled', 'switched', 'tried')
) NOT VALID;

-- migrate:down
