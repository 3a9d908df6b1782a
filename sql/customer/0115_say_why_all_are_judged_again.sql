-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Why all guests of the cafe are judged again: what moves them until that is done, whatever else happens. The version
-- before writes none: what it asks for follows from a definition, nearly always.
ALTER TABLE segment_recalculations ADD COLUMN reason text NOT NULL DEFAULT 'definition';

-- migrate:down
