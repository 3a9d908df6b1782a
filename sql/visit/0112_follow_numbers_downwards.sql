-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A device is followed between the lowest and the highest number it has sent. Null for one that was followed before only
-- the highest was kept for: what it sent below is not known.
ALTER TABLE till_devices ADD COLUMN lowest_sequence bigint;

-- migrate:down
