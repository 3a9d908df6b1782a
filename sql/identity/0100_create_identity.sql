-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Identity owns the cafes, the access and the till keys that other services keep copies of.
ALTER TABLE cafes ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE user_cafe_access
    ADD COLUMN display_name text NOT NULL DEFAULT '',
    ADD COLUMN changed_by uuid;
ALTER TABLE till_keys
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN created_by uuid;

CREATE TABLE branches (
    cafe_id uuid NOT NULL,
    branch_id uuid NOT NULL,
    version integer NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    is_active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cafe_id, branch_id),
    UNIQUE (cafe_id, code)
);

-- A person may work in several cafes, so these belong to none; what a cafe calls the person is on its access row.
CREATE TABLE users (
    user_id uuid PRIMARY KEY,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz
);

CREATE TABLE user_logins (
    login_hash bytea PRIMARY KEY CHECK (octet_length(login_hash) = 32),
    user_id uuid NOT NULL REFERENCES users,
    kind text NOT NULL CHECK (kind IN ('email', 'phone')),
    login_sealed text NOT NULL
);
CREATE INDEX user_logins_user ON user_logins (user_id);

-- Kept for logins that do not exist too: otherwise being slowed down would tell that a login exists.
CREATE TABLE login_attempts (
    login_hash bytea PRIMARY KEY CHECK (octet_length(login_hash) = 32),
    failures integer NOT NULL,
    blocked_until timestamptz NOT NULL,
    last_attempt_at timestamptz NOT NULL
);
CREATE INDEX login_attempts_last ON login_attempts (last_attempt_at);

CREATE TABLE signing_keys (
    key_id text PRIMARY KEY,
    private_key_sealed text NOT NULL,
    public_key jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
);
-- One key signs at any time; two processes that rotate at once can't both win.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys ((true)) WHERE retired_at IS NULL;

SELECT crm.protect('branches');
SELECT crm.protect('users', '');
SELECT crm.protect('user_logins', '');
SELECT crm.protect('login_attempts', '');
SELECT crm.protect('signing_keys', '');

GRANT UPDATE ON cafes TO staff_role;

CREATE POLICY staff_cafe ON till_keys TO staff_role
USING (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access AS a WHERE a.user_id = current_user_id()))
WITH CHECK (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access AS a WHERE a.user_id = current_user_id()));
GRANT SELECT, INSERT, UPDATE ON till_keys TO staff_role;

-- The list of a cafe's people can't be guarded by a policy that reads the same table. Instead a transaction enters one
-- cafe (app.cafe_id), which only the person's own access row can do: see enter_cafe in the service's store.
CREATE POLICY staff_entered ON user_cafe_access TO staff_role
USING (cafe_id = crm.current_cafe_id())
WITH CHECK (cafe_id = crm.current_cafe_id());
GRANT INSERT, UPDATE ON user_cafe_access TO staff_role;

-- migrate:down
