-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- People may see what became of a link, and how often it was opened. The digest of its token is no business of theirs.
CREATE POLICY staff_cafe ON feedback_links TO staff_role
USING (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access a WHERE a.user_id = current_user_id()))
WITH CHECK (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access a WHERE a.user_id = current_user_id()));
GRANT SELECT (cafe_id, visit_id, id, customer_id, created_at, expires_at, used_at, closed_at) ON feedback_links
TO staff_role;
CREATE POLICY staff_cafe ON link_openings TO staff_role
USING (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access a WHERE a.user_id = current_user_id()))
WITH CHECK (cafe_id IN (SELECT a.cafe_id FROM user_cafe_access a WHERE a.user_id = current_user_id()));
GRANT SELECT ON link_openings TO staff_role;

-- migrate:down
