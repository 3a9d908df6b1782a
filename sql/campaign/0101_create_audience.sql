-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE contact_status_enum AS ENUM ('active', 'inactive', 'blocked');

-- What this service knows of a guest. Phone and name stay in the envelopes they travelled in; a guest whose status or
-- block is learned before the profile has a row with version 0 and no phone.
CREATE TABLE contacts (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    version integer NOT NULL DEFAULT 0,
    phone_sealed text,
    phone_hash bytea CHECK (octet_length(phone_hash) = 32),
    name_sealed text,
    status contact_status_enum NOT NULL DEFAULT 'active',
    status_at timestamptz,
    language varchar(5) NOT NULL DEFAULT 'fa',
    -- The guest had the operator refuse our line (a provider's status, or the stop word).
    line_blocked_at timestamptz,
    erased_at timestamptz,
    PRIMARY KEY (cafe_id, customer_id)
);
CREATE INDEX contacts_phone ON contacts (cafe_id, phone_hash) WHERE phone_hash IS NOT NULL;

CREATE TABLE consents (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    channel campaign_type_enum NOT NULL,
    purpose message_purpose_enum NOT NULL,
    granted boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    source text NOT NULL,
    PRIMARY KEY (cafe_id, customer_id, channel, purpose)
);

-- A guest who left keeps the row, so that an older "entered" that arrives late cannot bring the membership back.
CREATE TABLE segment_members (
    cafe_id uuid NOT NULL,
    segment_key varchar(50) NOT NULL,
    customer_id uuid NOT NULL,
    segment_id uuid NOT NULL,
    is_member boolean NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, segment_key, customer_id)
);

SELECT crm.protect('contacts', 'SELECT');
SELECT crm.protect('consents', 'SELECT');
SELECT crm.protect('segment_members', 'SELECT');

-- migrate:down
