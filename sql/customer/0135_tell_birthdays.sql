-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which day's birthdays a cafe tells next, from which moment on (that day's beginning in its time zone), and after which
-- guest, where a day has more of them than are told in one go.
CREATE TABLE birthday_turns (
    cafe_id uuid NOT NULL PRIMARY KEY,
    day date NOT NULL,
    due_at timestamptz NOT NULL,
    through uuid
) WITH (fillfactor = 70);
CREATE INDEX birthday_turns_due ON birthday_turns (due_at);
SELECT crm.protect('birthday_turns', '', '', 'SELECT, INSERT, UPDATE');

-- Put down by the table itself, so that the version before does it as well. Another time zone: looked at again at once.
CREATE FUNCTION crm.take_turns_at_birthdays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.birthday_turns AS t (cafe_id, day, due_at)
    VALUES (NEW.cafe_id, (now() AT TIME ZONE NEW.time_zone)::date, now())
    ON CONFLICT (cafe_id) DO UPDATE SET due_at = least(t.due_at, now());
    RETURN NULL;
END $$;
CREATE TRIGGER take_turns_at_birthdays AFTER INSERT OR UPDATE OF time_zone ON cafes
FOR EACH ROW EXECUTE FUNCTION crm.take_turns_at_birthdays();

INSERT INTO birthday_turns (cafe_id, day, due_at)
SELECT cafe_id, (now() AT TIME ZONE time_zone)::date, now() FROM cafes
ON CONFLICT DO NOTHING;

-- migrate:down
