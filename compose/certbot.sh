#!/bin/sh
# Asks for the certificate, renews it twice a day if it is due, and puts it where the proxy looks.
set -u

put_in_place() {
    live=/etc/letsencrypt/live/portcullis
    [ -e "$live/fullchain.pem" ] || return 0
    cmp -s "$live/fullchain.pem" /tls/fullchain.pem && return 0
    # The key first: the proxy reads both when the certificate changes.
    umask 077
    cp -L "$live/privkey.pem" /tls/privkey.pem.new && cp -L "$live/fullchain.pem" /tls/fullchain.pem.new &&
        chmod 644 /tls/fullchain.pem.new && mv /tls/privkey.pem.new /tls/privkey.pem &&
        mv /tls/fullchain.pem.new /tls/fullchain.pem && echo "the proxy gets the new certificate"
}

while :; do
    # shellcheck disable=SC2086 # several options in one variable
    certbot certonly --non-interactive --agree-tos --keep-until-expiring --webroot \
        --webroot-path /var/www/html --cert-name portcullis --server "$SERVER" --email "$EMAIL" $HOSTS
    put_in_place
    sleep 43200 & wait $!
done
