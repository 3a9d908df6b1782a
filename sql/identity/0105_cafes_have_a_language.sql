-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a cafe's people read until one of them chooses otherwise.
ALTER TABLE cafes ADD COLUMN language text NOT NULL DEFAULT 'fa'
CONSTRAINT cafes_language_known CHECK (language IN ('fa', 'en'));

-- migrate:down
