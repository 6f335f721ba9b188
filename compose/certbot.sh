#!/bin/sh
# Asks for the certificate, renews it when it is due, and puts it where the proxy looks.
#
#   certbot.sh          asks, and looks twice a day, until it is stopped
#   certbot.sh put      puts it in place; certbot calls this after each renewal, whoever began it
#   certbot.sh healthy  whether the proxy has it
set -u

# One for each authority: else what the one for trials issued would be kept until it is due.
name=portcullis-$(printf %s "$SERVER" | cksum | cut -d ' ' -f 1)
live=/etc/letsencrypt/live/$name

is_in_place() { [ -e "$live/fullchain.pem" ] && cmp -s "$live/fullchain.pem" /tls/fullchain.pem; }

# In a shell of its own, for the sake of umask. The key first: when the certificate changes, the proxy
# reads both.
put() (
    [ -e "$live/fullchain.pem" ] || return 0
    ! is_in_place || return 0
    umask 077
    cp -L "$live/privkey.pem" /tls/privkey.pem.new && cp -L "$live/fullchain.pem" /tls/fullchain.pem.new &&
        chmod 644 /tls/fullchain.pem.new && mv /tls/privkey.pem.new /tls/privkey.pem &&
        mv /tls/fullchain.pem.new /tls/fullchain.pem && echo "the proxy gets the new certificate"
)

ask() {
    # shellcheck disable=SC2086 # several options in one variable
    certbot certonly --non-interactive --agree-tos --keep-until-expiring --renew-with-new-domains \
        --webroot --webroot-path /var/www/html --cert-name "$name" --server "$SERVER" --email "$EMAIL" \
        --deploy-hook "sh /certbot.sh put" $HOSTS
}

# A failed attempt counts. Nothing but certbot's own Python is sure to be in the image.
proxy_answers() {
    for proxy in nginx apache; do
        python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], 80), 3)' "$proxy" 2>/dev/null &&
            return 0
    done
    return 1
}

case ${1:-} in
put) put && exit ;;
healthy) is_in_place && exit ;;
esac
[ $# -eq 0 ] || exit 1

trap 'exit 0' TERM INT
until proxy_answers; do sleep 1; done
while :; do
    pause=43200
    # Let's Encrypt forgives five failures an hour.
    ask || pause=900
    put
    sleep $pause & wait $!
done
