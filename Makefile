# Everything a developer types. `make help` lists it; each target first makes .venv what it must be.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast coverage test-engines faults lint bench soak format docs bootstrap test-tools

# Imports take twice as long without bytecode, and start-up time is a promise that is tested.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest
# A file's tests stay together: its engine, database or browser is started once.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r target text; do printf '%-16s %s\n' "$$target" "$$text"; done

demo: bootstrap  ## seal, unlock and verify a made-up release, here and now
	$(PYTHON) -m scripts.demo

test: bootstrap test-tools  ## all tests, real engines included
	$(PYTEST) $(SIDE_BY_SIDE) -m "not soak and not newer_engine"

test-fast: bootstrap  ## the tests that need no engine and take milliseconds
	$(PYTEST) $(SIDE_BY_SIDE) -m "not engine and not newer_engine and not slow and not soak"

test-engines: bootstrap test-tools  ## the tests on a newer Docker Engine, with both of its image stores
	$(PYTEST) -m "newer_engine and not soak"

faults: bootstrap test-tools  ## the tests of docs/faults.md, and that page with what became of them
	$(PYTEST) $(SIDE_BY_SIDE) -m "fault and not soak and not newer_engine" \
	  --fault-outcomes tests/faults/outcomes.json; status=$$?; $(PYTHON) -m scripts.faults && exit $$status

soak: bootstrap test-tools  ## the long tests: many kills, many rounds; ends by itself, within 30 minutes
	timeout --foreground --signal=INT 30m $(PYTEST) -m "soak and not newer_engine"

bench: bootstrap test-tools  ## measure what is promised, against openssl, age, pyrage and `docker load`, and write its page
	$(PYTHON) -m scripts.bench
	$(PYTHON) -m scripts.bench.page

coverage: bootstrap test-tools  ## all tests again, with the branches that none of them takes
	$(PYTEST) $(SIDE_BY_SIDE) -m "not soak and not newer_engine" --cov --cov-report=term --cov-report=html:build/coverage

lint: bootstrap  ## style, types, layers, generated pages
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	.venv/bin/lint-imports --no-logo
	$(PYTHON) -m scripts.exit_codes --check
	$(PYTHON) -m scripts.faults --check
	$(PYTHON) -m scripts.openapi --check
	$(PYTHON) -m scripts.reference --check

format: bootstrap  ## put the code in its form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs: bootstrap  ## write the generated pages again
	$(PYTHON) -m scripts.exit_codes
	$(PYTHON) -m scripts.faults
	$(PYTHON) -m scripts.openapi
	$(PYTHON) -m scripts.reference

bootstrap:
	@scripts/bootstrap

test-tools:
	@scripts/install-test-tools
