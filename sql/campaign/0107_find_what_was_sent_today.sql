-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How many messages a guest had today. Without it all that were ever queued for the guest are read, and most of those
-- were skipped. Built in a transaction, so that a failure leaves nothing half-made: messages wait for the seconds it
-- takes, nobody at a till does.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_sent ON campaign_deliveries (cafe_id, customer_id, sending_at) WHERE sending_at IS NOT NULL;

-- migrate:down
