-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Whom a cafe wants told that a guest was unhappy: numbers of its own people, sealed like guests'.
CREATE TABLE duty_people (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    phone_sealed text NOT NULL,
    phone_hash bytea NOT NULL CHECK (octet_length(phone_hash) = 32),
    label varchar(100) NOT NULL,
    is_on_duty boolean NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id),
    UNIQUE (cafe_id, phone_hash)
);
-- What such a message says of its case; only where somebody is to be told.
CREATE TABLE case_notices (
    cafe_id uuid NOT NULL,
    case_id uuid NOT NULL,
    overall_rating integer CHECK (overall_rating BETWEEN 1 AND 5),
    table_number text,
    PRIMARY KEY (cafe_id, case_id)
);
SELECT crm.protect('duty_people', 'SELECT, INSERT, UPDATE, DELETE');
SELECT crm.protect('case_notices', 'SELECT');

ALTER TABLE messaging_settings ADD COLUMN duty_daily_cap integer NOT NULL DEFAULT 10;

-- Cafes that are there already get the two journeys that new ones begin with (services/campaign/handlers/defaults.py).
WITH given AS MATERIALIZED (
    SELECT s.cafe_id, gen_random_uuid() AS journey_id, gen_random_uuid() AS campaign_id,
           gen_random_uuid() AS template_id, d.*
    FROM messaging_settings s
    CROSS JOIN (VALUES
        ('case_notice', 'خبر نظر بد به مسئول شیفت', 'case.opened',
         E'امتیاز {{rating}} برای {{table}} در {{cafe}}.\nدر پنل ببینید.', '{"table": "یک مهمان"}'::jsonb),
        ('answer', 'خبر پاسخ به نظر مهمان', 'feedback.responded',
         E'{{name}} عزیز، پاسخ {{cafe}} به نظرتان را ببینید:\n{{link}}', '{"name": "مهمان"}'::jsonb)
    ) AS d (journey_key, name, trigger, content, variables)
), texts AS (
    INSERT INTO campaign_templates (id, cafe_id, name, template_type, content, variables, category, is_system_template,
                                    created_at)
    SELECT template_id, cafe_id, name, 'sms', content, variables, 'feedback', true, now() FROM given
), standing AS (
    INSERT INTO campaigns (id, cafe_id, name, description, campaign_type, purpose, template_content,
                           template_variables, status, created_at, updated_at, created_by)
    SELECT campaign_id, cafe_id, name, journey_key, 'sms', 'service', content, variables, 'sending', now(), now(),
           '00000000-0000-0000-0000-000000000000'
    FROM given
)
INSERT INTO journeys (id, cafe_id, journey_key, name, trigger, segment_key, delay_minutes, campaign_id, created_at,
                      updated_at)
SELECT journey_id, cafe_id, journey_key, name, trigger::journey_trigger_enum, NULL, 0, campaign_id, now(), now()
FROM given;

-- migrate:down
