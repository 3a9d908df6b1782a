-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When the guest was last erased, kept when they come back: an answer from before may arrive much later.
ALTER TABLE customers ADD COLUMN erased_at timestamptz;
UPDATE customers SET erased_at = deleted_at WHERE deleted_at IS NOT NULL;

-- migrate:down
