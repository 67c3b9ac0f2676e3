# Two commands for everybody: `make demo` serves the page, `make test` checks everything.
# All packages go into .venv; a second run finds them there and starts at once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check audit bench clean

help:
	@echo "make demo    serve the page on http://127.0.0.1:7860 (other port: make demo PORT=8000)"
	@echo "make test    run every check and test"
	@echo "make check   run the fast part of it: format, lint, types, layers"
	@echo "make audit   ask the advisory service about every package of constraints.txt (needs the network)"
	@echo "make bench   measure speed on this machine into benchmarks/results.json"
	@echo "make clean   remove .venv and everything tools left behind"

demo: $(VENV)/.installed  # PORT, from the environment or the command line, reaches app.py by itself
	$(BIN)/python app.py

test: check  # two processes of one thread each are half again as fast as two of two on two cores; browsers come first
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit:  # in an environment of its own, thrown away afterwards; a package it cannot ask about is a failure
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder/venv" && \
		"$$folder/venv/bin/python" -m pip install --disable-pip-version-check --quiet pip-audit && \
		"$$folder/venv/bin/pip-audit" --strict --no-deps --disable-pip --requirement constraints.txt

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.run --readme README.md

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: requirements.txt constraints.txt | $(BIN)/python
	@echo "Installing the application into $(VENV) (torch is large: minutes the first time) …"
	$(INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the test tools into $(VENV) …"
	$(INSTALL) --requirement requirements-dev.txt
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python cannot make virtual environments yet: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
