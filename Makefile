# Everything a person does here. `make` alone lists it.

export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
environment := tests/environment

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and serve everything on http://localhost:5000 (needs Rust and a C compiler, nothing else)
	cargo run --release --bin portcullis -- up

.PHONY: build
build: ## Build the optimised binary
	cargo build --release --bin portcullis

.PHONY: test
test: ## Run every test with real databases and clients; sets up what it needs (Debian 12, root)
	@$(environment)/cargo-tools cargo-nextest
	$(environment)/with $(MAKE) --no-print-directory test-here

# With the environment up: `tests/environment/start` brings it up until `tests/environment/stop`.
.PHONY: test-here
test-here:
	cargo build --bin portcullis
	cargo test --workspace --doc
	tests=$$($(environment)/arm64-program) && cargo nextest run --workspace $$tests

.PHONY: test-unit
test-unit: ## Run the tests of the crates alone: seconds, no real clients (needs PORTCULLIS_TEST_POSTGRES)
	@$(environment)/cargo-tools cargo-nextest
	cargo nextest run --workspace --exclude acceptance --exclude soak

.PHONY: lint
lint: ## Check format, lints, dependencies, spelling and scripts
	@$(environment)/packages
	@$(environment)/cargo-tools cargo-deny typos-cli
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo deny --log-level error check bans licenses sources
	typos
	shellcheck .ci/run compose/*.sh $$(find $(environment) -type f ! -name '*Dockerfile' ! -name '*.conf')
	$(environment)/check-tree

.PHONY: advisories
advisories: ## Look for known vulnerabilities in dependencies (fetches the RustSec database)
	@$(environment)/cargo-tools cargo-deny
	cargo deny check advisories

.PHONY: bench
bench: build ## Measure beside nginx and distribution 2.8 on the same cores (options in BENCH)
	@$(environment)/packages
	cargo run --release --package bench -- $(BENCH)

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes, FUZZ_SECONDS each (60)
	@$(environment)/cargo-tools cargo-fuzz
	@export RUSTC_BOOTSTRAP=1; for target in $$(cargo fuzz list); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run $$target fuzz/corpus/$$target $$(ls -d fuzz/seeds/$$target 2>/dev/null) \
			-- -max_total_time=$(or $(FUZZ_SECONDS),60) || exit 1; \
	done

.PHONY: soak
soak: build ## Use the servers on the worst of days, for SOAK_SECONDS (300); SOAK_SEED replays (options in SOAK)
	@$(environment)/with cargo run --release --package soak -- $(SOAK)

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: clean
clean: ## Remove what was built, and what tests left running
	$(environment)/stop
	cargo clean
