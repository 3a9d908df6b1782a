-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE loyalty_tier_enum AS ENUM ('bronze', 'silver', 'gold', 'platinum');

-- The rules of a cafe. A version is never changed: a visit earns by the one in force at its own moment, however late it
-- is heard of.
CREATE TABLE programs (
    cafe_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    valid_from timestamptz NOT NULL,
    rules jsonb NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cafe_id, version),
    UNIQUE (cafe_id, valid_from)
);

-- Cafes whose guests are to be counted anew from their visits, from `due_at` on: new rules came into force, or the cafe
-- changed its calendar. `through` is the last guest done, so that a job that was killed goes on where it stopped.
CREATE TABLE recounts (
    cafe_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    through uuid,
    PRIMARY KEY (cafe_id, due_at)
);

SELECT crm.protect('programs', 'SELECT, INSERT', 'SELECT', 'SELECT, INSERT');
SELECT crm.protect('recounts', 'INSERT');

-- migrate:down
