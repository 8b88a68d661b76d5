# `make demo` and `make test` each set themselves up in .venv; nothing needs to be installed first but Python.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# Model weights and data sets that the repository does not carry: tests that need them skip where there are none.
SETFUSE_SHARED ?= $(abspath $(wildcard ../shared))
export SETFUSE_SHARED

.DEFAULT_GOAL := help
.PHONY: help demo test test-all soak check results format setup clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup ## train, export, classify and compare latency on the data set that ships with the project
	@TQDM_MININTERVAL=$$(test -t 2 && echo 0.1 || echo 10) $(RUN) -m benchmarks.demo

test: setup ## run the test suite
	$(RUN) -m pytest -m "not slow"

test-all: setup ## also what needs real weights and minutes
	$(RUN) -m pytest

soak: setup ## a million short texts through a small model: memory must stay flat; some minutes
	$(RUN) -m tests.soak

check: setup ## formatter, linter, types, wheel and sdist
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m build --no-isolation --outdir build/dist

results: setup ## write the generated tables of the READMEs from the committed results
	$(RUN) -m benchmarks.tables

format: setup ## put the sources into the formatter's form, and let the linter mend what it can
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

setup: $(VENV)/.ready ## make .venv with all that the others need

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"expected Python 3.11 or later, found {sys.version.split()[0]}: make PYTHON=python3.11 ...")'
	@echo "installing into $(VENV): some minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
