-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A one-time code by which a person chooses a new password. At most one per person: a newer one replaces it.
CREATE TABLE password_resets (
    user_id uuid PRIMARY KEY REFERENCES users,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    -- Null when an operator made it.
    made_by uuid,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX password_resets_code ON password_resets (code_hash);

SELECT crm.protect('password_resets', '');

-- migrate:down
