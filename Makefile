# Everything one does with this repository. `make` prints the targets.
# Needs Python 3.11+ and make; fetches uv by pip where it is not installed, and uv fetches the rest.

UV := $(shell command -v uv 2>/dev/null || echo .evergreen/uv/bin/uv)
RUN := $(UV) run --frozen
FAST := .evergreen/fast
BENCH := UV=$(UV) BENCH_WORKER_PYTHON=$(FAST)/env/bin/python $(RUN) --group bench python -m bench
PYTHON ?= python3
# Tests that need no Kafka run beside those that mostly wait for one; faults come last, when these are through.
APART := tests/compiled tests/fuzz tests/laws tests/scenarios tests/simulation
FOLDERS := $(sort $(patsubst %/,%,$(dir $(wildcard tests/*/test_*.py))))

.DEFAULT_GOAL := help
.PHONY: help setup demo check format test faults fast bench scale simulate mutants fuzz

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(UV) ## install what the project needs into .venv
	@$(UV) sync --frozen --quiet

.evergreen/uv/bin/uv:
	@echo "fetching uv ..." >&2
	@$(PYTHON) -m venv .evergreen/uv && .evergreen/uv/bin/pip install --quiet uv

demo: setup ## bill 200 simulated customers over three months, and check every cent
	@$(RUN) evergreen demo

check: setup ## format, lint, types, imports, unit tests: seconds; run it before a commit
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports --no-logo
	@$(RUN) pytest -q tests/unit

format: setup ## format the code and sort its imports
	@$(RUN) ruff check --fix-only --quiet . && $(RUN) ruff format .

test: check ## everything, on a real Kafka: a quarter of an hour; this is CI
	@mkdir -p .evergreen; $(RUN) pytest $(APART) > .evergreen/apart.log 2>&1 & apart=$$!; \
	$(RUN) pytest --faults-asked short $(filter-out $(APART) tests/unit tests/faults, $(FOLDERS)) tests/faults; kafka=$$?; \
	wait $$apart; apart=$$?; cat .evergreen/apart.log; exit $$((kafka | apart))

fast: $(FAST)/built ## build the worker's hot path into machine code, in .evergreen/fast (needs a C compiler)

$(FAST)/built: pyproject.toml uv.lock $(wildcard schemas/*.* streams/*.py streams/*/*.py cli/*.py) | $(UV)
	@echo "compiling the hot path: about a minute ..." >&2
	@rm -rf $(FAST)/wheel
	@HATCH_BUILD_HOOK_ENABLE_MYPYC=1 $(UV) build --quiet --out-dir $(FAST)/wheel
	@UV_PROJECT_ENVIRONMENT=$(FAST)/env $(UV) sync --frozen --quiet --no-dev --no-install-project --extra speed
	@$(UV) pip install --quiet --python $(FAST)/env/bin/python --no-deps $(FAST)/wheel/*.whl
	@touch $@

bench: setup fast ## beside Kafka Streams, Quix, stock Faust, raw loops: under 15 minutes (FULL=1: larger too)
	@$(BENCH) --page $(OPTIONS)
ifdef FULL
	@$(BENCH) --page --only all --events 2000000 $(OPTIONS)
	@$(BENCH) --page --only all --skew zipf $(OPTIONS)
endif

scale: setup fast ## the worker with many accounts, lanes, workers; restores, a close, latency, a soak: hours
	@$(BENCH).scale --page $(OPTIONS)

faults: setup ## kill, freeze and rescale workers and payments under load, and check every cent
	@$(RUN) pytest -m "" --faults-asked long tests/faults tests/lanes/test_exactly_once.py \
		tests/pipeline/test_payments.py tests/pipeline/test_payments_crashes.py tests/pipeline/test_replay.py tests/pipeline/test_upgrade.py

simulate: setup ## play SEEDS=2000 histories without a broker, each hurt at random; SEED=7 tells one
	@$(RUN) python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),2000))

mutants: setup ## plant bugs into the engine and the rules, and see each caught by a simulated history
	@$(RUN) python -m tests.simulation --mutants

fuzz: setup ## send RECORDS=1000000 mutated records through a lane, each outcome judged by a second decoder
	@$(RUN) python -m tests.fuzz --records $(or $(RECORDS),1000000) $(if $(SEED),--seed $(SEED))
