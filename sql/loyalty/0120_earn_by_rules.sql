-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How bills earn beyond the amount, null when it does not: beside the rules and not in them, because the version before
-- refuses rules with a name that it does not know. Events have codes for words of the menu; those of the words that a
-- version names are kept with it, so that counting needs no key.
ALTER TABLE programs
ADD COLUMN earning jsonb,
ADD COLUMN menu_codes jsonb;
ALTER TABLE program_proposals ADD COLUMN earning jsonb;

-- What a bill's own rules can read of it (branch, payment, lines), packed by services/loyalty/rules/bill_facts.py, null on
-- bills from before; and what each rule gave, null when only the amount earned.
ALTER TABLE visit_earnings
ADD COLUMN facts bytea,
ADD COLUMN parts jsonb;

-- What caps and limits a day count, as of the last bill under such rules; null for who has none.
ALTER TABLE customer_loyalty ADD COLUMN counts jsonb;

-- migrate:down
