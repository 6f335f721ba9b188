# The image of Portcullis: one program, and of a system only what it needs to run.
#
#   docker build --tag portcullis .
#
# It builds for amd64 and for arm64, and on both: `--platform linux/arm64`, or with a builder of `docker
# buildx` that can do several at once, `--platform linux/amd64,linux/arm64`. All is compiled on the builder's
# own platform, nothing is emulated. That takes BuildKit, which `docker compose` builds with, and `docker build`
# since version 23 (before, with DOCKER_BUILDKIT=1). RUST_IMAGE is any Debian with Rust and a C compiler, for
# who gets images from elsewhere; with rustup, to build for the other platform.
ARG RUST_IMAGE=rust:1.95-bookworm

# Only what says which dependencies there are. The build copies it by content, so it builds them again when
# they change, and not when a source file does.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS manifests
WORKDIR /source
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -name build.rs ! -path './.cargo/*' -delete \
    && find . -type d -empty -delete \
    # Cargo wants to see the files that it is told of, and at least one in each package.
    && for manifest in $(find . -name Cargo.toml); do \
        package=$(dirname "$manifest"); \
        for file in src/lib.rs $(sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest"); do \
            mkdir -p "$(dirname "$package/$file")" && echo 'fn main() {}' > "$package/$file"; \
        done; \
    done \
    && for script in $(find . -name build.rs); do echo 'fn main() {}' > "$script"; done \
    && rm src/lib.rs && echo 'fn main() {}' > src/main.rs

# What each platform is called by Cargo, and by Debian's compilers and folders.
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS for-amd64
ENV SYSTEM=x86_64-linux-gnu CARGO_BUILD_TARGET=x86_64-unknown-linux-gnu \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc

FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS for-arm64
ENV SYSTEM=aarch64-linux-gnu CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc

FROM for-${TARGETARCH} AS build
ARG TARGETARCH
# For another platform than the builder's: a compiler, the system's libraries, and Rust's.
RUN [ "$TARGETARCH" = "$(dpkg --print-architecture)" ] || { \
        dpkg --add-architecture "$TARGETARCH" \
        && apt-get update \
        && apt-get install --yes --no-install-recommends "gcc-$(echo "$SYSTEM" | tr _ -)" \
            "libc6-dev-$TARGETARCH-cross" "libc6:$TARGETARCH" "libgcc-s1:$TARGETARCH" \
        && rustup target add "$CARGO_BUILD_TARGET"; \
    }
WORKDIR /source
COPY --from=manifests /source .
RUN cargo build --release --locked --bin portcullis
COPY . .
# What `portcullis --version` says of the source.
ARG COMMIT="unknown commit"
# Cargo goes by time stamps, and the placeholders are younger than the sources. What dependencies have generated
# stays as it is, or they would be compiled again.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && PORTCULLIS_COMMIT="${COMMIT}" cargo build --release --locked --bin portcullis
# The program with the libraries and the loader that it names, authorities for TLS, and a user.
RUN program="target/$CARGO_BUILD_TARGET/release/portcullis" \
    && mkdir -p /image/usr/bin "/image/lib/$SYSTEM" /image/etc/ssl/certs /image/etc/docker/registry \
        /image/var/lib/registry /image/var/lib/portcullis /image/tmp \
    && cp "$program" /image/usr/bin/ \
    && ln -s portcullis /image/usr/bin/registry \
    && loader=$(readelf --program-headers "$program" | sed -n 's/.*interpreter: \(.*\)\]$/\1/p') \
    && libraries=$(readelf --dynamic "$program" | sed -n 's/.*Shared library: \[\(.*\)\]$/\1/p') \
    && for library in $libraries "$(basename "$loader")"; do \
        cp -L "/lib/$SYSTEM/$library" "/image/lib/$SYSTEM/" || exit; \
    done \
    && mkdir -p "/image$(dirname "$loader")" \
    && ln -s "/lib/$SYSTEM/$(basename "$loader")" "/image$loader" \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'portcullis:x:65532:65532::/var/lib/portcullis:/none' > /image/etc/passwd \
    && echo 'portcullis:x:65532:' > /image/etc/group \
    && cp deploy/image/config.yml /image/etc/docker/registry/config.yml \
    && chown 65532:65532 /image/var/lib/registry /image/var/lib/portcullis \
    && chmod 1777 /image/tmp

FROM scratch
COPY --from=build /image /
# By number, so that Kubernetes sees that it is not root.
USER 65532:65532
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PORTCULLIS_DATA_DIR=/var/lib/portcullis \
    # `portcullis doctor` is told that names and networks are not those of the machine.
    PORTCULLIS_IN_CONTAINER=true
VOLUME /var/lib/registry
EXPOSE 5000 5001
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["portcullis", "healthcheck"]
# As `registry:2` has it: without a command it serves what that file describes.
ENTRYPOINT ["portcullis"]
CMD ["/etc/docker/registry/config.yml"]
