#!/bin/sh
# Run by the PostgreSQL image at its first start: each server gets a database, and a user that sees
# no other.
set -eu
for name in auth registry; do
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" \
        --dbname postgres --set name="$name" \
        --set password="$(cat "/run/portcullis/$name-password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
