-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A till that asks what a bill would earn, of a guest with bills of later (another till's clock is ahead), has the guest
-- counted up to now: from the bills of its own cafe, which it may only read.
CREATE POLICY till_cafe ON visit_earnings TO till_role
USING (cafe_id = crm.current_cafe_id()) WITH CHECK (cafe_id = crm.current_cafe_id());
GRANT SELECT ON visit_earnings TO till_role;

-- migrate:down
