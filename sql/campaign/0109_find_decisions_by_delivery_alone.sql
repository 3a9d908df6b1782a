-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Decisions are read message by message; nothing ever asked for a guest's, and every decision paid for the index.
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS send_decisions_customer;

-- migrate:down
