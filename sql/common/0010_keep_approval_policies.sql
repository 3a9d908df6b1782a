-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When a second person must approve (shared/approval.py). The defaults are those of the event, so that the version before
-- goes on writing cafes without them. Amounts are whole Toman.
ALTER TABLE cafes
    ADD COLUMN approval_when text NOT NULL DEFAULT 'when_two',
    ADD COLUMN approval_points bigint NOT NULL DEFAULT 1000,
    ADD COLUMN approval_amount bigint NOT NULL DEFAULT 10000000,
    ADD COLUMN approval_staff_amount bigint NOT NULL DEFAULT 2000000;

-- Who in the caller's own cafe may approve. People see only their own access otherwise.
CREATE FUNCTION crm.approvers(cafe uuid) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
SELECT a.user_id FROM user_cafe_access AS a
WHERE a.cafe_id = cafe AND a.role IN ('manager', 'owner') AND EXISTS (
    SELECT FROM user_cafe_access AS own
    WHERE own.cafe_id = cafe AND own.user_id = current_user_id() AND own.role IS NOT NULL
)
$$;
REVOKE EXECUTE ON FUNCTION crm.approvers (uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION crm.approvers (uuid) TO staff_role;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION crm.approvers(uuid) TO %I', crm.service_role());
END $$;

-- migrate:down
