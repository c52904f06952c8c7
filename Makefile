# Everything a developer types. `make help` lists it; each target first makes .venv what it must be.
.DEFAULT_GOAL := help
.PHONY: help demo test test-fast coverage test-engines faults lint bench soak format docs bootstrap test-tools dist deb test-packages audit mutants

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
	$(PYTEST) $(SIDE_BY_SIDE) -m "not soak and not newer_engine and not packages"

test-fast: bootstrap  ## the tests that need no engine and take milliseconds
	$(PYTEST) $(SIDE_BY_SIDE) -m "not engine and not newer_engine and not slow and not soak and not packages"

test-engines: bootstrap test-tools  ## the tests on a newer Docker Engine, with both of its image stores
	$(PYTEST) -m "newer_engine and not soak"

test-packages: bootstrap test-tools  ## build, install, use and purge the Debian packages and the containers
	$(PYTEST) -m packages

faults: bootstrap test-tools  ## the tests of docs/faults.md, and that page with what became of them
	$(PYTEST) $(SIDE_BY_SIDE) -m "fault and not soak and not newer_engine and not packages" \
	  --fault-outcomes tests/faults/outcomes.json; status=$$?; $(PYTHON) -m scripts.faults && exit $$status

soak: bootstrap test-tools  ## the long tests: many kills, many rounds; ends by itself, within 42 minutes
	timeout --foreground --signal=INT 42m $(PYTEST) -m "soak and not newer_engine and not packages"

bench: bootstrap test-tools  ## measure what is promised, against openssl, age, pyrage and `docker load`, and write its page
	$(PYTHON) -m scripts.bench
	$(PYTHON) -m scripts.bench.page

coverage: bootstrap test-tools  ## all tests again, with the branches that none of them takes
	$(PYTEST) $(SIDE_BY_SIDE) -m "not soak and not newer_engine and not packages" --cov --cov-report=term --cov-report=html:build/coverage

mutants: bootstrap  ## change the formats and decisions one by one, and list what no test notices
	scripts/mutants

lint: bootstrap  ## style, types, layers, generated pages
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy --strict
	.venv/bin/lint-imports --no-logo
	$(PYTHON) -m scripts.exit_codes --check
	$(PYTHON) -m scripts.faults --check
	$(PYTHON) -m scripts.openapi --check
	$(PYTHON) -m scripts.reference --check
	$(PYTHON) -m scripts.manpages --check
	$(PYTHON) -m scripts.completions --check
	$(PYTHON) -m scripts.licences --check
	$(PYTHON) -m scripts.locks

dist: bootstrap  ## build the release: sdist, wheel, SBOM, checksums; the same bytes for each commit
	rm -f dist/binary_split-*
	scripts/dist
	scripts/sbom dist/*.whl
	cd dist && sha256sum binary_split-*.whl binary_split-*.tar.gz binary_split-*.cdx.json >SHA256SUMS

audit: bootstrap  ## ask for known vulnerabilities of every locked library; needs a network
	$(PYTHON) -m scripts.audit

deb: bootstrap test-tools  ## build the Debian packages, in a clean Debian of their own
	scripts/deb

format: bootstrap  ## put the code in its form
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

docs: bootstrap  ## write the generated pages again
	$(PYTHON) -m scripts.exit_codes
	$(PYTHON) -m scripts.faults
	$(PYTHON) -m scripts.openapi
	$(PYTHON) -m scripts.reference
	$(PYTHON) -m scripts.manpages
	$(PYTHON) -m scripts.completions
	$(PYTHON) -m scripts.licences

bootstrap:
	@scripts/bootstrap

test-tools:
	@scripts/install-test-tools
