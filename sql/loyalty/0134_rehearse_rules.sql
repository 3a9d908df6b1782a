-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Rules that were tried on all bills of a cafe before anybody published them: what was asked, how far it is, and what was
-- found. The report and the guests' rows hold ids of guests and numbers, nothing that says who they are.
CREATE TABLE rehearsals (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    rules jsonb NOT NULL,
    menu_codes jsonb,
    mode text NOT NULL CHECK (mode IN ('always', 'from_date')),
    -- With 'from_date' the moment from which the rules count.
    valid_from timestamptz,
    asked_by uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    -- How often it was begun: what a process writes that was given up since counts no more.
    attempts integer NOT NULL DEFAULT 0,
    ended_at timestamptz,
    report jsonb,
    error text,
    PRIMARY KEY (cafe_id, id),
    CHECK ((state = 'done') = (report IS NOT NULL)),
    CHECK ((state = 'failed') = (error IS NOT NULL)),
    CHECK ((state IN ('done', 'failed')) = (ended_at IS NOT NULL)),
    CHECK ((mode = 'from_date') = (valid_from IS NOT NULL))
);
-- One of a cafe at a time, and those that are due are found without reading the others.
CREATE UNIQUE INDEX rehearsals_open ON rehearsals (cafe_id) WHERE state IN ('waiting', 'running');
CREATE INDEX rehearsals_due ON rehearsals (asked_at) WHERE state IN ('waiting', 'running');

-- What became of each guest, some thousand to a row, packed: ids and numbers.
CREATE TABLE rehearsal_guests (
    cafe_id uuid NOT NULL,
    rehearsal_id uuid NOT NULL,
    part integer NOT NULL,
    guests bytea NOT NULL,
    PRIMARY KEY (cafe_id, rehearsal_id, part)
);

-- Which rehearsal the author of rules has seen, for who approves them.
ALTER TABLE programs ADD COLUMN rehearsal_id uuid;
ALTER TABLE program_proposals ADD COLUMN rehearsal_id uuid;

SELECT crm.protect('rehearsals', 'SELECT, INSERT, DELETE', '', 'SELECT, INSERT, UPDATE, DELETE');
SELECT crm.protect('rehearsal_guests', 'SELECT, DELETE', '', 'SELECT, INSERT, DELETE');

-- migrate:down
