-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What criteria about cities compare. A plain column kept by triggers, because a generated one would rewrite the whole
-- table under its lock; in rows from before it is empty, and the city is folded when it is read.
ALTER TABLE customers ADD COLUMN city_key text COLLATE persian;

CREATE FUNCTION crm.keep_city_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.city_key := crm.search_key(NEW.city);
    RETURN NEW;
END $$;

CREATE TRIGGER keep_city_key_of_new BEFORE INSERT ON customers
FOR EACH ROW WHEN (new.city IS NOT NULL) EXECUTE FUNCTION crm.keep_city_key();
CREATE TRIGGER keep_city_key BEFORE UPDATE OF city ON customers
FOR EACH ROW WHEN (new.city IS DISTINCT FROM old.city) EXECUTE FUNCTION crm.keep_city_key();

-- migrate:down
