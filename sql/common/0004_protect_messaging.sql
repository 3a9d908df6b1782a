-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- People and tills may add an event of their own cafe and see none.
SELECT crm.protect('crm.outbox', 'INSERT', 'INSERT', 'SELECT, INSERT, DELETE');

-- migrate:down
