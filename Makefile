# What people and the gate run. Every target works on a fresh machine with Rust, a C compiler and Debian's packages.

CARGO ?= cargo
POSTHOUSE := target/release/posthouse
DENY_VERSION := 0.20.2
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)

.PHONY: run test check bench interop interop-full fuzz crash release deny

## Build, start the sandbox in ./posthouse-data, print where to look. Ctrl-C stops it.
run:
	$(CARGO) run --release --package posthouse -- serve

## All tests of the workspace.
test:
ifdef NEXTEST
	$(CARGO) nextest run --workspace --no-fail-fast
else
	$(CARGO) test --workspace --no-fail-fast
endif

## Format, layers, lints, licences and sources.
check: deny
	$(CARGO) fmt --all --check
	$(CARGO) xtask layers
	$(CARGO) clippy --workspace --all-targets -- --deny warnings
	$(CARGO) deny --offline check --hide-inclusion-graph bans licenses sources

deny:
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --profile dev

release:
	$(CARGO) build --release --package posthouse

## Real programs as peers, on loopback.
interop: release
	interop/run

interop-full: release
	interop/run --full

## Posthouse and Postfix side by side.
bench: release
	bench/run

## Each fuzz target for SECONDS.
SECONDS_EACH ?= 600
fuzz:
	fuzz/run $(SECONDS_EACH)

## A hundred rounds of kill -9, power cuts, failing calls, damage and the model; the long walks.
crash:
	POSTHOUSE_ROUNDS=100 POSTHOUSE_STEPS=1000000 $(CARGO) test --workspace -- crash walk kill model g1_ g2_ g3_ g4_
