# On a fresh machine with Python 3.11+: `make demo` shows the main job, `make test` passes every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Debian packages of programs that tests use; without them these tests are skipped, or fail with REQUIRE_SERVICES=1
PACKAGES := tmux
PLUGINS := plugins/connectord-http plugins/connectord-exec

.PHONY: demo test lint bench docs clean services

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(READY): pyproject.toml requirements.lock $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation -e . $(PLUGINS:%=-e %)
	touch $@

demo: $(READY)
	$(BIN)/connectord demo

test: lint
	$(BIN)/python -m pytest -q

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/full_loop.py
	$(BIN)/python benchmarks/http_out.py --seconds 0.5 --rounds 3 --in-flight 64 256 --protocols http

services:
	@missing=; for package in $(PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	test -n "$$missing" || { echo "everything is there: $(PACKAGES)"; exit 0; }; \
	command -v apt-get >/dev/null || { echo "without apt-get: install by hand$$missing"; exit 1; }; \
	test "$$(id -u)" = 0 || sudo=sudo; \
	$$sudo apt-get update && $$sudo apt-get install --yes --no-install-recommends $$missing

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
