# Shared by the scripts beside it: where things are, and how they speak.
# shellcheck shell=bash disable=SC2034 # the scripts beside it use the variables

set -euo pipefail

clone=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What takes long to make, kept for every clone: the base image.
cache=${PORTCULLIS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portcullis}

# What runs, one folder per clone, so that two clones test side by side. It is short because a path
# of a Unix socket holds at most 107 bytes.
state=/run/portcullis-test/$(printf %s "$clone" | sha256sum | cut -c1-12)

say() { printf 'environment: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# running PIDFILE: is the process of this file alive?
running() {
    [ -s "$1" ] && kill -0 "$(head -n 1 "$1")" 2>/dev/null
}

# eventually SECONDS COMMAND...: runs it until it succeeds; fails when the time is over.
eventually() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# terminate PIDFILE: asks the process to end, waits, and kills it if it does not listen.
terminate() {
    running "$1" || return 0
    local pid
    pid=$(head -n 1 "$1")
    kill -TERM "$pid" 2>/dev/null || true
    eventually 20 test ! -e "/proc/$pid" || kill -KILL "$pid" 2>/dev/null || true
}
