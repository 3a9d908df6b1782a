-- migrate:up

-- Set by every migration: a lock that cannot be had at once must not queue the previous version's writes behind it.
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE SCHEMA crm;
GRANT USAGE ON SCHEMA crm TO PUBLIC;

-- The login role of the service that owns this database: databases are named <prefix>crm_<service>.
CREATE FUNCTION crm.service_role() RETURNS name LANGUAGE sql STABLE
RETURN substring(current_database() FROM 'crm_(?:identity|customer|visit|loyalty|campaign|feedback)')::name;

-- Rows are deleted once the broker has confirmed them, so the table is short and busy: vacuum by count, not by share.
CREATE TABLE crm.outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cafe_id uuid NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    type text NOT NULL,
    headers bytea NOT NULL,
    payload bytea,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE TABLE crm.inbox (
    event_id uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_received_at ON crm.inbox USING brin (received_at);

CREATE TYPE crm.parked_status AS ENUM ('parked', 'redriven', 'discarded');

CREATE TABLE crm.parked (
    id uuid PRIMARY KEY,
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    key text,
    event_id text,
    event_type text,
    trace text,
    headers_sealed text NOT NULL,
    body_sealed text,
    reason text NOT NULL,
    detail text NOT NULL,
    attempts integer NOT NULL,
    status crm.parked_status NOT NULL DEFAULT 'parked',
    parked_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    resolution text,
    UNIQUE (topic, partition, record_offset)
);
CREATE INDEX parked_waiting ON crm.parked (parked_at) WHERE status = 'parked';

-- Walls between cafes, in one call per table. `staff_rights` and `till_rights` are what people and tills may do inside
-- their own cafe; none when empty. The migration owner keeps all rows for later migrations; no process logs in as it.
CREATE FUNCTION crm.protect(
    target regclass, staff_rights text DEFAULT 'SELECT, INSERT, UPDATE', till_rights text DEFAULT '',
    service_rights text DEFAULT 'SELECT, INSERT, UPDATE, DELETE'
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own_cafe constant text := 'cafe_id IN (SELECT a.cafe_id FROM user_cafe_access a WHERE a.user_id = current_user_id())';
    this_cafe constant text := 'cafe_id = crm.current_cafe_id()';
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY owner_all ON %s TO crm_owner USING (true) WITH CHECK (true)', target);
    EXECUTE format('CREATE POLICY service_all ON %s TO %I USING (true) WITH CHECK (true)', target, crm.service_role());
    EXECUTE format('GRANT %s ON %s TO %I', service_rights, target, crm.service_role());
    IF staff_rights <> '' THEN
        EXECUTE format('CREATE POLICY staff_cafe ON %s TO staff_role USING (%s) WITH CHECK (%s)', target, own_cafe, own_cafe);
        EXECUTE format('GRANT %s ON %s TO staff_role', staff_rights, target);
    END IF;
    IF till_rights <> '' THEN
        EXECUTE format('CREATE POLICY till_cafe ON %s TO till_role USING (%s) WITH CHECK (%s)', target, this_cafe, this_cafe);
        EXECUTE format('GRANT %s ON %s TO till_role', till_rights, target);
    END IF;
END $$;

-- Tables of the machinery belong to no cafe and to no person: only the service touches them.
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA crm TO %I', crm.service_role());
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON crm.inbox TO %I', crm.service_role());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON crm.parked TO %I', crm.service_role());
END $$;

-- migrate:down
