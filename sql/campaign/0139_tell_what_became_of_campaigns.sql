-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which visits of the guest came within a week of a one-off campaign's message. All of them, so that one that is voided
-- takes only itself away.
ALTER TABLE campaign_deliveries ADD COLUMN returned_by uuid [] NOT NULL DEFAULT '{}';
ALTER TABLE campaigns
ADD COLUMN messages_replied integer NOT NULL DEFAULT 0,
ADD COLUMN guests_returned integer NOT NULL DEFAULT 0;

-- The guests behind each state and reason, a page at a time, of one-off campaigns: their occasion is the campaign itself.
-- Journeys' messages, of which there is one for each visit, pay nothing for it. No boolean stands in it: the planner
-- would not know that what is behind it is in order.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_of_campaign ON campaign_deliveries (
    cafe_id, campaign_id, delivery_status, (CASE WHEN sent_at IS NULL THEN 0 ELSE 1 END), (coalesce(error_code, '')), customer_id
) WHERE (trigger_id = campaign_id) IS TRUE;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_returned ON campaign_deliveries (cafe_id, campaign_id, customer_id)
WHERE (trigger_id = campaign_id) IS TRUE AND returned_by <> '{}' AND delivered_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_replied ON campaign_deliveries (cafe_id, campaign_id, customer_id)
WHERE (trigger_id = campaign_id) IS TRUE AND reply_received;

-- Also what a provider took and could not deliver is told by reason. What there is already, and what the version before
-- still adds, is counted once it has gone; until then such a campaign shows no results.
-- squawk-ignore ban-drop-constraint
ALTER TABLE campaign_results DROP CONSTRAINT campaign_results_outcome_check;
ALTER TABLE campaign_results ADD CONSTRAINT campaign_results_outcome_check CHECK (
    outcome IN ('skipped', 'failed', 'undelivered')
) NOT VALID;
UPDATE campaigns SET recount_at = now() + interval '10 minutes'
WHERE messages_sent > 0 OR status = 'sending';

-- migrate:down
