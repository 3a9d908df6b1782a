-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- The ledger only grows, and the service can change nothing in it. What somebody typed as a reference may name a guest:
-- of an erased one it goes, by this function alone; receipts' numbers, points, moments and sums stay.
CREATE FUNCTION forget_references(cafes uuid [], guests uuid []) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
UPDATE loyalty_transactions t SET order_reference = NULL
FROM unnest(cafes, guests) AS g (cafe_id, customer_id)
WHERE t.cafe_id = g.cafe_id AND t.customer_id = g.customer_id
  AND t.transaction_type <> 'earned_purchase' AND t.order_reference IS NOT NULL
$$;
REVOKE EXECUTE ON FUNCTION forget_references (uuid [], uuid []) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION forget_references(uuid[], uuid[]) TO %I', crm.service_role());
END $$;

-- migrate:down
