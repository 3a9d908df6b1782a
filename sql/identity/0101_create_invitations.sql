-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Somebody is asked to work in a cafe. The code is shown once, to who invites; access comes only when it is accepted.
CREATE TABLE invitations (
    cafe_id uuid NOT NULL,
    invitation_id uuid NOT NULL,
    code_hash bytea NOT NULL CHECK (octet_length(code_hash) = 32),
    login_hash bytea NOT NULL CHECK (octet_length(login_hash) = 32),
    login_sealed text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'manager', 'staff')),
    display_name text NOT NULL,
    -- Null when an operator invites.
    invited_by uuid,
    invited_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    accepted_at timestamptz,
    accepted_by uuid,
    PRIMARY KEY (cafe_id, invitation_id)
);
CREATE UNIQUE INDEX invitations_code ON invitations (code_hash);
CREATE INDEX invitations_expiry ON invitations (expires_at);

SELECT crm.protect('invitations', '');

CREATE POLICY staff_entered ON invitations TO staff_role
USING (cafe_id = crm.current_cafe_id())
WITH CHECK (cafe_id = crm.current_cafe_id());
GRANT SELECT, INSERT, UPDATE ON invitations TO staff_role;

-- migrate:down
