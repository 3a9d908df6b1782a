-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What the list of guests is ordered and filtered by. Apart from customer_activity, as a visit should touch no index
-- there: a job brings it here within seconds. Who never came has been there before everybody else.
CREATE TABLE listed_guests (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    last_visit_at timestamptz NOT NULL,
    current_points bigint NOT NULL,
    lifetime_spent numeric(30, 2) NOT NULL,
    total_visits integer NOT NULL,
    tier_level loyalty_tier_enum NOT NULL,
    segment_mask bigint NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
);
CREATE INDEX listed_guests_by_last_visit ON listed_guests (cafe_id, last_visit_at, customer_id);
CREATE INDEX listed_guests_by_points ON listed_guests (cafe_id, current_points, customer_id);
CREATE INDEX listed_guests_by_spent ON listed_guests (cafe_id, lifetime_spent, customer_id);
CREATE INDEX listed_guests_by_visits ON listed_guests (cafe_id, total_visits, customer_id);

-- Who has changed since. Rows are only added, never looked for: so nobody waits for the job, and a change that commits
-- after the job has looked is in a row that the job has not seen.
CREATE TABLE guests_to_list (
    cafe_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    customer_id uuid NOT NULL,
    PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

SELECT crm.protect('listed_guests', '');
SELECT crm.protect('guests_to_list', 'INSERT', '', 'SELECT, INSERT, DELETE');

CREATE FUNCTION crm.list_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.guests_to_list (cafe_id, customer_id) SELECT cafe_id, customer_id FROM changed;
    RETURN NULL;
END $$;
CREATE TRIGGER list_new AFTER INSERT ON customer_activity
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();
CREATE TRIGGER list_changed AFTER UPDATE ON customer_activity
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();
CREATE TRIGGER list_gone AFTER DELETE ON customer_activity
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.list_again();

INSERT INTO guests_to_list (cafe_id, customer_id) SELECT cafe_id, customer_id FROM customer_activity;

-- migrate:down
