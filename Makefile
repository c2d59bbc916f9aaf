# Everything from a clean clone: `make checkup` and `make test` need only Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: checkup test test-slow lint format docs bench clean

checkup: $(VENV)/base.done  ## install, run the main job on the model that ships, say where the report is
	$(BIN)/seqtant checkup --out seqtant-checkup

test: $(VENV)/dev.done  ## install what the tests need, run them
	$(BIN)/python -m pytest -n 2 -q

test-slow: $(VENV)/dev.done  ## the tests marked slow, which `make test` leaves out
	$(BIN)/python -m pytest -n 2 -q --slow -m slow

lint: $(VENV)/dev.done  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/dev.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/docs.done  ## build the documentation, warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

bench: $(VENV)/dev.done  ## compare with peers, each in an environment of its own; write the tables
	$(BIN)/python benchmarks/bench.py

clean:
	rm -rf $(VENV) site seqtant-checkup

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/dev.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -c constraints.txt -e '.[all,dev,docs]'
	touch $@

$(VENV)/docs.done: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install -q -c constraints.txt -e '.[docs]'
	touch $@
