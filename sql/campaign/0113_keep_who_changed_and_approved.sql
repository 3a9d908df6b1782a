-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- `version` counts what is changed, so that nobody approves what they have not seen. Whoever is alone in a cafe may
-- approve what is theirs, and then it says so; the version before writes none of these columns and approves as ever.
ALTER TABLE campaigns
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN edited_by uuid,
    ADD COLUMN approved_alone boolean NOT NULL DEFAULT false;
-- squawk-ignore ban-drop-constraint
ALTER TABLE campaigns DROP CONSTRAINT campaigns_check;
ALTER TABLE campaigns ADD CONSTRAINT approved_by_another CHECK (
    approved_alone OR approved_by IS NULL OR (approved_by <> created_by AND approved_by IS DISTINCT FROM edited_by)
) NOT VALID;

-- Who did what with a campaign or a journey, and what it then said: nobody may change or delete a row.
CREATE TABLE campaign_trail (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    what text NOT NULL CHECK (what IN ('written', 'edited', 'scheduled', 'approved', 'cancelled', 'switched')),
    by_user uuid NOT NULL,
    at timestamptz NOT NULL,
    version integer NOT NULL,
    ended_approval boolean NOT NULL DEFAULT false,
    detail jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (cafe_id, id)
);
CREATE INDEX campaign_trail_campaign ON campaign_trail (cafe_id, campaign_id, at);

-- The texts of a journey: one is in force, and one may wait to follow it. Version 1 is what the journey began with.
CREATE TABLE journey_versions (
    cafe_id uuid NOT NULL,
    journey_id uuid NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    state text NOT NULL CHECK (state IN ('waiting', 'in_force', 'replaced', 'declined')),
    template_content text NOT NULL,
    template_variables jsonb NOT NULL,
    ignores_quiet_hours boolean NOT NULL,
    budget numeric(18, 2) CHECK (budget >= 0),
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    PRIMARY KEY (cafe_id, journey_id, version),
    CONSTRAINT decided_by_another CHECK (decided_by <> created_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL))
);
CREATE UNIQUE INDEX journey_versions_waiting ON journey_versions (cafe_id, journey_id) WHERE state = 'waiting';
CREATE UNIQUE INDEX journey_versions_in_force ON journey_versions (cafe_id, journey_id) WHERE state = 'in_force';

SELECT crm.protect('campaign_trail', 'SELECT, INSERT', '', 'SELECT, INSERT');
SELECT crm.protect('journey_versions', 'SELECT, INSERT, UPDATE', '', 'SELECT');

-- migrate:down
