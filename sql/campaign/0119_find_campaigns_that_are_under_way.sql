-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Every cafe has campaigns that stand for its journeys and are for ever under way: each look for one that is due, or done,
-- read all of them. A few rows per cafe; built in a transaction, so that a failure leaves nothing half-made.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX campaigns_due ON campaigns (scheduled_date)
WHERE status IN ('scheduled', 'sending') AND scheduled_date IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX campaigns_unfinished ON campaigns (cafe_id, id)
WHERE expanded_at IS NOT NULL AND status IN ('sending', 'sent');

-- migrate:down
