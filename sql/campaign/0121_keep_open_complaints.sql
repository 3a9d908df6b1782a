-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Cases of guests who rated low: advertising waits while one is open. A row whose case was closed stays, so that an
-- "opened" that arrives later does not hold anything any more.
CREATE TABLE complaint_holds (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    case_id uuid NOT NULL,
    opened_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (cafe_id, customer_id, case_id)
);
SELECT crm.protect('complaint_holds', 'SELECT');

-- migrate:down
