-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What each campaign's counters grew by on each local day of its cafe, so that the last month can be told without
-- reading messages; also of a journey, whose campaign never ends. `reason` of what was not sent, else empty.
CREATE TABLE campaign_days (
    cafe_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    day date NOT NULL,
    what varchar(20) NOT NULL,
    reason varchar(50) NOT NULL DEFAULT '',
    amount numeric(30, 2) NOT NULL,
    PRIMARY KEY (cafe_id, campaign_id, day, what, reason)
) WITH (fillfactor = 70);
SELECT crm.protect('campaign_days', 'SELECT, INSERT, UPDATE');

-- Whoever counts has locked the campaign's row, so nobody waits for a row of a day.
CREATE FUNCTION crm.note_campaign_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.campaign_days AS kept (cafe_id, campaign_id, day, what, amount)
    SELECT NEW.cafe_id, NEW.id, (now() AT TIME ZONE coalesce(
        (SELECT c.time_zone FROM public.cafes c WHERE c.cafe_id = NEW.cafe_id), 'Asia/Tehran'
    ))::date, f.what, f.amount
    FROM (VALUES
        ('sent', (NEW.messages_sent - OLD.messages_sent)::numeric),
        ('delivered', NEW.messages_delivered - OLD.messages_delivered),
        ('opened', NEW.messages_opened - OLD.messages_opened),
        ('cost', NEW.actual_cost - OLD.actual_cost)
    ) AS f (what, amount)
    WHERE f.amount <> 0
    ON CONFLICT (cafe_id, campaign_id, day, what, reason) DO UPDATE SET amount = kept.amount + excluded.amount;
    RETURN NULL;
END $$;
-- A campaign that is counted as a whole once more brings nothing new of today.
CREATE FUNCTION crm.note_campaign_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before integer := 0;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD.messages;
    END IF;
    INSERT INTO public.campaign_days AS kept (cafe_id, campaign_id, day, what, reason, amount)
    SELECT NEW.cafe_id, NEW.campaign_id, (now() AT TIME ZONE coalesce(z.time_zone, 'Asia/Tehran'))::date, NEW.outcome,
           NEW.reason, NEW.messages - before
    FROM public.campaigns c LEFT JOIN public.cafes z ON z.cafe_id = c.cafe_id
    WHERE c.cafe_id = NEW.cafe_id AND c.id = NEW.campaign_id AND c.recount_at IS NULL AND NEW.messages <> before
    ON CONFLICT (cafe_id, campaign_id, day, what, reason) DO UPDATE SET amount = kept.amount + excluded.amount;
    RETURN NULL;
END $$;
CREATE TRIGGER note_campaign_day AFTER UPDATE ON campaigns FOR EACH ROW
WHEN (
    (OLD.messages_sent, OLD.messages_delivered, OLD.messages_opened, OLD.actual_cost)
    IS DISTINCT FROM (NEW.messages_sent, NEW.messages_delivered, NEW.messages_opened, NEW.actual_cost)
) EXECUTE FUNCTION crm.note_campaign_day();
CREATE TRIGGER note_campaign_end AFTER INSERT OR UPDATE ON campaign_results
FOR EACH ROW EXECUTE FUNCTION crm.note_campaign_end();

-- migrate:down
