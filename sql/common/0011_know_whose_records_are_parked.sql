-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Guests whose number stands in the sealed body, by the id that follows from it; NULL when nobody has looked. Their
-- erasure empties the record. Records of our own topics have the guest as their key.
ALTER TABLE crm.parked ADD COLUMN guests uuid[];
-- Few rows are there when this comes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX parked_guests ON crm.parked USING gin (guests);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX parked_key ON crm.parked (key);

-- migrate:down
