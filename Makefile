# The commands of this project. `make` alone lists them.

CARGO ?= cargo

.PHONY: help demo web package test torture fuzz mutants bench test-compose test-package test-versions setup clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Start three companies, a broker and cars, and watch trips being booked (arguments: ARGS="--for 60s")
	@scripts/web --if-possible
	$(CARGO) run --release --quiet -p recarga -- demo --open $(ARGS)

web: ## Build the page in the browser, which is built into the program (needs Node.js 20.19)
	scripts/web

package: ## A Debian package with the service, in target/package
	scripts/package

test: ## Check everything, installing what that needs (ARGS=--release: with the program as it ships, which takes longer)
	scripts/test $(ARGS)

torture: ## Hours of faults: simulations of millions of seeds, 1,000 faults for real processes (ARGS="--faults 200")
	scripts/torture $(ARGS)

fuzz: ## Mutated input for everything that reads bytes from outside, guided by coverage (SECONDS=600 TARGET=hold-request)
	scripts/fuzz $(or $(SECONDS),60) $(TARGET)

mutants: ## Break the rules in every place and see that a test fails (an hour; ARGS="--file crates/reservation/src/hold.rs")
	scripts/mutants $(ARGS)

bench: ## Recarga beside PostgreSQL, FastAPI and the disk alone, into docs/performance.md (ARGS=--quick: two minutes)
	bench/run.sh --document docs/performance.md $(ARGS)

test-compose: ## Bring up the containers, book trips, stop a company, audit (needs root; uses podman)
	tests/compose/run.sh

test-package: ## Install the Debian package on a fresh Debian with systemd, in a container, and see it work (needs root)
	tests/package/run.sh

test-versions: ## The program of the last release beside this one in one federation (builds both; ARGS="-k rolling")
	$(CARGO) build --locked --quiet -p recarga
	RECARGA_BIN=$(CURDIR)/target/debug/recarga tests/versions/run.sh $(ARGS)

setup: ## Install what the tests need (Debian)
	scripts/setup

clean: ## Remove what was built
	$(CARGO) clean
