# Shared by the scripts that make images for the test environment's Docker engine. No image registry is
# needed: official images have stand-ins made from Debian packages, and the project's own Dockerfile is
# built with a program in the place of what cargo would build.
# shellcheck shell=bash
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

images=$clone/tests/environment/images

# A client of its own, with the plugin that builds.
export DOCKER_CONFIG=$state/docker-client
mkdir -p "$DOCKER_CONFIG"
ln -sfn "$("$clone/tests/environment/docker-plugins")" "$DOCKER_CONFIG/cli-plugins"

# Tests run side by side: one of them makes the images, the others wait.
exec 9>"$state/images.lock"
flock 9

made() { docker image inspect "$1" >/dev/null 2>&1; }

# build TAG ARGUMENTS...
build() {
    local tag=$1
    shift
    docker buildx build --quiet --load --network host --tag "$tag" "$@" >/dev/null ||
        die "the image $tag cannot be built"
}

# What the stand-ins are built on; kept, since apt takes a minute or two.
base() {
    local tag=portcullis-test/base:latest version archive
    version=$(sha256sum "$images/base/Dockerfile" | cut -c1-12)
    archive=$cache/stand-ins-$version.tar
    made "$tag" && return
    if [ ! -s "$archive" ]; then
        say "installing the packages of the stand-ins (once, a minute or two)"
        build "$tag" "$images/base"
        docker save --output "$archive.new" "$tag"
        mv "$archive.new" "$archive"
    else
        docker load --quiet --input "$archive" >/dev/null
    fi
}

# stand_in NAME: makes the image of a folder beside this file, and prints its tag.
stand_in() {
    local tag
    tag=portcullis-test/$1:$(cat "$images/$1"/* | sha256sum | cut -c1-12)
    base
    made "$tag" || build "$tag" "$images/$1"
    printf '%s\n' "$tag"
}

# portcullis ARCHITECTURE TARGET PROGRAM: builds the Dockerfile of the project with this program for the
# architecture, which Cargo calls TARGET, and prints what it was built from and what came out.
portcullis() {
    local architecture=$1 target=$2 program=$3 version work rust image
    version=$( (stat --format '%s %Y' "$program" && cd "$clone" &&
        cat Dockerfile .dockerignore deploy/image/* "$images"/rust/*) | sha256sum | cut -c1-12)
    rust=portcullis-test/rust-$architecture:$version
    image=portcullis-test/portcullis-$architecture:$version
    if ! made "$image"; then
        base
        work=$(mktemp -d "$state/image.XXXXXX")
        cp "$images"/rust/* "$work"
        mkdir -p "$work/programs/$target"
        "${target/-unknown-/-}-strip" --strip-debug -o "$work/programs/$target/portcullis" "$program"
        build "$rust" "$work"
        rm -rf "$work"
        build "$image" --platform "linux/$architecture" --build-arg "RUST_IMAGE=$rust" \
            --build-arg COMMIT=tests "$clone"
    fi
    printf '%s %s\n' "$rust" "$image"
}
