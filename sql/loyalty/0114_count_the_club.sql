-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a club's page tells, so that nobody reads a million guests' ledgers for it. With a day: what came or went on that
-- local day of the cafe, by when it was written down, so that a day that is over never changes. Without: how it stands.
CREATE TABLE club_figures (
    cafe_id uuid NOT NULL,
    day date,
    what text NOT NULL CHECK (
        CASE WHEN day IS NULL THEN what IN ('outstanding', 'owed', 'members', 'lapsing', 'lapsing_guests')
        ELSE what IN ('earned', 'redeemed', 'lapsed', 'given', 'taken', 'joined', 'risen', 'fallen') END
    ),
    tier loyalty_tier_enum,
    amount bigint NOT NULL
);
CREATE UNIQUE INDEX club_figures_figure ON club_figures (cafe_id, day, what, tier) NULLS NOT DISTINCT;

-- What is still to be added to the figures. Rows are only added, never looked for: nobody waits for the job.
CREATE TABLE club_changes (
    cafe_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    day date,
    what text NOT NULL,
    tier loyalty_tier_enum,
    amount bigint NOT NULL,
    PRIMARY KEY (cafe_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

SELECT crm.protect('club_figures', 'SELECT');
SELECT crm.protect('club_changes', 'INSERT', 'INSERT', 'SELECT, INSERT, DELETE');

-- Up to when the ledger has been summed, of all cafes, and when the lots that lapse soon were counted last. The ledger
-- only grows: what a transaction writes has the moment at which it began, so everything before the oldest one that is
-- still open is there.
CREATE TABLE crm.club_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    summed_until timestamptz NOT NULL,
    lapsing_counted_at timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO crm.club_progress (summed_until)
SELECT least(min(created_at), now()) FROM loyalty_transactions;

CREATE FUNCTION crm.oldest_open(at timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
SELECT least(at, min(a.xact_start)) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
$$;

-- The newest rows are found by it within seconds; without this only after a fifth of the ledger is new.
ALTER INDEX idx_loyalty_trans_date SET (autosummarize = on);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, UPDATE ON crm.club_progress TO %I', crm.service_role());
END $$;

-- migrate:down
