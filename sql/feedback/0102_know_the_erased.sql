-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A visit from before its guest was erased may arrive later: its link is closed from the beginning.
CREATE TABLE erased_guests (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
);
SELECT crm.protect('erased_guests', 'SELECT');

-- When the guest was erased from whose time the words were: nobody may write to them any more.
ALTER TABLE customer_feedback ADD COLUMN forgotten_at timestamptz;

-- migrate:down
