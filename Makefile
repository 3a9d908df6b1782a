# Everything a developer does. `make` alone lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The distribution's Python comes first: it is compiled along a profile of itself, which one that was built by hand often is
# not, and that makes a worker dearer by a seventh.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break; \
	done; echo $$python)
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/.ready
TESTS ?= tests
# Handed to the tests and to `crm`: auto (Docker when a daemon answers), docker or local.
export ENGINES ?= auto

.PHONY: help setup check format test mutants fuzz bench chaos first-minute test-compose contract pictures secrets demo lock clean

help:  ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Build .venv with the pinned packages (others do it by themselves)

$(READY): requirements-dev.lock pyproject.toml
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
		[ "$$(id -u)" = 0 ] || { echo 'install python3-venv first' >&2; exit 1; }; \
		dpkg --configure -a && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv; \
	fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	[ "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = $(UV_VERSION) ] || $(BIN)/python -m pip install -q uv==$(UV_VERSION)
	VIRTUAL_ENV=.venv $(BIN)/uv pip sync -q --require-hashes requirements-dev.lock
	VIRTUAL_ENV=.venv $(BIN)/uv pip install -q --no-deps --editable .
	@touch $@

check: $(READY)  ## Format, lint, types, import rules, migrations, dependencies, the contract of the topics
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/squawk sql/*/*.sql
	$(BIN)/deptry .
	$(BIN)/crm contract --check

format: $(READY)  ## Format the code and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(READY)  ## Run the tests (TESTS=tests/visit for some, ENGINES=docker|local to choose the servers)
	$(BIN)/crm engines
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo 'installing Chromium, in which pages are tested (once)'; \
		dpkg --configure -a && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

mutants: $(READY)  ## Break the pure rules one by one and see that a test notices each time (ONLY=word: those of a file or text, 4 minutes else)
	$(BIN)/python -m tests.mutants $(ONLY)

bench: $(READY)  ## Measure how fast it is, as ratios in one run (QUICK=1: the main path and the jobs of many cafes in 4 minutes, WRITE=1: keep the results)
	$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(WRITE),--write) $(BENCH)

chaos: $(READY)  ## Break everything that can break and prove the books (QUICK=1: some 10 minutes, SEED=n: the same again)
	$(BIN)/python -m tests.chaos $(if $(QUICK),--quick) $(if $(SEED),--seed $(SEED)) $(CHAOS)

first-minute: $(READY)  ## Play newcomers: both commands of the README from fresh clones, in odd folders, killed and repeated
	$(BIN)/python -m tests.engines.first_minute $(SEED)

test-compose: $(READY)  ## Start the composed system with Docker, post a visit to it, restart it
	$(BIN)/python -m pytest -m docker tests/deploy/test_compose.py

pictures: $(READY)  ## Take the README's pictures of the console anew
	$(BIN)/python -m tests.e2e.pictures

contract: $(READY)  ## Write the AsyncAPI document of all topics anew, and let AsyncAPI's own parser read it (needs Node.js)
	$(BIN)/crm contract
	npm ci --silent --prefix tests/contract/parser
	node tests/contract/parser/check.mjs docs/contract/asyncapi.json

secrets:  ## Write .env with fresh secrets for docker compose, once
	deploy/compose/secrets.sh

fuzz: $(READY)  ## Ask each API what its document allows and forbids, 100 requests an operation (EXAMPLES=n: so many)
	FUZZ=$(or $(EXAMPLES),100) $(BIN)/python -m pytest tests/e2e/test_fuzz.py

demo: $(READY)  ## Start everything, replay real visits, show them live (VISITS=5000 or all, EXIT=1 to end by itself)
	$(BIN)/crm demo $(if $(VISITS),--visits $(VISITS)) $(if $(EXIT),--exit)

lock: $(READY)  ## Pin the packages that pyproject.toml asks for
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml --group dev --group demo -o requirements-dev.lock

clean:  ## Stop what runs here, and remove .venv, caches and all local data
	[ ! -x $(BIN)/crm ] || $(BIN)/crm down --wipe
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
