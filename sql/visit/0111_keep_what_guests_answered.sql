-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- The answer about advertising that counts, as far as this service knows: of bills, and of what guests said elsewhere. It
-- may come before the guest's number, so it has a table of its own. What the version before goes on writing to guests is a
-- till's tick, which counts for little and is told again.
CREATE TABLE guest_consents (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    granted boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
) WITH (fillfactor = 80);
INSERT INTO guest_consents (cafe_id, customer_id, granted, changed_at, source)
SELECT DISTINCT ON (cafe_id, customer_id) cafe_id, customer_id, marketing_consent, consent_at, 'till'
FROM guests WHERE marketing_consent IS NOT NULL
ORDER BY cafe_id, customer_id, consent_at DESC, marketing_consent;

SELECT crm.protect('guest_consents', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');

-- When a correction was first heard whose date lay ahead, by its fingerprint and date: a repeat does not make it younger.
ALTER TABLE visit_receipts ADD COLUMN dated_ahead jsonb NOT NULL DEFAULT '{}';

-- migrate:down
