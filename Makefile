# One environment in .venv, made from pyproject.toml and the pins of constraints.txt. It needs Python 3.11 or newer: the
# system's own where it will do, since distributions build theirs with profile-guided optimization and version managers
# do not, which costs a member 10 to 20 % of its speed; else the python3 of the PATH.
PYTHON ?= $(shell /usr/bin/python3 -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help serve test lint format check bench clean

help: ## This list.
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/'

serve: .venv/ready ## A member that answers on 127.0.0.1:2379, its data in default.trioetcd.
	$(BIN)/trioetcd serve

test: .venv/ready-to-develop ## The test suite.
	$(BIN)/python -m pytest -q

lint: .venv/ready-to-develop ## Format, lint, types, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/ready-to-develop ## Bring the sources into the format that lint asks for.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: lint test ## What has to pass before a commit.

bench: .venv/ready-to-develop ## trioetcd beside a real etcd, and the ratio.
	$(BIN)/python -m bench

clean: ## Remove the environment. Data directories stay.
	rm -rf .venv

# What a member needs to run.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt --editable .
	$(BIN)/python -m compileall -q trioetcd  # 0.25 s off each start where PYTHONDONTWRITEBYTECODE is set
	touch $@

# And what its developers need: tests, a real etcd to compare with, linters, a profiler. Dependency groups came with pip 25.1.
.venv/ready-to-develop: .venv/ready
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install --constraint constraints.txt --group test --group lint --group bench
	touch $@
