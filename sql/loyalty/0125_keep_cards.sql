-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How far the guest's stamp cards are, as of the last bill: a list of (key of the card, stamps on it, cards completed).
-- Null for who has none.
ALTER TABLE customer_loyalty ADD COLUMN cards jsonb;

-- What a completed card gives. The id follows from cafe, guest, card and number, and a row is never deleted: a card that
-- bills take back and complete again is the same voucher.
CREATE TABLE vouchers (
    cafe_id uuid NOT NULL,
    voucher_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    card_key text NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    -- In the cafe's own words, as the program said when the card was completed.
    card_name text NOT NULL,
    reward text NOT NULL,
    -- The bill that completed the card, and its moment.
    visit_id uuid NOT NULL,
    earned_at timestamptz NOT NULL,
    program_version integer NOT NULL,
    expires_at timestamptz,
    -- Withdrawn: the bills do not complete the card any more, and nobody had used it.
    state text NOT NULL CHECK (state IN ('open', 'used', 'withdrawn')),
    used_at timestamptz,
    -- Who used it: a person or a till, under an id that they made up before they asked.
    used_by uuid,
    till_key_id text,
    request_id uuid,
    -- The request that was taken back last: it is not done again when it comes late.
    undone_request_id uuid,
    order_reference varchar(100),
    PRIMARY KEY (cafe_id, voucher_id),
    CONSTRAINT vouchers_card UNIQUE (cafe_id, customer_id, card_key, number),
    CHECK ((state = 'used') = (used_at IS NOT NULL)),
    CHECK ((state = 'used') = (request_id IS NOT NULL)),
    CHECK ((state = 'used') = (coalesce(used_by::text, till_key_id) IS NOT NULL))
) WITH (fillfactor = 90);

SELECT crm.protect('vouchers', 'SELECT, UPDATE', 'SELECT, UPDATE', 'SELECT, INSERT, UPDATE');

-- migrate:down
