-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Who joins and who changes tier is noted by the table itself, so that the version before notes it as well. Most visits
-- change no tier: their rows only compare two values.
CREATE FUNCTION crm.note_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.club_changes (cafe_id, day, what, tier, amount)
    SELECT n.cafe_id, f.day, f.what, f.tier, count(*)
    FROM added n
    LEFT JOIN public.cafes c ON c.cafe_id = n.cafe_id
    CROSS JOIN LATERAL (
        VALUES (NULL::date, 'members', n.tier_level),
               ((now() AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date, 'joined', NULL)
    ) AS f (day, what, tier)
    GROUP BY n.cafe_id, f.day, f.what, f.tier;
    RETURN NULL;
END $$;
CREATE FUNCTION crm.note_tier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.club_changes (cafe_id, day, what, tier, amount)
    SELECT NEW.cafe_id, f.day, f.what, f.tier, f.amount
    FROM (VALUES (
        coalesce((SELECT c.time_zone FROM public.cafes c WHERE c.cafe_id = NEW.cafe_id), 'Asia/Tehran')
    )) AS z (zone)
    CROSS JOIN LATERAL (
        VALUES (NULL::date, 'members', OLD.tier_level, -1),
               (NULL, 'members', NEW.tier_level, 1),
               ((now() AT TIME ZONE z.zone)::date,
                CASE WHEN NEW.tier_level > OLD.tier_level THEN 'risen' ELSE 'fallen' END, NEW.tier_level, 1)
    ) AS f (day, what, tier, amount);
    RETURN NULL;
END $$;
CREATE TRIGGER note_members AFTER INSERT ON customer_loyalty
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION crm.note_members();
CREATE TRIGGER note_tier AFTER UPDATE OF tier_level ON customer_loyalty FOR EACH ROW
WHEN (OLD.tier_level IS DISTINCT FROM NEW.tier_level) EXECUTE FUNCTION crm.note_tier();

-- Those who are there. Nobody joins or moves meanwhile: making the triggers has locked the table against writing.
INSERT INTO club_figures (cafe_id, day, what, tier, amount)
SELECT cafe_id, NULL, 'members', tier_level, count(*) FROM customer_loyalty GROUP BY cafe_id, tier_level;

-- migrate:down
