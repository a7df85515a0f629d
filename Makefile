# The commands of a working day. Everything they need they install, on a Debian with Rust.

CARGO ?= cargo
# What tests and the demo use besides Rust: clients we did not write, and real HTTP servers.
TOOLS = dig:bind9-dnsutils kdig:knot-dnsutils drill:ldnsutils delv:bind9-dnsutils dnssec-keygen:bind9-utils haproxy:haproxy knotd:knot nginx:nginx-light nsd:nsd promtool:prometheus

# What the conformance runs use besides: peers on the same zones, and the field's testers. dnsviz brings dnspython.
TOOLS_CONFORMANCE = knotd:knot nsd:nsd dnsviz:dnsviz zonemaster-cli:zonemaster-cli ldns-verify-zone:ldnsutils \
	delv:bind9-dnsutils unbound:unbound unshare:util-linux ip:iproute2 \
	/usr/lib/python3/dist-packages/pygraphviz:python3-pygraphviz
# Debian's, because its dnspython is.
PYTHON ?= /usr/bin/python3

.PHONY: help build test instructions instructions-accept demo lint simulate mutants conformance fuzz deny bench profile bench-probes docker tools tools-conformance

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## the release binary: target/release/meridian
	$(CARGO) build --release

demo: ## stand-in regions on loopback, the real server and a live view; needs no network and no root
	$(CARGO) build --release --quiet
	./target/release/meridian demo

test: tools lint ## every test
	$(CARGO) test --all-targets

instructions: ## instructions per query against benches/instructions.toml; fails at 5 % more
	@sh scripts/tools.sh valgrind:valgrind
	CARGO_INCREMENTAL=0 $(CARGO) bench --quiet --profile dev --config benches/counted.toml --bench load -- gate

instructions-accept: ## the same, writing the figures counted into benches/instructions.toml
	@sh scripts/tools.sh valgrind:valgrind
	CARGO_INCREMENTAL=0 $(CARGO) bench --quiet --profile dev --config benches/counted.toml --bench load -- gate --accept

lint: ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings

simulate: ## 100,000 drawn worlds in virtual time; see tests/simulation/README.md
	SIM_SEEDS=$${SIM_SEEDS:-100000} $(CARGO) test --release --test simulation worlds -- --nocapture

mutants: ## plants every bug of tests/simulation/mutations and shows who catches it
	$(CARGO) test --test simulation every_planted_bug -- --ignored --nocapture

conformance: tools tools-conformance ## 100,000 questions also to Knot and NSD, and public testers; see tests/conformance/README.md
	$(CARGO) build --quiet
	$(PYTHON) tests/conformance/differential.py
	$(PYTHON) tests/conformance/public.py
	$(PYTHON) tests/conformance/validate.py --nodes 6

fuzz: ## every fuzz target for FUZZ_SECONDS each (1800); see docs/decisions/0014-fuzzing.md
	sh scripts/fuzz.sh

deny: ## licences, bans, duplicates and sources of all dependencies
	sh scripts/deny.sh

bench: ## the head-to-head against gdnsd, Knot, NSD and PowerDNS; see docs/performance.md
	bash benches/run.sh

profile: ## a flame graph of the server under load and its ten costliest functions; see docs/performance.md
	bash benches/profile.sh

bench-probes: ## what probing 10,000 endpoints costs; see docs/performance.md
	$(CARGO) bench --bench probes

docker: ## the server's image from scratch, tested
	sh scripts/docker.sh

tools: ## installs what tests need and this machine lacks
	@sh scripts/tools.sh $(TOOLS)

tools-conformance: ## installs what the conformance runs need and this machine lacks
	@sh scripts/tools.sh $(TOOLS_CONFORMANCE)
