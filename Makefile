# Everything a developer does with Pasar. `make run` first; ARGUMENTS="…" is handed on to what a target starts.

UV_VERSION := 0.13.8
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/python -m uv
# The stamp names the folder, because a virtual environment does not work after it was moved.
STAMP := $(VENV)/.installed-$(shell pwd | cksum | cut -d' ' -f1)
# What pages use in browsers; fetched once, and again when the lock file changes.
LIBRARIES := $(VENV)/.libraries
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile
ARGUMENTS ?=

.DEFAULT_GOAL := help
.PHONY: help run test test-server check night drill promises twins fmt bench bench-flash bench-growth docs lock libraries screenshots clean

help:
	@echo 'make run    start the demo mall: database, API, worker, simulators (Ctrl-C stops all)'
	@echo 'make check  format, lint, types, import rules, fast tests'
	@echo 'make test   every test'
	@echo 'make test-server  kernel and contexts on a PostgreSQL of your own: PASAR_TEST_DATABASE_URL, or the local one'
	@echo 'make night  the checkers of docs/promises.md with their full numbers (an hour)'
	@echo 'make drill  failover, point-in-time restore, faults and soak, by docs/operations/'
	@echo 'make twins  known-bad changes of the product, each of which a test must find'
	@echo 'make promises  write docs/promises.md from the results of the checkers'
	@echo 'make fmt    put the code in order'
	@echo 'make bench  measure the speed, into docs/benchmarks/'
	@echo 'make bench-flash   a flash sale: 10,000 members, 1,000 units, with and without Redis and RabbitMQ'
	@echo 'make bench-growth  the same operations at 10³, 10⁴, 10⁵ orders (ARGUMENTS="--most 1000000")'
	@echo 'make docs   write what is made from the code: events with their released shapes, errors, context map'
	@echo 'make lock   resolve the dependencies anew into requirements.lock'
	@echo 'make libraries    fetch the browser libraries again, when set-up could not'
	@echo 'make screenshots  write docs/screenshots/ (needs Chromium)'
	@echo 'make clean  remove the virtual environment and caches; data stays in .pasar/'

run: $(LIBRARIES)
	@exec $(BIN)/python -m pasar.apps.cli run $(ARGUMENTS)

check: $(LIBRARIES)
	@echo '── format'
	@$(BIN)/ruff format --check .
	@echo '── lint'
	@$(BIN)/ruff check .
	@echo '── import rules'
	@$(BIN)/lint-imports --no-logo
	@echo '── fast tests, and types meanwhile'
	@told=$$(mktemp); $(BIN)/basedpyright > $$told 2>&1 & types=$$!; \
	$(PYTEST) -m 'not slow' $(ARGUMENTS); tests=$$?; \
	wait $$types; typed=$$?; cat $$told; rm -f $$told; exit $$((tests + typed))

test: $(LIBRARIES)
	@$(PYTEST) $(ARGUMENTS)

# One worker: a long transaction of a test anywhere in a server holds back whoever follows a log in it.
test-server: $(LIBRARIES)
	@PASAR_TEST_DATABASE_URL=$${PASAR_TEST_DATABASE_URL:-postgresql://postgres@127.0.0.1:5432/postgres} \
	$(PYTEST) -n 1 -m 'not slow' tests/kernel tests/contexts $(ARGUMENTS)

night: $(STAMP)
	@export LAB_SCALE=$${LAB_SCALE:-1}; \
	$(PYTEST) --timeout 3000 -m 'promise and not alone' $(ARGUMENTS); beside=$$?; \
	$(PYTEST) --timeout 3000 -n 0 -m 'promise and alone' $(ARGUMENTS); alone=$$?; \
	$(BIN)/python tests/twins/run.py; exit $$((beside + alone + $$?))

drill: $(STAMP)
	@exec $(BIN)/python -m pasar.apps.cli lab drill $(ARGUMENTS)

twins: $(STAMP)
	@exec $(BIN)/python tests/twins/run.py $(ARGUMENTS)

promises: $(STAMP)
	@exec $(BIN)/python -m pasar.apps.cli lab promises $(ARGUMENTS)

fmt: $(STAMP)
	@$(BIN)/ruff check --fix --unsafe-fixes --quiet . || true
	@$(BIN)/ruff format .

bench: $(STAMP)
	@exec $(BIN)/python -m benchmarks $(ARGUMENTS)

bench-flash: $(STAMP)
	@exec $(BIN)/python -m benchmarks.flash $(ARGUMENTS)

bench-growth: $(STAMP)
	@exec $(BIN)/python -m benchmarks.growth $(ARGUMENTS)

docs: $(STAMP)
	@$(BIN)/python -m pasar.apps.cli docs $(ARGUMENTS)
	@PYTHONPATH=tests $(BIN)/python tests/golden.py

lock: $(STAMP)
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--all-extras --group dev --group bench pyproject.toml --output-file requirements.lock $(ARGUMENTS)

libraries: $(STAMP)
	@rm -f $(LIBRARIES)
	@$(MAKE) --no-print-directory $(LIBRARIES)

screenshots: $(LIBRARIES)
	@PYTHONPATH=src:tests $(BIN)/python -m browser.screenshots $(ARGUMENTS)

clean:
	@rm -rf $(VENV) node_modules src/pasar/apps/pages/static/vendor build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.pasar/*' -prune -exec rm -rf {} +
	@if [ -d .pasar ]; then echo 'The data in .pasar/ is kept.'; fi

# PYTHON=… chooses an interpreter; else the first one that is new enough and whole.
$(STAMP): requirements.lock pyproject.toml
	@python=''; \
	for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3.14 python3; do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			python="$$candidate"; break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'Pasar needs Python 3.11 or newer with its venv module, and found none. Install it (Debian, Ubuntu:' >&2; \
		echo '"apt-get install python3 python3-venv"; macOS: "brew install python@3.11"), or name it: make PYTHON=/path/to/python3.11' >&2; \
		exit 1; \
	fi; \
	if [ ! -e $@ ]; then \
		echo "── virtual environment of $$("$$python" --version) in $(VENV)"; \
		"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }; \
	fi
	@echo '── packages of requirements.lock'
	@$(UV) --version 2>/dev/null | grep -q '^uv $(UV_VERSION)' \
		|| $(BIN)/python -m pip install --disable-pip-version-check 'uv==$(UV_VERSION)'
	@$(UV) pip sync --python $(BIN)/python requirements.lock
	@$(UV) pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(LIBRARIES): $(STAMP) package-lock.json
	@echo '── browser libraries of package-lock.json'
	@$(BIN)/python -m pasar.apps.pages.libraries
	@touch $@
