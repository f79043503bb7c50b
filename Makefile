# Everything works on a fresh clone with a Python that settings.ini names, make and a package index; .venv is made once.
# INSTALLER=pip installs with pip where uv would be taken.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help setup quickstart test lint notebooks dist dist-full constraints release pytest bench reproduce leaderboard readme outputs docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/installed ## make .venv with what running needs, in the tested versions
.venv/installed: constraints.txt settings.ini setup.py pyproject.toml tools/setup_env.py tools/installers.py
	$(PYTHON) tools/setup_env.py
	touch $@

# what testing and the documentation need on top
.venv/dev-installed: .venv/installed
	$(PYTHON) tools/setup_env.py dev
	touch $@
.venv/docs-installed: .venv/dev-installed
	$(PYTHON) tools/setup_env.py dev docs
	touch $@

quickstart: setup ## train a network on a real text for about two minutes, show samples, save the model
	$(BIN)/charrnn train --out models/quickstart.safetensors --overwrite

test: lint notebooks dist quickstart pytest ## all that CI runs

lint: .venv/dev-installed ## check the format and style of the code, and that notebooks are stored clean
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_style.py
	$(BIN)/python tools/check_clean.py

notebooks: .venv/dev-installed ## run the notebooks
	$(BIN)/nbdev-test nbs --n-workers 2

dist: .venv/dev-installed ## build sdist and wheel, and try the wheel in an empty environment
	$(BIN)/python tools/check_dist.py

dist-full: .venv/dev-installed ## the same with nothing pinned, at the newest and at the lowest versions: two downloads of PyTorch for CUDA
	$(BIN)/python tools/check_dist.py --unpinned

constraints: .venv/dev-installed ## write constraints.txt anew, keeping its versions where they still fit (UPGRADE=1: the newest)
	$(BIN)/python tools/constraints.py $(if $(UPGRADE),--upgrade)

release: .venv/dev-installed ## make release VERSION=1.2.3: set the version, commit, build, check, tag
	$(BIN)/python tools/release.py $(VERSION)

pytest: .venv/dev-installed ## the tests, slow ones included
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

bench: .venv/dev-installed ## measure every performance claim and write results/BENCHMARKS.md
	$(BIN)/python benchmarks/run.py

reproduce: setup ## train lesson 6's networks (about 15 minutes), write results/REPRODUCTION.md and the README's table
	$(BIN)/python tools/reproduction.py
	$(BIN)/python tools/readme.py

readme: setup ## write README.md from nbs/index.ipynb, and its pictures
	$(BIN)/python tools/readme.py
	$(BIN)/python tools/readme_picture.py

leaderboard: setup ## train every architecture in every mode for the same time, the recipe and the lesson (about three hours), write results/LEADERBOARD.md
	$(BIN)/python tools/leaderboard.py
	$(BIN)/python tools/readme.py

clean: ## remove what was built, .venv included
	rm -rf .venv build dist models *.egg-info .pytest_cache .ruff_cache .hypothesis

outputs: .venv/docs-installed ## execute the tutorials and the front page where their outputs are not current, and store them
	$(BIN)/python tools/outputs.py

docs: .venv/docs-installed ## execute the reference pages, build the site in build/docs/html, check its links
	$(BIN)/python tools/docs.py
