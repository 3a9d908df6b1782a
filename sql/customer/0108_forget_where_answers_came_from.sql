-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Answers about consent stay for ever as a proof. Where one was given could be typed freely before: of an erased guest
-- only that it was told to staff is kept. Nothing else in a row of the past can change.
DO $$
BEGIN
    EXECUTE format('GRANT UPDATE (source) ON consent_history TO staff_role, %I', crm.service_role());
END $$;

-- migrate:down
