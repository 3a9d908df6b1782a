-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Six letters by which a guest brings others, made when somebody first asks for them.
CREATE TABLE referral_codes (
    cafe_id uuid NOT NULL,
    code text NOT NULL CHECK (code ~ '^[A-Z]{6}$'),
    customer_id uuid NOT NULL,
    PRIMARY KEY (cafe_id, code),
    UNIQUE (cafe_id, customer_id)
);
SELECT crm.protect('referral_codes', 'SELECT, INSERT', 'SELECT, INSERT', 'SELECT, INSERT, DELETE');

-- Who was brought by whom: each guest by one other, ever. `visit_id` is the bill that decided, `round` how often both
-- were given their points: a bill that is voided takes them back, and another one may give them again. A job looks again
-- at `check_at`.
CREATE TABLE referrals (
    cafe_id uuid NOT NULL,
    referee_id uuid NOT NULL,
    referrer_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    program_version integer NOT NULL,
    created_by uuid,
    till_key_id text,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'completed', 'cancelled', 'lapsed')),
    reason text,
    visit_id uuid,
    round integer NOT NULL DEFAULT 0,
    check_at timestamptz,
    PRIMARY KEY (cafe_id, referee_id),
    CHECK (referee_id <> referrer_id)
);
CREATE INDEX referrals_referrer ON referrals (cafe_id, referrer_id, claimed_at);
CREATE INDEX referrals_bill ON referrals (cafe_id, visit_id) WHERE visit_id IS NOT NULL;
CREATE INDEX referrals_due ON referrals (check_at) WHERE check_at IS NOT NULL;
SELECT crm.protect('referrals', 'SELECT, INSERT', 'SELECT, INSERT', 'SELECT, INSERT, UPDATE');

-- migrate:down
