-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How often a visit's link was opened, and how often on the last of these days: nobody makes endless numbers of events
-- with one. Rows go with their links.
CREATE TABLE link_openings (
    cafe_id uuid NOT NULL,
    visit_id uuid NOT NULL,
    times integer NOT NULL,
    day date NOT NULL,
    times_that_day integer NOT NULL,
    PRIMARY KEY (cafe_id, visit_id),
    FOREIGN KEY (cafe_id, visit_id) REFERENCES feedback_links (cafe_id, visit_id) ON DELETE CASCADE
);
SELECT crm.protect('link_openings', '');

-- migrate:down
