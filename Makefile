# Everything works on a fresh clone with Python 3.11, make and a package index; .venv is made once.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help setup quickstart test lint notebooks dist pytest bench reproduce leaderboard readme docs clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/installed ## make .venv and install through the tested versions
.venv/installed: constraints.txt settings.ini setup.py pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "fastai_charrnn needs Python 3.10 or newer, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

quickstart: setup ## train CharRnn on a real text for about a minute, write text, save the model
	$(BIN)/charrnn train --epochs 4 --out models/quickstart.safetensors --overwrite

test: lint notebooks dist quickstart pytest ## all that CI runs

lint: setup ## ruff, and notebooks stored clean
	$(BIN)/ruff check .
	$(BIN)/python tools/check_clean.py

notebooks: setup ## run the notebooks
	$(BIN)/nbdev-test nbs --n-workers 2

dist: setup ## build sdist and wheel, and try the wheel in an empty environment
	$(BIN)/python tools/check_dist.py

pytest: setup ## the tests, slow ones included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

bench: setup ## measure every performance claim and write BENCHMARKS.md
	$(BIN)/python benchmarks/run.py

reproduce: setup ## train the reference's networks (about 15 minutes), write REPRODUCTION.md and the README's table
	$(BIN)/charrnn reproduce --out REPRODUCTION.md
	$(BIN)/python tools/readme.py

readme: setup ## make README.md of nbs/index.ipynb
	$(BIN)/python tools/readme.py

leaderboard: setup ## train every architecture in every mode for the same time, the recipe and the lesson (about three hours), write LEADERBOARD.md
	$(BIN)/python tools/leaderboard.py

clean: ## remove what was built, .venv included
	rm -rf .venv build dist models *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv/docs-installed: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: .venv/docs-installed ## execute all notebooks (about a quarter of an hour), build the site in build/docs/html, check its links, write NOTEBOOKS.md
	$(BIN)/python tools/docs.py
