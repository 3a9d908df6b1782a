-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE loyalty_transaction_enum AS ENUM (
    'earned_purchase',
    'earned_bonus',
    'earned_referral',
    'earned_birthday',
    'redeemed_discount',
    'redeemed_item',
    'adjustment_add',
    'adjustment_subtract',
    'expired'
);

-- The ledger: nobody may change or delete a row. `account_version` orders a guest's rows, and `balance_after` of one is
-- that of the row before plus `points_change`.
CREATE TABLE loyalty_transactions (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    account_version bigint NOT NULL,

    transaction_type loyalty_transaction_enum NOT NULL,
    points_change bigint NOT NULL,

    visit_id uuid,
    campaign_id uuid,
    redemption_id uuid,
    order_reference varchar(100),

    description text NOT NULL,
    notes text,

    related_amount numeric(18, 2),
    currency_unit text,

    -- When it happened in the world, and when we wrote it down.
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,

    balance_after bigint NOT NULL,

    PRIMARY KEY (cafe_id, id),
    CONSTRAINT idx_loyalty_trans_customer UNIQUE (cafe_id, customer_id, account_version),
    CHECK (points_change <> 0),
    CHECK ((points_change > 0) = (transaction_type NOT IN (
        'redeemed_discount', 'redeemed_item', 'adjustment_subtract', 'expired'
    ))),
    CHECK ((related_amount IS NULL) = (currency_unit IS NULL)),
    CHECK (currency_unit IN ('IRT', 'IRR'))
);

-- Purchases are nearly all rows: who looks for them goes by guest or by day.
CREATE INDEX idx_loyalty_trans_type ON loyalty_transactions (cafe_id, transaction_type, created_at)
WHERE transaction_type <> 'earned_purchase';
CREATE INDEX idx_loyalty_trans_date ON loyalty_transactions USING brin (created_at);

-- What is left of each earning, to be spent in the order of its expiry. The lot of a visit has the visit's id; the lot
-- whose id is the guest's own holds what the guest owes, below zero, so that the lots always sum up to the balance.
CREATE TABLE point_lots (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    lot_id uuid NOT NULL,
    points bigint NOT NULL,
    remaining bigint NOT NULL,
    earned_at timestamptz NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (cafe_id, customer_id, lot_id),
    CONSTRAINT remaining_within_points CHECK (
        CASE WHEN lot_id = customer_id THEN points = 0 AND remaining <= 0 ELSE remaining BETWEEN 0 AND points END
    )
) WITH (fillfactor = 90);
CREATE INDEX point_lots_expiring ON point_lots (expires_at) WHERE remaining > 0 AND expires_at IS NOT NULL;

-- Every visit we heard of, with what it earned and by which rules: from these rows a guest can be counted anew.
CREATE TABLE visit_earnings (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('recorded', 'corrected', 'voided')),
    -- Of the correction in force; the latest wins.
    corrected_at timestamptz,

    occurred_at timestamptz NOT NULL,
    device_id text NOT NULL,
    receipt_number text NOT NULL,
    final_amount numeric(18, 2) NOT NULL,
    currency_unit text NOT NULL CHECK (currency_unit IN ('IRT', 'IRR')),

    points bigint NOT NULL CHECK (points >= 0),
    multiplier numeric(6, 2),
    program_version integer,

    PRIMARY KEY (cafe_id, customer_id, visit_id),
    CHECK ((state = 'voided') = (multiplier IS NULL)),
    CHECK ((state = 'voided') = (program_version IS NULL)),
    CHECK (state <> 'voided' OR points = 0)
) WITH (fillfactor = 90);

SELECT crm.protect('loyalty_transactions', 'SELECT, INSERT', 'INSERT', 'SELECT, INSERT');
SELECT crm.protect('point_lots', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('visit_earnings', 'SELECT', '', 'SELECT, INSERT, UPDATE');

-- migrate:down
