-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What stays the same as long as a database lives, and must be the same for whoever works on it (shared.facts):
-- `secret_check` is made with the key for look-ups, `sealing_keys` names the keys that sealed here.
CREATE TABLE crm.facts (
    name text PRIMARY KEY,
    value text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON crm.facts TO %I', crm.service_role());
END $$;

-- migrate:down
