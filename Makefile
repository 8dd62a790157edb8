# Every target makes the virtual environment it needs (.venv) at its first use.

SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
# More arguments for pytest: make test ARGS="-k target"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo up test test-fast check fmt docs reference bench wheel clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

demo: ## Run a job on three nodes of this machine, live; nothing stays behind
	@PYTHON='$(PYTHON)' .ci/venv run
	@$(BIN)/anyjob demo

up: ## Like demo, but stay: the daemon and the web interface run until Ctrl-C
	@PYTHON='$(PYTHON)' .ci/venv run
	@$(BIN)/anyjob demo --keep

test: ## Install what the tests need (sshd, Redis, Chromium) and run all of them
	@PYTHON='$(PYTHON)' tests/install-deps.sh
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/python -m pytest $(ARGS)

test-fast: ## Run the unit tests: no server, seconds
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/python -m pytest tests/unit $(ARGS)

check: ## Lint, formatting, types, layers, what the runner may use, dependencies
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --violations -t=3.6- remote/runner $(wildcard remote/helper/*.py)
	$(BIN)/deptry .

fmt: ## Format the code and fix what can be fixed
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

reference: ## Write the generated pages of docs/reference anew
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/python -m tests.docs.generate

docs: ## Build the documentation into site/
	@PYTHON='$(PYTHON)' .ci/venv dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: ## Measure against bare asyncssh and clush on this machine
	@PYTHON='$(PYTHON)' tests/install-deps.sh
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/python -m tests.bench $(ARGS)

wheel: ## Build the wheel into dist/
	@PYTHON='$(PYTHON)' .ci/venv dev
	$(BIN)/python -m build --wheel --outdir dist .

clean: ## Remove the virtual environment and everything that was built
	rm -rf .venv dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
