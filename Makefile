# Two commands for a new user: `make demo` and `make test`. Each sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
ARGS ?=
RECIPE ?= *

.PHONY: help demo cookbook test unit integration conformance lowest lint format types bench-import docs docs-serve build clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

# A checkout may stand beside the folder with models and evaluation data.
demo: export PRODPATTERNS_SHARED ?= ../shared
demo: $(VENV)/.demo ## Run the support assistant; ARGS="--question '...'" for one question.
	@$(BIN)/python -m langchain_prodpatterns.demo $(ARGS)

cookbook: $(VENV)/.dev ## Run the recipes, offline; RECIPE=semantic_judge_cache for one.
	@set -e; for recipe in cookbook/$(RECIPE).py; do \
		printf '\n-- %s\n' "$$recipe"; $(BIN)/python -W error "$$recipe"; \
	done

test: $(VENV)/.dev ## Run every test and print the branch coverage.
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term $(ARGS)

unit: $(VENV)/.dev ## Run the unit tests.
	$(BIN)/python -m pytest tests/unit_tests $(ARGS)

integration: $(VENV)/.dev ## Run the tests over real HTTP, files and processes.
	$(BIN)/python -m pytest tests/integration_tests $(ARGS)

conformance: $(VENV)/.dev ## Run the LCEL contract over every Runnable.
	$(BIN)/python -m pytest tests/conformance $(ARGS)

lowest: $(VENV)/.dev ## Run every test with the lowest versions that pyproject.toml allows.
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/bin/python -m pip install --quiet --editable ".[openai,testing,fastembed,postgres,otel,prices,plots]" --group test \
		--constraint tests/lowest.txt
	$(LOWEST)/bin/python -m pytest -n auto --dist loadfile $(ARGS)

lint: $(VENV)/.dev ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## Mend style and formatting.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## Check the types, tests included.
	$(BIN)/mypy langchain_prodpatterns tests benchmarks
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

clean: ## Remove what the commands above made.
	rm -rf $(VENV) $(LOWEST) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

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
