-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- 'skipped' is ours: deciding not to send is no failure of sending.
CREATE TYPE delivery_status_enum AS ENUM (
    'queued', 'sending', 'sent', 'delivered', 'failed', 'bounced', 'opened', 'skipped'
);
CREATE TYPE decision_outcome_enum AS ENUM ('send', 'hold', 'skip');

-- One message to one guest. Whom it goes to and what it says is settled when it is sent, and sealed; until then those
-- columns are empty. `local_id` is the number by which the provider recognizes a message it was given before.
CREATE TABLE campaign_deliveries (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    trigger_id uuid NOT NULL,
    visit_id uuid,
    local_id bigint NOT NULL CHECK (local_id >= 0),

    recipient_phone_sealed text,
    recipient_phone_hash bytea CHECK (octet_length(recipient_phone_hash) = 32),
    recipient_name_sealed text,

    message_content text NOT NULL,
    personalized_content_sealed text,
    parts integer,

    delivery_status delivery_status_enum NOT NULL DEFAULT 'queued',
    delivery_attempts integer NOT NULL DEFAULT 0,

    queued_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    sending_at timestamptz,
    sent_at timestamptz,
    delivered_at timestamptz,
    opened_at timestamptz,
    failed_at timestamptz,

    error_code varchar(50),
    error_message text,

    message_cost numeric(18, 2),
    currency_unit text NOT NULL DEFAULT 'IRR' CHECK (currency_unit = 'IRR'),

    provider_id uuid,
    provider_name varchar(50),
    provider_message_id varchar(100),
    -- Providers that said no to this message; they are not asked again before the others were.
    refused_by uuid [] NOT NULL DEFAULT '{}',
    -- When to ask the provider next: about an unknown outcome while 'sending', about delivery while 'sent'.
    check_at timestamptz,

    link_clicks integer NOT NULL DEFAULT 0,
    reply_received boolean NOT NULL DEFAULT false,

    correlation_id uuid NOT NULL,
    causation_id uuid,

    PRIMARY KEY (cafe_id, id),
    UNIQUE (cafe_id, local_id),
    FOREIGN KEY (cafe_id, campaign_id) REFERENCES campaigns (cafe_id, id) ON DELETE CASCADE,
    FOREIGN KEY (cafe_id, provider_id) REFERENCES sms_providers (cafe_id, id),
    CHECK (delivery_status <> 'sending' OR (provider_id IS NOT NULL AND sending_at IS NOT NULL))
) WITH (fillfactor = 70);
-- Never twice: one message per campaign, occasion and guest.
CREATE UNIQUE INDEX idx_deliveries_campaign ON campaign_deliveries (cafe_id, campaign_id, trigger_id, customer_id);
CREATE INDEX idx_deliveries_customer ON campaign_deliveries (cafe_id, customer_id, queued_at);
CREATE INDEX idx_deliveries_status ON campaign_deliveries (due_at) WHERE delivery_status = 'queued';
CREATE INDEX idx_deliveries_phone ON campaign_deliveries (cafe_id, recipient_phone_hash)
WHERE recipient_phone_hash IS NOT NULL;
CREATE INDEX deliveries_unsettled ON campaign_deliveries (check_at) WHERE check_at IS NOT NULL;
CREATE UNIQUE INDEX deliveries_provider_message
ON campaign_deliveries (cafe_id, provider_id, provider_message_id) WHERE provider_message_id IS NOT NULL;

-- Why a message was sent, held or not sent: the checks in the order they were made, up to the one that decided.
CREATE TABLE send_decisions (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    delivery_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    decided_at timestamptz NOT NULL,
    outcome decision_outcome_enum NOT NULL,
    reason varchar(50) NOT NULL,
    hold_until timestamptz,
    checks jsonb NOT NULL,
    PRIMARY KEY (cafe_id, id),
    FOREIGN KEY (cafe_id, delivery_id) REFERENCES campaign_deliveries (cafe_id, id) ON DELETE CASCADE,
    CHECK ((outcome = 'hold') = (hold_until IS NOT NULL))
);
CREATE INDEX send_decisions_delivery ON send_decisions (cafe_id, delivery_id);
CREATE INDEX send_decisions_customer ON send_decisions (cafe_id, customer_id, decided_at);

SELECT crm.protect('campaign_deliveries', 'SELECT');
SELECT crm.protect('send_decisions', 'SELECT', '', 'SELECT, INSERT, DELETE');

-- migrate:down
