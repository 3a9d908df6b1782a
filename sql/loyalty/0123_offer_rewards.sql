-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What guests may have for their points. Here stands what changes while it is offered: `stock` is how many may be given
-- in all, null without end, and `taken` how many redemptions of it stand, so what is left is the difference.
CREATE TABLE rewards (
    cafe_id uuid NOT NULL,
    reward_id uuid NOT NULL,
    key text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    is_active boolean NOT NULL DEFAULT true,
    stock bigint,
    taken bigint NOT NULL DEFAULT 0 CHECK (taken >= 0),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, reward_id),
    CONSTRAINT rewards_key UNIQUE (cafe_id, key),
    CONSTRAINT never_below_nothing CHECK (stock >= taken)
);

-- What a reward is and when it may be had. A version is never changed: a redemption names the one that it is of. Money in
-- Toman; without `cost_points` nobody may have it for points.
CREATE TABLE reward_versions (
    cafe_id uuid NOT NULL,
    reward_id uuid NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    kind redemption_kind_enum NOT NULL,
    cost_points bigint CHECK (cost_points > 0),
    value numeric(18, 2) CHECK (value > 0),
    minimum_bill numeric(18, 2) NOT NULL CHECK (minimum_bill >= 0),
    conditions jsonb NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, reward_id, version),
    CHECK ((kind = 'discount') = (value IS NOT NULL))
);

-- The points of most redemptions were spent for a discount by the price of a point: those are of no reward.
ALTER TABLE redemptions
ADD COLUMN reward_id uuid,
ADD COLUMN reward_version integer;

-- A till reads what is offered and takes a piece.
SELECT crm.protect('rewards', 'SELECT, INSERT, UPDATE', 'SELECT, UPDATE (taken)', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('reward_versions', 'SELECT, INSERT', 'SELECT', 'SELECT, INSERT');

-- migrate:down
