-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE redemption_kind_enum AS ENUM ('discount', 'item');
CREATE TYPE redemption_state_enum AS ENUM ('completed', 'reversed', 'refused');

-- Points spent, under an id that the till made up before it asked: asking again changes nothing. A redemption that a
-- visit names and the balance does not cover is kept as refused, for the cafe to settle with the guest.
CREATE TABLE redemptions (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    kind redemption_kind_enum NOT NULL,
    points bigint NOT NULL CHECK (points > 0),
    state redemption_state_enum NOT NULL,
    refusal text,
    visit_id uuid,
    order_reference varchar(100),
    -- Which lots were drawn on and how far, so that giving back restores their expiry.
    lot_ids uuid[] NOT NULL DEFAULT '{}',
    lot_points bigint[] NOT NULL DEFAULT '{}',
    created_by uuid,
    till_key_id text,
    created_at timestamptz NOT NULL,
    reversed_at timestamptz,
    PRIMARY KEY (cafe_id, id),
    CHECK ((state = 'refused') = (refusal IS NOT NULL)),
    CHECK ((state = 'reversed') = (reversed_at IS NOT NULL)),
    CHECK (cardinality(lot_ids) = cardinality(lot_points))
);
CREATE INDEX redemptions_customer ON redemptions (cafe_id, customer_id, created_at);
CREATE INDEX redemptions_visit ON redemptions (cafe_id, visit_id) WHERE visit_id IS NOT NULL;
CREATE INDEX redemptions_refused ON redemptions (cafe_id, created_at) WHERE state = 'refused';

CREATE TYPE adjustment_state_enum AS ENUM ('pending', 'posted', 'declined');

-- Points given or taken by hand. A large one waits for a manager other than its author.
CREATE TABLE adjustments (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    transaction_type loyalty_transaction_enum NOT NULL CHECK (transaction_type IN (
        'earned_bonus', 'earned_referral', 'earned_birthday', 'adjustment_add', 'adjustment_subtract'
    )),
    points bigint NOT NULL CHECK (points > 0),
    -- Free text may name the guest: emptied on erasure.
    reason text,
    campaign_id uuid,
    order_reference varchar(100),
    state adjustment_state_enum NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    PRIMARY KEY (cafe_id, id),
    CONSTRAINT decided_by_another CHECK (decided_by <> created_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (state <> 'pending' OR decided_by IS NULL)
);
CREATE INDEX adjustments_customer ON adjustments (cafe_id, customer_id, created_at);
CREATE INDEX adjustments_pending ON adjustments (cafe_id, created_at) WHERE state = 'pending';

SELECT crm.protect('redemptions', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('adjustments', 'SELECT, INSERT, UPDATE', '', 'SELECT, UPDATE');

-- migrate:down
