#!/bin/sh
# Writes .env with fresh secrets for docker compose, unless there is one: existing data open only with their own secret.
set -eu
cd "$(dirname "$0")/../.."
if [ -e .env ]; then echo '.env is there already; it stays as it is' >&2; exit 0; fi
random() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }
umask 077
cat > .env.new <<END
# Whoever has CRM_SECRET can read everything. Keep a copy where the backups are not.
CRM_SECRET=$(random)
CRM_POSTGRES_PASSWORD=$(random)
END
mv .env.new .env
echo '.env written; keep a copy of it in a safe place' >&2
