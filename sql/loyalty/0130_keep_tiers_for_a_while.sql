-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A tier that a guest keeps without the points for it: to the end of the tier period, or until a day of it. Null for all
-- whose program lets tiers fall as the points say.
ALTER TABLE customer_loyalty
ADD COLUMN kept_tier loyalty_tier_enum,
ADD COLUMN kept_until date;

-- migrate:down
