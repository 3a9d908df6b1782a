-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a guest was told of before it happened: points that lapse, a tier that ends. The primary key is what makes each of
-- them told once, however often the job runs. After `last_day` the occasion can't come again, and the row goes.
CREATE TABLE notices (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('points.expiring', 'tier.expiring', 'reward.reached')),
    occasion text NOT NULL,
    last_day date NOT NULL,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, customer_id, kind, occasion)
);
CREATE INDEX notices_over ON notices (cafe_id, last_day);

-- When a cafe's guests are looked through next for what is to be told; only cafes whose rules say that anything is.
CREATE TABLE notice_turns (
    cafe_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, due_at)
);
CREATE INDEX notice_turns_due ON notice_turns (due_at);

SELECT crm.protect('notices', '');
SELECT crm.protect('notice_turns', 'INSERT');

-- Whose tier ends soon in a cafe; the index on the day alone holds the guests of all cafes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX customer_loyalty_tier_ends ON customer_loyalty (cafe_id, tier_expires_date)
WHERE tier_expires_date IS NOT NULL;

-- migrate:down
