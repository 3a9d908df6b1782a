-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How often all sessions of the person were ended; tokens of an earlier generation are refused.
ALTER TABLE users ADD COLUMN generation integer NOT NULL DEFAULT 0;

-- One device that stays signed in. Its refresh tokens are not stored: token number n is derived from the secret, the
-- seed and n, and only the token number `turn` holds.
CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    seed bytea NOT NULL CHECK (octet_length(seed) = 32),
    turn integer NOT NULL DEFAULT 0,
    turned_at timestamptz NOT NULL,
    device_name text NOT NULL,
    address text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_last_used ON sessions (last_used_at);

SELECT crm.protect('sessions', '');

-- migrate:down
