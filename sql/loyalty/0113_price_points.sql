-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What one point is worth to who spends it; null says that the cafe has set no price. It stands beside the rules and not
-- in them: the version before refuses rules with a name that it does not know.
ALTER TABLE programs ADD COLUMN toman_per_point bigint;
ALTER TABLE program_proposals ADD COLUMN toman_per_point bigint;

-- What people gave and took, the newest first. Built in a transaction, so that a failure leaves nothing half-made; the
-- table holds only what people did by hand.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX adjustments_newest ON adjustments (cafe_id, created_at, id);

-- migrate:down
