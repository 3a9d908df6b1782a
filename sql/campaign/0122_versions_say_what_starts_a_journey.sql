-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Whom a text goes to is part of what a second person approves. Empty in versions from before: then it stays as it is.
ALTER TABLE journey_versions ADD COLUMN starts_on text [];

-- migrate:down
