-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What became of a campaign's messages that were not sent, by reason: with those that were, and those that wait, it is
-- everybody whom the campaign was for.
CREATE TABLE campaign_results (
    cafe_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('skipped', 'failed')),
    reason varchar(50) NOT NULL,
    messages integer NOT NULL,
    PRIMARY KEY (cafe_id, campaign_id, outcome, reason)
) WITH (fillfactor = 70);
SELECT crm.protect('campaign_results', 'SELECT');

-- What there is already, and what the version before still adds, is counted once it has gone, in one go; until then such a
-- campaign shows no results.
ALTER TABLE campaigns
    ADD COLUMN recipients integer NOT NULL DEFAULT 0,
    ADD COLUMN recount_at timestamptz DEFAULT now() + interval '10 minutes';
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX campaigns_to_count ON campaigns (recount_at) WHERE recount_at IS NOT NULL;

-- migrate:down
