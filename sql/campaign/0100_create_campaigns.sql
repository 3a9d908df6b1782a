-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE campaign_type_enum AS ENUM ('sms', 'instagram', 'email', 'push');
CREATE TYPE campaign_status_enum AS ENUM (
    'draft', 'scheduled', 'sending', 'sent', 'completed', 'cancelled', 'failed'
);
-- What the law and the guest distinguish: answers to the guest's own doings, and advertising.
CREATE TYPE message_purpose_enum AS ENUM ('service', 'marketing');

-- A one-off campaign, or the standing one of a journey (status 'sending', no target: the journey's trigger decides).
-- Providers bill in Rial, so do all costs here.
CREATE TABLE campaigns (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,

    name varchar(200) NOT NULL,
    description text,
    campaign_type campaign_type_enum NOT NULL,
    purpose message_purpose_enum NOT NULL,
    ignores_quiet_hours boolean NOT NULL DEFAULT false,

    target_segment jsonb NOT NULL DEFAULT '{}',
    estimated_recipients integer,

    template_content text NOT NULL,
    template_variables jsonb NOT NULL DEFAULT '{}',

    scheduled_date timestamptz,
    sent_date timestamptz,

    status campaign_status_enum NOT NULL DEFAULT 'draft',

    currency_unit text NOT NULL DEFAULT 'IRR' CHECK (currency_unit = 'IRR'),
    budget numeric(18, 2) CHECK (budget >= 0),
    estimated_cost numeric(18, 2),
    -- Of messages handed over whose outcome is not known yet.
    reserved_cost numeric(18, 2) NOT NULL DEFAULT 0 CHECK (reserved_cost >= 0),
    actual_cost numeric(18, 2) NOT NULL DEFAULT 0 CHECK (actual_cost >= 0),
    cost_per_message numeric(18, 2) GENERATED ALWAYS AS (round(actual_cost / nullif(messages_sent, 0), 2)) STORED,

    messages_sent integer NOT NULL DEFAULT 0,
    messages_delivered integer NOT NULL DEFAULT 0,
    messages_failed integer NOT NULL DEFAULT 0,
    messages_opened integer NOT NULL DEFAULT 0,

    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by uuid NOT NULL,

    approved_by uuid,
    approved_at timestamptz,

    -- The last guest queued while a one-off campaign is expanded, so that a crash goes on where it stopped.
    expanded_to uuid,
    expanded_at timestamptz,

    PRIMARY KEY (cafe_id, id),
    CHECK (approved_by <> created_by),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX idx_campaigns_type ON campaigns (cafe_id, campaign_type);
CREATE INDEX idx_campaigns_status ON campaigns (cafe_id, status);
CREATE INDEX idx_campaigns_date ON campaigns (scheduled_date) WHERE status = 'scheduled';
CREATE INDEX idx_campaigns_creator ON campaigns (cafe_id, created_by);

CREATE TABLE campaign_templates (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    name varchar(200) NOT NULL,
    template_type campaign_type_enum NOT NULL,
    content text NOT NULL,
    variables jsonb NOT NULL DEFAULT '{}',
    category varchar(50),
    is_system_template boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id)
);

SELECT crm.protect('campaigns');
SELECT crm.protect('campaign_templates', 'SELECT, INSERT, UPDATE, DELETE');

-- migrate:down
