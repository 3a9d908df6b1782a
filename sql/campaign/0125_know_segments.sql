-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which segments a cafe has, as the latest list says: a campaign to any other would address nobody.
CREATE TABLE cafe_segments (
    cafe_id uuid PRIMARY KEY,
    keys text [] NOT NULL,
    off_keys text [] NOT NULL,
    told_at timestamptz NOT NULL
);
SELECT crm.protect('cafe_segments', 'SELECT');

-- Why a campaign failed, where no provider is the reason.
ALTER TABLE campaigns ADD COLUMN failure_reason text;

-- migrate:down
