-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- For which reasons entering its segment starts a journey, and whether it takes a guest again who enters once more. The
-- version before knows none of these: it takes every guest once.
ALTER TABLE journeys
ADD COLUMN starts_on text [] NOT NULL DEFAULT '{visit,time}',
ADD COLUMN reentry text NOT NULL DEFAULT 'never',
ADD COLUMN reentry_days integer;
ALTER TABLE journeys ADD CONSTRAINT reentry_is_known CHECK (
    CASE reentry
        WHEN 'after_days' THEN coalesce(reentry_days BETWEEN 1 AND 3650, false)
        ELSE reentry IN ('never', 'every_stay') AND reentry_days IS NULL
    END
) NOT VALID;

-- For which moment a journey about a segment took a guest last. Who was taken by the version before has a run whose trigger
-- is the segment itself.
CREATE TABLE journey_entries (
    cafe_id uuid NOT NULL,
    journey_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, journey_id, customer_id)
) WITH (fillfactor = 90);
SELECT crm.protect('journey_entries', 'SELECT');

-- Why the guest entered or left; empty where nobody said so yet.
ALTER TABLE segment_members ADD COLUMN reason text;

-- migrate:down
