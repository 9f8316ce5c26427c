# One environment in .venv, made from pyproject.toml and the pins of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: serve test check lint bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" --constraint constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable . --group test --group lint
	touch $@

serve: .venv/ready ## One member that answers on 127.0.0.1:2379, its data in default.trioetcd.
	$(BIN)/trioetcd serve

test: .venv/ready ## The whole test suite.
	$(BIN)/python -m pytest -q

lint: .venv/ready ## Format, lint, types, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint test ## What CI runs.

bench: .venv/ready ## trioetcd beside a real etcd.
	$(BIN)/python -m bench

clean:
	rm -rf .venv default.trioetcd
