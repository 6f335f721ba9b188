#!/bin/sh
# Run beside the proxy of the compose file. A proxy reads its certificate and looks up the servers when
# it starts or reloads. So: it reloads when the certificate has been renewed, and when a server has come
# with an address that it does not know, as after an update. Requests under way finish first.
#
# A server that has gone is no reason: it may be back in a second, and the proxy asks the other one.
# After a minute it is.
set -u

certificate() { cksum /etc/portcullis/tls/fullchain.pem /etc/portcullis/tls/privkey.pem 2>/dev/null; }

addresses() {
    for server in auth registry; do
        getent ahostsv4 "$server" | awk -v server="$server" '{ print server "=" $1 }'
    done | sort -u
}

# Whether each line of the first is in the second.
is_within() {
    for line in $1; do
        case "
$2
" in *"
$line
"*) ;; *) return 1 ;; esac
    done
}

reload() {
    if command -v httpd >/dev/null; then httpd -k graceful; else nginx -s reload; fi
}

watch() {
    known_certificate=$(certificate) known=$(addresses) looks=0
    while sleep 2; do
        certificate=$(certificate) addresses=$(addresses)
        if [ "$certificate" = "$known_certificate" ]; then
            if [ "$addresses" = "$known" ]; then
                looks=0
                continue
            fi
            looks=$((looks + 1))
            if is_within "$addresses" "$known" && [ "$looks" -lt 30 ]; then
                continue
            fi
        fi
        if reload; then
            known_certificate=$certificate known=$addresses looks=0
        fi
    done
}

watch &
