-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which event moved the guest in, and which one out: the event, the visit it is about and what both belong to. Null where
-- nothing but time or a definition did, and in stays from before this.
ALTER TABLE segment_history
ADD COLUMN entered_by uuid, ADD COLUMN entered_with_visit uuid, ADD COLUMN entered_under uuid,
ADD COLUMN left_by uuid, ADD COLUMN left_with_visit uuid, ADD COLUMN left_under uuid;

-- migrate:down
