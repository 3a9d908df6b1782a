-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Since when a campaign rests: nothing of it is taken up or sent until somebody lets it go on. `wake_at`: from then on what
-- was held for that is made due again, bit by bit. The version before knows of neither and sends on.
-- `wanted_date` is when whoever writes a draft wants it to begin; `at_once`: it begins as soon as it is approved.
ALTER TABLE campaigns
ADD COLUMN paused_at timestamptz,
ADD COLUMN wake_at timestamptz,
ADD COLUMN wanted_date timestamptz,
ADD COLUMN at_once boolean NOT NULL DEFAULT false;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX campaigns_to_wake ON campaigns (wake_at) WHERE wake_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_paused ON campaign_deliveries (cafe_id, campaign_id)
WHERE delivery_status = 'queued' AND error_code = 'paused';

-- squawk-ignore ban-drop-constraint
ALTER TABLE campaign_trail DROP CONSTRAINT campaign_trail_what_check;
ALTER TABLE campaign_trail ADD CONSTRAINT campaign_trail_what_check CHECK (
    what IN (
        'written', 'edited', 'scheduled', 'approved', 'cancelled', 'switched', 'tried', 'paused', 'resumed'
    )
) NOT VALID;

-- migrate:down
