-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What every service knows of cafes, of people's access and of tills. The identity service owns these tables (its own
-- migrations add what only it needs); elsewhere they are kept from its events by shared.access.

CREATE FUNCTION current_user_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.user_id', true), '')::uuid;

CREATE FUNCTION crm.current_cafe_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
RETURN nullif(current_setting('app.cafe_id', true), '')::uuid;

CREATE TABLE cafes (
    cafe_id uuid PRIMARY KEY,
    version integer NOT NULL,
    name text NOT NULL,
    time_zone text NOT NULL,
    calendar text NOT NULL CHECK (calendar IN ('jalali', 'gregorian')),
    currency_unit text NOT NULL CHECK (currency_unit IN ('IRT', 'IRR')),
    quiet_from time NOT NULL,
    quiet_until time NOT NULL,
    is_active boolean NOT NULL
);

-- A revoked access stays as a row without a role, so that a grant that arrives late can't bring it back.
CREATE TABLE user_cafe_access (
    cafe_id uuid NOT NULL,
    user_id uuid NOT NULL,
    version integer NOT NULL,
    role text CHECK (role IN ('owner', 'manager', 'staff')),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, user_id)
);
CREATE INDEX user_cafe_access_user ON user_cafe_access (user_id, cafe_id) WHERE role IS NOT NULL;

-- A revocation may arrive before the key itself: then the row has no hash and can never match.
CREATE TABLE till_keys (
    cafe_id uuid NOT NULL,
    key_id text NOT NULL,
    key_hash bytea CHECK (octet_length(key_hash) = 32),
    signing_key_sealed text,
    scopes text[] NOT NULL DEFAULT '{}' CHECK (scopes <@ ARRAY['ingest', 'loyalty_lookup']),
    device_name text,
    expires_at timestamptz,
    revoked_at timestamptz,
    PRIMARY KEY (cafe_id, key_id),
    CHECK (revoked_at IS NOT NULL OR (key_hash IS NOT NULL AND signing_key_sealed IS NOT NULL))
);
CREATE INDEX till_keys_key ON till_keys (key_id);

SELECT crm.protect('cafes', 'SELECT', 'SELECT');
SELECT crm.protect('till_keys', '');
SELECT crm.protect('user_cafe_access', '');

-- All other policies read this table as the same person, so its own policy must not read it again; and because it hides
-- revoked rows, they all do.
CREATE POLICY staff_own ON user_cafe_access FOR SELECT TO staff_role
USING (user_id = current_user_id() AND role IS NOT NULL);
GRANT SELECT ON user_cafe_access TO staff_role;

-- migrate:down
