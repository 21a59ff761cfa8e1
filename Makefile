# On a fresh machine with Python 3.11+: `make demo` shows the main job, `make test` passes every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Debian packages of programs that tests use; without them these tests are skipped, or fail with REQUIRE_SERVICES=1
PACKAGES := tmux rabbitmq-server openssh-server prometheus fiu-utils faketime strace lintian debhelper zsh fish man-db nginx-light \
	sqlite3 systemd $(if $(shell command -v node),,nodejs) $(if $(shell command -v npm),,npm)
# Node-RED plays an external system: 117 MB, half a minute. npm writes the second file when it has installed the first
NODE_RED := tests/peers/node-red
NODE_RED_LOCK := $(NODE_RED)/package-lock.json
NODE_RED_READY := $(NODE_RED)/node_modules/.package-lock.json
PLUGINS := plugins/connectord-http plugins/connectord-exec plugins/connectord-amqp plugins/connectord-sftp

.PHONY: demo test lint simulate mutants bench docs clean services packages

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(READY): pyproject.toml requirements.lock $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e . $(PLUGINS:%=-e %)
	touch $@

demo: $(READY)
	$(BIN)/connectord demo

test: lint
	$(BIN)/python -m pytest -q -n auto --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

# SEEDS runs from FIRST on, on all cores; `connectord-simulate SEED --trace` tells what happens in one
SEEDS ?= 1000
FIRST ?= 0
simulate: $(READY)
	$(BIN)/connectord-simulate --seeds $(SEEDS) --first $(FIRST)

# Bugs that are planted into the daemon: which seed catches each
mutants: $(READY)
	PYTHONPATH=tests $(BIN)/python -m simulation.mutation

bench: $(READY)
	$(BIN)/python benchmarks/full_loop.py
	$(BIN)/python benchmarks/http_out.py --seconds 0.5 --rounds 3 --in-flight 64 256 --protocols http

services: packages $(NODE_RED_READY)

packages:
	@missing=; for package in $(PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	test -n "$$missing" || { echo "no package is missing"; exit 0; }; \
	command -v apt-get >/dev/null || { echo "without apt-get: install by hand$$missing"; exit 1; }; \
	test "$$(id -u)" = 0 || sudo=sudo; \
	$$sudo apt-get update && $$sudo apt-get install --yes --no-install-recommends $$missing

$(NODE_RED_READY): $(NODE_RED_LOCK) | packages
	cd $(NODE_RED) && npm ci

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis $(NODE_RED)/node_modules
