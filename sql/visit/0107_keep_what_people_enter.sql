-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Bills that people enter and void by hand: what each did alone on a day, and what waits for a second person. The bill
-- (or the reason of a void) is sealed, and emptied once it is decided and on erasure. `amount` is Toman.
CREATE TABLE hand_entries (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('bill', 'void')),
    customer_id uuid,
    visit_id uuid,
    amount numeric(18, 2) NOT NULL CHECK (amount >= 0),
    points bigint NOT NULL DEFAULT 0 CHECK (points >= 0),
    body_sealed text,
    state text NOT NULL CHECK (state IN ('pending', 'entered', 'declined')),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    PRIMARY KEY (cafe_id, id),
    CONSTRAINT decided_by_another CHECK (decided_by <> created_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (state = 'pending' OR body_sealed IS NULL),
    CHECK (kind = 'bill' OR visit_id IS NOT NULL)
);
CREATE INDEX hand_entries_author ON hand_entries (cafe_id, created_by, created_at);
CREATE INDEX hand_entries_pending ON hand_entries (cafe_id, created_at) WHERE state = 'pending';
CREATE INDEX hand_entries_customer ON hand_entries (cafe_id, customer_id) WHERE state = 'pending';
CREATE UNIQUE INDEX hand_entries_void ON hand_entries (cafe_id, visit_id) WHERE kind = 'void' AND state = 'pending';

SELECT crm.protect('hand_entries', 'SELECT, INSERT, UPDATE', '', 'SELECT, UPDATE');

-- migrate:down
