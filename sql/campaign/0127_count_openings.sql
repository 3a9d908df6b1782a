-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What is heard of a message's link: how often it was opened by now, and how often answered. Clicks are the greater of
-- both, whatever comes first; the version before adds answers to the clicks.
ALTER TABLE campaign_deliveries
    ADD COLUMN link_openings integer NOT NULL DEFAULT 0,
    ADD COLUMN link_answers integer NOT NULL DEFAULT 0;

-- migrate:down
