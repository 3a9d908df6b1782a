-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A run is written for every visit, from a journey that was just read, and nobody may delete a journey. Checking the
-- reference row by row, with a lock on the same journey each time, was half of what enrolling cost.
-- squawk-ignore ban-drop-constraint
ALTER TABLE journey_runs DROP CONSTRAINT IF EXISTS journey_runs_cafe_id_journey_id_fkey;

DO $$
BEGIN
    EXECUTE format('REVOKE DELETE ON journeys FROM %I', crm.service_role());
END $$;

-- migrate:down
