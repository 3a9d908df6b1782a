-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- In a file of their own: a transaction can't use a value that it has just added.
ALTER TYPE journey_trigger_enum ADD VALUE 'case.opened' AFTER 'segment.entered';
ALTER TYPE journey_trigger_enum ADD VALUE 'feedback.responded' AFTER 'case.opened';

-- migrate:down
