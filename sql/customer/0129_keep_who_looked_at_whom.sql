-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Who opened which guest, and who had the whole number shown. Rows are only added, until a job takes away the old ones.
-- They name nobody: only ids, also of a guest who is erased later. Of opening one row for each hour is enough.
CREATE TABLE guest_views (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    customer_id uuid NOT NULL,
    user_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('opened', 'revealed')),
    viewed_at timestamptz NOT NULL,
    hour timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id)
);
CREATE UNIQUE INDEX guest_views_opened ON guest_views (cafe_id, customer_id, user_id, hour) WHERE kind = 'opened';
CREATE INDEX guest_views_of_guest ON guest_views (cafe_id, customer_id, id);
CREATE INDEX guest_views_viewed_at ON guest_views USING brin (viewed_at);

SELECT crm.protect('guest_views', 'SELECT, INSERT', '', 'SELECT, INSERT, DELETE');

-- migrate:down
