-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Guests of each cafe as the customer service told, so that nobody writes down feedback of somebody else's guest.
CREATE TABLE guests (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    registered_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
);

SELECT crm.protect('guests', 'SELECT');

-- migrate:down
