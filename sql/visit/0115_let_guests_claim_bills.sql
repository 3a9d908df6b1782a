-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When the bill of nobody was claimed for its guest: later corrections of it may name nobody.
ALTER TABLE visit_receipts ADD COLUMN claimed_at timestamptz;

-- A person may claim a bill for a guest by hand, within what one may do alone. The old rules of the table are checked
-- anew as they are replaced: there are some rows a day.
-- squawk-ignore ban-drop-constraint
ALTER TABLE hand_entries DROP CONSTRAINT hand_entries_kind_check;
ALTER TABLE hand_entries ADD CONSTRAINT hand_entries_kind_check CHECK (kind IN ('bill', 'void', 'claim')) NOT VALID;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE hand_entries VALIDATE CONSTRAINT hand_entries_kind_check;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX hand_entries_claim ON hand_entries (cafe_id, visit_id) WHERE kind = 'claim' AND state = 'pending';

-- migrate:down
