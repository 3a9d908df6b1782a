-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which ratings there are is for the feedback service to say: a record of a kind that it no longer makes is taken in too.
-- squawk-ignore ban-drop-constraint
ALTER TABLE ratings DROP CONSTRAINT ratings_rating_check;

-- migrate:down
