-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A year of ratings is added up from the index alone, without those of visits that never were: these are few, and so found
-- once. Guests write some thousands of ratings a day at most, so that both are small beside what they belong to.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX customer_feedback_stars ON customer_feedback (cafe_id, created_at) INCLUDE (overall_rating, visit_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX visits_voided ON visits (cafe_id, visit_id) WHERE voided_at IS NOT NULL;

-- migrate:down
