# The commands of a working day. Everything they need they install, on a Debian with Rust.

CARGO ?= cargo
# What tests and the demo use besides Rust: clients we did not write, and real HTTP servers.
TOOLS = dig:bind9-dnsutils kdig:knot-dnsutils drill:ldnsutils haproxy:haproxy nginx:nginx-light promtool:prometheus

.PHONY: help build test demo lint simulate mutants deny bench bench-probes docker tools

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

build: ## the release binary: target/release/meridian
	$(CARGO) build --release

demo: ## stand-in regions on loopback, the real server and a live view; needs no network and no root
	$(CARGO) build --release --quiet
	./target/release/meridian demo

test: tools lint ## every test
	$(CARGO) test --all-targets

lint: ## formatting and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- -D warnings

simulate: ## 100,000 drawn worlds in virtual time; see tests/simulation/README.md
	SIM_SEEDS=$${SIM_SEEDS:-100000} $(CARGO) test --release --test simulation worlds -- --nocapture

mutants: ## plants every bug of tests/simulation/mutations and shows who catches it
	$(CARGO) test --test simulation every_planted_bug -- --ignored --nocapture

deny: ## licences, bans, duplicates and sources of all dependencies
	sh scripts/deny.sh

bench: ## instruction counts and the head-to-head against gdnsd; see docs/performance.md
	bash benches/run.sh

bench-probes: ## what probing 10,000 endpoints costs; see docs/performance.md
	$(CARGO) bench --bench probes

docker: ## the server's image from scratch, tested
	sh scripts/docker.sh

tools: ## installs what tests need and this machine lacks
	@sh scripts/tools.sh $(TOOLS)
