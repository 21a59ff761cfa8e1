# On a fresh machine with Python 3.11+: `make demo` shows the main job, `make test` passes every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Debian packages of programs that tests use; without them these tests are skipped, or fail with REQUIRE_SERVICES=1
PACKAGES := tmux rabbitmq-server openssh-server prometheus fiu-utils faketime strace lintian debhelper zsh fish man-db nginx-light \
	sqlite3 systemd socat curl $(if $(shell command -v node),,nodejs) $(if $(shell command -v npm),,npm)
# Node-RED plays an external system: 117 MB, half a minute. npm writes the second file when it has installed the first
NODE_RED := tests/peers/node-red
NODE_RED_LOCK := $(NODE_RED)/package-lock.json
NODE_RED_READY := $(NODE_RED)/node_modules/.package-lock.json
PLUGINS := plugins/connectord-http plugins/connectord-exec plugins/connectord-amqp plugins/connectord-sftp

.PHONY: demo test lint simulate mutants bench bench-scale attack forge fuzz docs clean services packages deb deb-test restarts service-report
.PHONY: bench-peers bench-peers-setup bench-quick
.PHONY: model model-bugs coverage fresh-examples
.PHONY: prove prove-kills prove-power-loss prove-nth-call prove-disk-full prove-stopped prove-resources prove-clock

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The lock names everything. Left to resolve, an old pip takes the newest of what a package asks for with an extra
# (`coverage[toml]`) beside the locked one, and stops as that has no hash
$(READY): pyproject.toml requirements.lock $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip check
	$(PIP) --no-deps --no-build-isolation -e . $(PLUGINS:%=-e %)
	touch $@

demo: $(READY)
	$(BIN)/connectord demo

test: lint
	$(BIN)/python -m pytest -q -n auto --dist worksteal

# The tests' random examples are the same in every run, so that none can fail by a draw; here they are others each time
fresh-examples: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist worksteal --hypothesis-profile fresh $(shell grep -rl hypothesis tests plugins --include='test_*.py')

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

bench: $(READY) bench-peers-setup
	$(BIN)/python benchmarks/compare.py --parts

# A million actions pending and a million waiting, and a day with retention: 2 GB, kept in build/scale, and some minutes
bench-scale: $(READY)
	$(BIN)/python benchmarks/scale.py --store build/scale --directory build/scale
	$(BIN)/python benchmarks/retention_day.py --actions 500000 --directory build/scale

# connectord and its peers on the peers' own work; nginx, redis-server, rabbitmq-server and postgresql have to be there.
# make bench runs the loop and its parts first, and writes docs/benchmarks.md, in 12 minutes; bench-quick in two
bench-peers: $(READY) bench-peers-setup
	$(BIN)/python benchmarks/compare.py

bench-quick: $(READY) bench-peers-setup
	$(BIN)/python benchmarks/compare.py --quick

bench-peers-setup: .venv-peers/main/.ready .venv-peers/arq/.ready

.venv-peers/%/.ready: benchmarks/peers/requirements-%.txt
	$(PYTHON) -m venv .venv-peers/$*
	.venv-peers/$*/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r $<
	touch $@

# The proofs of docs/guarantees.md with real processes, at full length; `make test` runs each of them in short
PROVE := $(BIN)/python -m pytest -q -s
prove: prove-kills prove-power-loss prove-nth-call prove-disk-full prove-stopped prove-resources prove-clock

prove-kills: $(READY)
	PROVE_KILLS=500 $(PROVE) tests/faults/test_kills.py

prove-power-loss: $(READY)
	PROVE_STATES=10000 PROVE_ACTIONS=60 $(PROVE) tests/faults/test_power_loss.py

prove-nth-call: $(READY)
	PROVE_NTH_CALL=1 $(PROVE) tests/faults/test_nth_call.py

prove-disk-full: $(READY)
	PROVE_ROUNDS=5 $(PROVE) tests/faults/test_disk_full.py

prove-stopped: $(READY)
	PROVE_STOPPED_SECONDS=60 $(PROVE) tests/faults/test_stopped.py

prove-resources: $(READY)
	PROVE_MEMORY=1 $(PROVE) tests/faults/test_resources.py

prove-clock: $(READY)
	PROVE_CLOCK=1 $(PROVE) tests/faults/test_clock_jumps.py

# the daemon beside a second model of its rules; `make test` runs 25 examples. model-bugs plants 15 bugs, one at a time,
# in a copy of the lifecycle, and wants each caught within 150 examples; MODEL_EXAMPLES is another number of them
model: $(READY)
	MODEL_EXAMPLES=1000 $(PROVE) tests/model

model-bugs: $(READY)
	cd tests && ../$(BIN)/python -m model.planted

# which lines and branches all tests take, those in processes that tests start included; fails below its figures
CORE := daemon/connectord/lifecycle/*,daemon/connectord/ledger/*,daemon/connectord/store/*
coverage: $(READY)
	$(BIN)/python -m pytest -q -n auto --dist worksteal --cov --cov-report=
	@echo "lifecycle, ledger and store: every line and branch is taken"
	$(BIN)/python -m coverage report -m --skip-covered --fail-under=100 --include='$(CORE)'
	@echo "the whole daemon, what comes with it for tests and the simulation included: 95 % of lines and branches"
	$(BIN)/python -m coverage report -m --skip-covered --fail-under=95

# a Debian package in dist/, on the Python of this machine's Debian; fetches nothing beyond the lock file
deb: $(READY)
	$(BIN)/python packaging/build_deb.py

# its whole life in a fresh Debian under systemd; needs root, debootstrap and systemd-container, and Debian's mirror
deb-test: deb
	$(BIN)/python packaging/deb_test.py $$(ls -t dist/connectord_*.deb | head -n 1)

# a hundred restarts under 200 callbacks a second
restarts: $(READY)
	cd tests && ../$(BIN)/python -m helpers.restarting

service-report: $(READY)
	$(BIN)/python packaging/service_report.py

# how long a valid callback takes under attack; fails beyond the bounds that docs/guarantees.md names
attack: $(READY)
	$(BIN)/python benchmarks/under_attack.py

# each target for SECONDS, led by coverage; what it finds is left in build/fuzz
SECONDS ?= 60
fuzz: $(READY)
	for target in request body line toml; do \
		PYTHONPATH=tests $(BIN)/python -m fuzz.fuzz $$target --seconds $(SECONDS) --keep build/fuzz/$$target || exit 1; done

# forged tokens and signatures; none may be accepted
forge: $(READY)
	PYTHONPATH=tests $(BIN)/python -m attack.forge

# the documentation as a site, in site/; open site/index.html. Any warning, such as a dead link, is an error
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

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
	rm -rf $(VENV) .venv-peers .mypy_cache .pytest_cache .ruff_cache .hypothesis $(NODE_RED)/node_modules
