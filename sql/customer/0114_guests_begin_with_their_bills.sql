-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When we first heard of a guest whom a till made known: created_at is the first of their bills that stand, and this where
-- none does. Null where created_at is a fact of its own: registered by staff, back after an erasure, or from before.
ALTER TABLE customers ADD COLUMN known_since timestamptz;

-- migrate:down
