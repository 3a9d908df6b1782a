-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A redemption given back by hand is an adjustment like any other, and counts in its author's day.
ALTER TABLE adjustments ADD COLUMN redemption_id uuid;

-- What a person gave and took on a day. Built in a transaction, so that a failure leaves nothing half-made; the table
-- holds only what people did by hand.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX adjustments_author ON adjustments (cafe_id, created_by, created_at);

-- Rules that wait for a second person. Published, they become a version of programs.
CREATE TABLE program_proposals (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    rules jsonb NOT NULL,
    valid_from timestamptz,
    -- The version that they were written to follow.
    after_version integer NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'published', 'declined')),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    version integer,
    PRIMARY KEY (cafe_id, id),
    CONSTRAINT decided_by_another CHECK (decided_by <> created_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK ((state = 'published') = (version IS NOT NULL))
);
CREATE INDEX program_proposals_pending ON program_proposals (cafe_id, created_at) WHERE state = 'pending';

SELECT crm.protect('program_proposals', 'SELECT, INSERT, UPDATE', '', 'SELECT');

-- migrate:down
