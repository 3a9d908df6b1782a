-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- An event that was once published must always be taken in: which ratings there are is for the feedback service to say.
-- squawk-ignore ban-drop-constraint
ALTER TABLE case_notices DROP CONSTRAINT case_notices_overall_rating_check;

-- migrate:down
