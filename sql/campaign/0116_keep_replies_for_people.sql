-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What guests answered and no rule understands, until a person has read it: for 90 days, or until the guest is erased.
CREATE TABLE unclear_replies (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    words_sealed text NOT NULL,
    received_at timestamptz NOT NULL,
    settled_as text CHECK (settled_as IN ('stop', 'nothing')),
    settled_by uuid,
    settled_at timestamptz,
    PRIMARY KEY (cafe_id, id),
    CHECK (num_nonnulls(settled_as, settled_by, settled_at) IN (0, 3))
);
CREATE INDEX unclear_replies_waiting ON unclear_replies (cafe_id, received_at, id) WHERE settled_as IS NULL;
CREATE INDEX unclear_replies_guest ON unclear_replies (cafe_id, customer_id);
CREATE INDEX unclear_replies_old ON unclear_replies (received_at);

SELECT crm.protect('unclear_replies', 'SELECT');

-- migrate:down
