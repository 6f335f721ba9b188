# The image of Portcullis: one program, and of a system only what it needs to run.
#
#   docker build --tag portcullis .
#
# It builds for the platform of the engine, amd64 or arm64; `docker buildx build --platform
# linux/amd64,linux/arm64` builds for both. Nothing in it needs BuildKit. RUST_IMAGE is any Debian with
# Rust and a C compiler, for who gets images from elsewhere.
ARG RUST_IMAGE=rust:1.95-bookworm

# Only what says which dependencies there are. The next stage copies it by content, so it builds them
# again when they change, and not when a source file does.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /source
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
    && find . -type d -empty -delete \
    # Cargo wants to see the files that it is told of, and at least one in each package.
    && for manifest in $(find . -name Cargo.toml); do \
        package=$(dirname "$manifest"); \
        for file in src/lib.rs $(sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest"); do \
            mkdir -p "$(dirname "$package/$file")" && echo 'fn main() {}' > "$package/$file"; \
        done; \
    done \
    && rm src/lib.rs && echo 'fn main() {}' > src/main.rs

FROM ${RUST_IMAGE} AS build
WORKDIR /source
COPY --from=manifests /source .
RUN cargo build --release --locked --bin portcullis
COPY . .
# What `portcullis --version` says of the source.
ARG COMMIT="unknown commit"
# Cargo goes by time stamps, and the placeholders are younger than the sources.
RUN find . -name '*.rs' -exec touch {} + \
    && PORTCULLIS_COMMIT="${COMMIT}" cargo build --release --locked --bin portcullis
# The program with the libraries that it names, authorities for TLS, and a user.
RUN mkdir -p /image/usr/bin /image/etc/ssl/certs /image/etc/docker/registry \
        /image/var/lib/registry /image/var/lib/portcullis /image/tmp \
    && cp target/release/portcullis /image/usr/bin/ \
    && ln -s portcullis /image/usr/bin/registry \
    && for library in $(ldd target/release/portcullis | grep -o '/[^ ]*'); do \
        mkdir -p "/image$(dirname "$library")" && cp -L "$library" "/image$library"; \
    done \
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
    PORTCULLIS_DATA_DIR=/var/lib/portcullis
VOLUME /var/lib/registry
EXPOSE 5000 5001
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD ["portcullis", "healthcheck"]
# As `registry:2` has it: without a command it serves what that file describes.
ENTRYPOINT ["portcullis"]
CMD ["/etc/docker/registry/config.yml"]
