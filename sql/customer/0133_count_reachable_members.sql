-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Whether the guest is active and agreed to advertising by SMS, brought here by the job that keeps these rows. Null is
-- what nobody has looked up yet: the job finds such rows by the index and fills them. Built in a transaction, so that a
-- failure leaves nothing half-made: only the job and the lists read this table.
ALTER TABLE listed_guests ADD COLUMN reachable boolean;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX listed_guests_unknown ON listed_guests (cafe_id) WHERE reachable IS NULL;

-- How many reachable guests are in the segment of each slot. Counting a million guests when somebody looks would take
-- seconds; whatever changes the rows above adds the difference here, whichever version runs the job.
CREATE TABLE segment_reach (
    cafe_id uuid NOT NULL,
    slot smallint NOT NULL,
    reachable integer NOT NULL,
    PRIMARY KEY (cafe_id, slot)
) WITH (fillfactor = 70);
SELECT crm.protect('segment_reach', 'SELECT');

CREATE FUNCTION crm.add_reach(cafes uuid [], masks bigint [], guests bigint []) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.segment_reach AS kept (cafe_id, slot, reachable)
    SELECT t.cafe_id, slot, sum(t.guests)
    FROM unnest(cafes, masks, guests) AS t (cafe_id, mask, guests) CROSS JOIN generate_series(0, 62) AS slot
    WHERE t.mask >> slot & 1 = 1
    GROUP BY t.cafe_id, slot HAVING sum(t.guests) <> 0 ORDER BY t.cafe_id, slot
    ON CONFLICT (cafe_id, slot) DO UPDATE SET reachable = kept.reachable + excluded.reachable
$$;
-- Most changes leave mask and reachability as they were: grouped first, they cancel out.
CREATE FUNCTION crm.keep_reach() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_op = 'INSERT' THEN
        PERFORM crm.add_reach(array_agg(cafe_id), array_agg(segment_mask), array_agg(guests)) FROM (
            SELECT cafe_id, segment_mask, count(*) AS guests FROM come WHERE reachable GROUP BY cafe_id, segment_mask
        ) AS t;
    ELSIF tg_op = 'DELETE' THEN
        PERFORM crm.add_reach(array_agg(cafe_id), array_agg(segment_mask), array_agg(guests)) FROM (
            SELECT cafe_id, segment_mask, -count(*) AS guests FROM gone WHERE reachable GROUP BY cafe_id, segment_mask
        ) AS t;
    ELSE
        PERFORM crm.add_reach(array_agg(cafe_id), array_agg(segment_mask), array_agg(guests)) FROM (
            SELECT cafe_id, segment_mask, sum(guests)::bigint AS guests FROM (
                SELECT cafe_id, segment_mask, 1 AS guests FROM come WHERE reachable
                UNION ALL SELECT cafe_id, segment_mask, -1 FROM gone WHERE reachable
            ) AS moved GROUP BY cafe_id, segment_mask HAVING sum(guests) <> 0
        ) AS t;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reach_come AFTER INSERT ON listed_guests
REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION crm.keep_reach();
CREATE TRIGGER reach_moved AFTER UPDATE ON listed_guests
REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION crm.keep_reach();
CREATE TRIGGER reach_gone AFTER DELETE ON listed_guests
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm.keep_reach();

-- An answer or another status lists the guest again, as a visit does.
CREATE TRIGGER list_answered AFTER INSERT ON consents
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();
CREATE TRIGGER list_answered_again AFTER UPDATE ON consents
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();
CREATE TRIGGER list_unanswered AFTER DELETE ON consents
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();
CREATE FUNCTION crm.list_guest_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.guests_to_list (cafe_id, customer_id) VALUES (NEW.cafe_id, NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER list_other_status AFTER UPDATE OF status ON customers
FOR EACH ROW WHEN (old.status IS DISTINCT FROM new.status) EXECUTE FUNCTION crm.list_guest_again();

-- migrate:down
