# Two commands for a new user: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV := .venv
# Windows has another name for the folder; make runs these commands in Git's bash there.
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(SCRIPTS)
LOWEST := .venv-lowest
NEWEST := .venv-newest
CORE := .venv-core
TESTED := openai,testing,fastembed,postgres,otel,prices,plots
# A warning is an error; but for one of langsmith on Python 3.14.
STRICT := -W error -W "ignore:'asyncio.iscoroutinefunction' is deprecated:DeprecationWarning"
ARGS ?=
RECIPE ?= *

.PHONY: help demo cookbook test unit integration conformance lowest newest lint format types bench-import docs docs-serve build release api sbom audit core clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

# A checkout may stand beside the folder with models and evaluation data.
demo: export PRODPATTERNS_SHARED ?= ../shared
demo: $(VENV)/.demo ## Run the support assistant; ARGS="--question '...'" for one question.
	@$(BIN)/python -m langchain_prodpatterns.demo $(ARGS)

cookbook: $(VENV)/.dev ## Run the recipes, offline; RECIPE=semantic_judge_cache for one.
	@set -e; for recipe in cookbook/$(RECIPE).py; do \
		printf '\n-- %s\n' "$$recipe"; $(BIN)/python $(STRICT) "$$recipe"; \
	done

test: $(VENV)/.dev ## Run every test and print the branch coverage.
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term $(ARGS)

unit: $(VENV)/.dev ## Run the unit tests.
	$(BIN)/python -m pytest tests/unit_tests $(ARGS)

integration: $(VENV)/.dev ## Run the tests over real HTTP, files and processes.
	$(BIN)/python -m pytest tests/integration_tests $(ARGS)

conformance: $(VENV)/.dev ## Run the LCEL contract over every Runnable.
	$(BIN)/python -m pytest tests/conformance $(ARGS)

lowest: $(VENV)/.dev ## Run the tests with the lowest versions that pyproject.toml allows.
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/$(SCRIPTS)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/$(SCRIPTS)/python -m pip install --quiet --editable ".[$(TESTED)]" --group test \
		--constraint tests/lowest.txt
	$(LOWEST)/$(SCRIPTS)/python -m pytest -n auto --dist loadfile tests/unit_tests tests/conformance tests/integration_tests/postgres $(ARGS)

newest: ## Run every test with the newest versions that pyproject.toml allows.
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/$(SCRIPTS)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(NEWEST)/$(SCRIPTS)/python -m pip install --quiet --upgrade --upgrade-strategy eager \
		--editable ".[$(TESTED)]" --group test
	$(NEWEST)/$(SCRIPTS)/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(VENV)/.dev ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend style and formatting.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check the types, tests included.
	$(BIN)/mypy langchain_prodpatterns tests benchmarks tools
	$(BIN)/mypy cookbook # apart: a recipe and a benchmark may have one name

bench-import: $(VENV)/.dev ## Measure what importing the package costs.
	$(BIN)/python benchmarks/import_time.py

# MkDocs announces a successor of itself at every start.
docs docs-serve: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/.docs ## Build the documentation into site/, strictly, and look at it in a browser.
	$(BIN)/mypy docs
	$(BIN)/python -m mkdocs build --strict --quiet
	PRODPATTERNS_SITE=site $(BIN)/python -m pytest tests/integration_tests/docs $(ARGS)

docs-serve: $(VENV)/.docs ## Show the documentation while you write it.
	$(BIN)/python -m mkdocs serve --watch langchain_prodpatterns --watch README.md

build: $(VENV)/.dev ## Build the wheel and the sdist.
	$(BIN)/python -m build --outdir dist .

release: $(VENV)/.release ## Build, install and check what a release holds and promises.
	$(BIN)/python -m pytest tests/release $(ARGS)

api: $(VENV)/.dev ## Accept the public API as it is now.
	$(BIN)/python -m tests.release.public_api

sbom: core $(VENV)/.release ## Write the bill of materials and the licenses of what an install brings.
	$(BIN)/python tools/sbom.py $(CORE)/$(SCRIPTS)/python dist

audit: core $(VENV)/.release ## Look for known vulnerabilities in what an install brings.
	$(CORE)/$(SCRIPTS)/python -m pip freeze --quiet --exclude langchain-prodpatterns > dist/core.txt
	@$(BIN)/python -m pip_audit --strict --disable-pip --no-deps --requirement dist/core.txt || { \
		echo "Not clean, or not audited: see above. Where it says that a package is not found on PyPI, or that" >&2; \
		echo "it cannot connect, the service of known vulnerabilities (at pypi.org) is out of reach." >&2; \
		exit 1; }

core: # A new environment that holds the package and its core dependencies alone.
	$(PYTHON) -m venv --clear $(CORE)
	$(CORE)/$(SCRIPTS)/python -m pip install --quiet .
	@mkdir -p dist

clean: ## Remove what the commands above made.
	rm -rf $(VENV) $(LOWEST) $(NEWEST) $(CORE) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

# A stamp a set of dependencies: the second run only compares two dates.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --editable ".[openai,testing]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --editable ".[openai,testing,community,fastembed,postgres,otel,prices,plots,pysbd,blingfire]" --group dev --group vectorstores
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: pyproject.toml | $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

$(VENV)/.release: pyproject.toml | $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group release
	@touch $@
