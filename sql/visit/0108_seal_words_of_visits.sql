-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Notes and attributes of a bill, sealed together by the application. A job moves what versions before left in clear.
ALTER TABLE customer_visits ADD COLUMN words_sealed text;
-- When the guest was erased from whose time the bill is: no word may come to it any more.
ALTER TABLE customer_visits ADD COLUMN forgotten_at timestamptz;

-- The version before knows nothing of the sealed words: when it overwrites the clear ones, those are no longer true.
CREATE FUNCTION crm.drop_older_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.words_sealed IS NOT DISTINCT FROM OLD.words_sealed THEN
        NEW.words_sealed := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER drop_older_words BEFORE UPDATE OF visit_notes, attributes ON customer_visits
FOR EACH ROW EXECUTE FUNCTION crm.drop_older_words();

-- Where that job finds what is left to do: empty, and touched by no other bill.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX visits_in_clear ON customer_visits (cafe_id, id) WHERE visit_notes IS NOT NULL OR attributes <> '{}';

-- migrate:down
