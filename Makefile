# Needs Python 3.10 or newer and nothing else: `make test` and `make demo` set themselves up, once.
# `make test-every` runs what `make test` leaves out: all 38 configurations, rows of long tables.
PYTHON ?= python3
SEED ?= 0
VENV := .venv
BIN := $(VENV)/bin

# Two workers, and the commands that tests start, read the same files: compiled once, not each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: test test-every demo format clean

test: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --durations=20

test-every: $(VENV)/test
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -m every

demo: $(VENV)/train
	$(BIN)/mobilenets demo --seed $(SEED)

format: $(VENV)/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/train: $(VENV)/python pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train]'
	@touch $@

$(VENV)/test: $(VENV)/train
	$(BIN)/pip install --quiet --editable '.[train,test,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist demo runs src/*.egg-info
