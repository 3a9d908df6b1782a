-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE feedback_source_enum AS ENUM ('qr_code', 'staff_tablet', 'sms_link', 'website', 'phone_call', 'manual');
CREATE TYPE case_status_enum AS ENUM ('open', 'closed');

-- What this service knows of a visit: the context that a guest's words are kept with.
CREATE TABLE visits (
    cafe_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    customer_id uuid,
    visit_at timestamptz NOT NULL,
    final_amount numeric(18, 2) NOT NULL,
    currency_unit text NOT NULL CHECK (currency_unit IN ('IRT', 'IRR')),
    table_number varchar(10),
    corrected_at timestamptz,
    voided_at timestamptz,
    PRIMARY KEY (cafe_id, visit_id)
);

-- One per visit. The token itself is in no table: it is derived by whoever sends it, and recognized by its hash.
CREATE TABLE feedback_links (
    cafe_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid,
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    correlation_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    closed_at timestamptz,
    PRIMARY KEY (cafe_id, visit_id)
);
CREATE INDEX feedback_links_expired ON feedback_links (expires_at);
CREATE INDEX feedback_links_customer ON feedback_links (cafe_id, customer_id);

CREATE TABLE customer_feedback (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    customer_id uuid,
    visit_id uuid,

    feedback_source feedback_source_enum NOT NULL,
    source_reference varchar(100),

    overall_rating integer NOT NULL CHECK (overall_rating BETWEEN 1 AND 5),
    category_ratings jsonb NOT NULL DEFAULT '{}',
    comment text CHECK (char_length(comment) <= 2000),
    comment_language varchar(5) NOT NULL DEFAULT 'fa',

    feedback_categories text[] NOT NULL DEFAULT '{}',
    sentiment_score numeric(3, 2) CHECK (sentiment_score BETWEEN -1 AND 1),

    table_number varchar(10),
    visit_date date,
    order_amount numeric(18, 2),
    currency_unit text CHECK (currency_unit IN ('IRT', 'IRR')),

    response_text text,
    response_date timestamptz,
    responded_by uuid,

    follow_up_required boolean NOT NULL DEFAULT false,
    follow_up_completed boolean NOT NULL DEFAULT false,
    follow_up_date timestamptz,

    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,

    device_info jsonb,
    ip_address inet,

    PRIMARY KEY (cafe_id, id),
    CHECK ((order_amount IS NULL) = (currency_unit IS NULL)),
    CHECK ((response_text IS NULL AND response_date IS NULL) OR responded_by IS NOT NULL),
    CHECK (follow_up_required OR NOT follow_up_completed)
);
CREATE INDEX idx_feedback_customer ON customer_feedback (cafe_id, customer_id);
CREATE INDEX idx_feedback_visit ON customer_feedback (cafe_id, visit_id);
CREATE INDEX idx_feedback_rating ON customer_feedback (cafe_id, overall_rating);
CREATE INDEX idx_feedback_source ON customer_feedback (cafe_id, feedback_source);
CREATE INDEX idx_feedback_date ON customer_feedback (cafe_id, created_at);
-- What the retention job still has to trim.
CREATE INDEX customer_feedback_untrimmed ON customer_feedback (created_at)
WHERE ip_address IS NOT NULL OR device_info IS NOT NULL;

-- The parser's idea of punctuation depends on the server's locale; these are the Persian marks that it may not know.
CREATE FUNCTION feedback_words(comment text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector(
        'simple',
        translate(crm.search_key(coalesce(comment, '')), U&'\060c\061b\061f\066a\066b\066c\00ab\00bb\2026', '         ')
    );
CREATE INDEX idx_feedback_comment_search ON customer_feedback USING gin (feedback_words(comment));

CREATE TABLE feedback_cases (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    feedback_id uuid NOT NULL,
    customer_id uuid,
    status case_status_enum NOT NULL DEFAULT 'open',
    opened_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    closed_at timestamptz,
    closed_by uuid,
    resolution text,
    PRIMARY KEY (cafe_id, id),
    UNIQUE (cafe_id, feedback_id),
    FOREIGN KEY (cafe_id, feedback_id) REFERENCES customer_feedback (cafe_id, id),
    CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);
CREATE INDEX feedback_cases_open ON feedback_cases (cafe_id, due_at) WHERE status = 'open';
CREATE INDEX feedback_cases_customer ON feedback_cases (cafe_id, customer_id);

SELECT crm.protect('customer_feedback');
SELECT crm.protect('feedback_cases');
SELECT crm.protect('visits', 'SELECT');
-- People never see links: whoever could read a hash could not use it, but nobody needs to.
SELECT crm.protect('feedback_links', '');

-- migrate:down
