-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which tokens of a person are refused though they have not expired: all that were made before `sessions_from` rose, and
-- those of single sessions that ended a moment ago. Where the role is read, this is read with it.
ALTER TABLE user_cafe_access
ADD COLUMN sessions_from integer NOT NULL DEFAULT 0,
ADD COLUMN ended_sessions uuid [] NOT NULL DEFAULT '{}';

-- Whether the token behind this transaction (see AS_STAFF in shared/db.py) is none of those.
CREATE FUNCTION crm.session_holds(sessions_from integer, ended_sessions uuid []) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(nullif(current_setting('app.generation', true), '')::integer, 0) >= sessions_from
AND coalesce(nullif(current_setting('app.session_id', true), '')::uuid <> ALL (ended_sessions), true);

-- migrate:down
