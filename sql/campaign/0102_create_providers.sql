-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Without a key of its own a row speaks for the account of the whole installation.
CREATE TABLE sms_providers (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    provider_name varchar(50) NOT NULL,
    api_endpoint varchar(255),
    api_key_sealed text,
    sender_line varchar(20),
    cost_per_sms numeric(18, 2) NOT NULL CHECK (cost_per_sms >= 0),
    currency_unit text NOT NULL DEFAULT 'IRR' CHECK (currency_unit = 'IRR'),
    is_active boolean NOT NULL DEFAULT true,
    priority_order integer NOT NULL DEFAULT 0,

    daily_limit integer CHECK (daily_limit >= 0),
    monthly_limit integer CHECK (monthly_limit >= 0),

    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id)
);

-- Messages handed to a provider per day of the cafe's own calendar: what its limits and the cafe's budget are judged by.
CREATE TABLE sms_usage (
    cafe_id uuid NOT NULL,
    provider_id uuid NOT NULL,
    day date NOT NULL,
    messages integer NOT NULL DEFAULT 0 CHECK (messages >= 0),
    cost numeric(18, 2) NOT NULL DEFAULT 0 CHECK (cost >= 0),
    PRIMARY KEY (cafe_id, provider_id, day),
    FOREIGN KEY (cafe_id, provider_id) REFERENCES sms_providers (cafe_id, id)
) WITH (fillfactor = 70);

-- The cafe's own rules for all its messages.
CREATE TABLE messaging_settings (
    cafe_id uuid PRIMARY KEY,
    guest_daily_cap integer NOT NULL DEFAULT 3 CHECK (guest_daily_cap >= 0),
    monthly_budget numeric(18, 2) CHECK (monthly_budget >= 0),
    currency_unit text NOT NULL DEFAULT 'IRR' CHECK (currency_unit = 'IRR')
);

-- The sealed key can be replaced by people and never read.
SELECT crm.protect('sms_providers', 'INSERT, UPDATE');
GRANT SELECT (
    id, cafe_id, provider_name, api_endpoint, sender_line, cost_per_sms, currency_unit, is_active, priority_order,
    daily_limit, monthly_limit, created_at
) ON sms_providers TO staff_role;
SELECT crm.protect('sms_usage', 'SELECT');
SELECT crm.protect('messaging_settings', 'SELECT, UPDATE');

-- migrate:down
