-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a bill asks to spend, null on bills from before: theirs is what their redemption says. A void counts against what
-- later bills spend from its own moment on.
ALTER TABLE visit_earnings
ADD COLUMN points_to_redeem bigint,
ADD COLUMN redemption_id uuid,
ADD COLUMN voided_at timestamptz;

-- A redemption that its bill does not ask for any more, and may ask for again; others stay given back.
-- What a till has reserved ends by itself unless a bill names it before.
ALTER TABLE redemptions
ADD COLUMN undone_by_bill boolean NOT NULL DEFAULT false,
ADD COLUMN reserved_until timestamptz;

-- Built in a transaction, so that a failure leaves nothing half-made; the table holds only what was spent.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX redemptions_reserved ON redemptions (reserved_until) WHERE reserved_until IS NOT NULL;

-- migrate:down
