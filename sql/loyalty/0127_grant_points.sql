-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Points that came without a bill and without anybody's hand: for a birthday, a guest who was brought, a segment. One for
-- each occasion, whatever is delivered twice; its entry in the ledger and its lot have the grant's own id.
-- The texts are made by this service and name nobody.
CREATE TABLE grants (
    cafe_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    type loyalty_transaction_enum NOT NULL CHECK (type IN (
        'earned_bonus', 'earned_referral', 'earned_birthday', 'adjustment_add'
    )),
    occasion text NOT NULL CHECK (length(occasion) BETWEEN 1 AND 100),
    points bigint NOT NULL CHECK (points > 0),
    state text NOT NULL DEFAULT 'posted' CHECK (state IN ('posted', 'taken_back')),
    program_version integer NOT NULL,
    granted_at timestamptz NOT NULL,
    available_at timestamptz,
    taken_back_at timestamptz,
    PRIMARY KEY (cafe_id, grant_id),
    UNIQUE (cafe_id, customer_id, type, occasion),
    CHECK ((state = 'taken_back') = (taken_back_at IS NOT NULL))
);
SELECT crm.protect('grants', 'SELECT, INSERT', '', 'SELECT, INSERT, UPDATE');

-- Points that are in the balance and can't be spent before this moment; null when they never waited. `activates_at` is
-- the same until somebody was told, and null afterwards.
ALTER TABLE point_lots
ADD COLUMN available_at timestamptz,
ADD COLUMN activates_at timestamptz;
-- Built in a transaction, so that a failure leaves nothing half-made; at first they hold no row at all.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX point_lots_waiting ON point_lots (cafe_id, customer_id, available_at) WHERE available_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX point_lots_activating ON point_lots (activates_at) WHERE activates_at IS NOT NULL;

-- migrate:down
