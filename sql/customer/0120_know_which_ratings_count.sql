-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Each rating, and for whom it counts now. Of ratings from before this only the sums are known, until the projections are
-- rebuilt: they stay in the averages when their visit is voided.
CREATE TABLE ratings (
    cafe_id uuid NOT NULL,
    feedback_id uuid NOT NULL,
    visit_id uuid,
    customer_id uuid,
    rating integer NOT NULL CHECK (rating BETWEEN 1 AND 5),
    counted_for uuid,
    PRIMARY KEY (cafe_id, feedback_id)
) WITH (fillfactor = 90);
CREATE INDEX ratings_visit ON ratings (cafe_id, visit_id) WHERE visit_id IS NOT NULL;

-- Visits that were rated, voided, or claimed for a guest; whichever comes first.
CREATE TABLE rated_visits (
    cafe_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    customer_id uuid,
    voided_at timestamptz,
    PRIMARY KEY (cafe_id, visit_id)
) WITH (fillfactor = 90);

SELECT crm.protect('ratings', 'SELECT');
SELECT crm.protect('rated_visits', 'SELECT');

-- migrate:down
