# Needs a Python of settings.ini and a package index. Everything runs in .venv, which is created once.
# INSTALLER=pip installs with pip instead of uv.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: help setup quickstart test checks lint notebooks dist dist-full constraints release pytest other-python bench gpu browser screenshots reproduce leaderboard pretrained soak readme outputs docs clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/installed ## create .venv with what running needs, in the tested versions
.venv/installed: constraints.txt settings.ini setup.py pyproject.toml tools/setup_env.py tools/installers.py
	$(PYTHON) tools/setup_env.py
	touch $@

# what testing and the documentation need in addition
.venv/dev-installed: .venv/installed
	$(PYTHON) tools/setup_env.py dev
	touch $@
.venv/docs-installed: .venv/dev-installed
	$(PYTHON) tools/setup_env.py dev docs
	touch $@

quickstart: setup ## train a network for about two minutes, show samples, save the model
	$(BIN)/charrnn train --out models/quickstart.safetensors --overwrite

# CI also runs the fast tests on a second Python, if there is one; pytest's closing line comes last
test: lint checks $(if $(CI),other-python) pytest ## everything that CI runs

# Two at a time, because most of them keep one core busy or wait for the network. CI also installs a browser if it can.
# The lines of each are printed together, where make can do that.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
checks: .venv/dev-installed
	OMP_NUM_THREADS=1 $(MAKE) --jobs=2 --no-print-directory $(SYNC) $(if $(CI),browser) notebooks dist quickstart

lint: .venv/dev-installed ## check the format and style of the code, and that notebooks are stored clean
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/check_style.py
	$(BIN)/python tools/check_clean.py

notebooks: .venv/dev-installed ## run the notebooks
	OMP_NUM_THREADS=1 $(BIN)/nbdev-test nbs --n-workers 2

dist: .venv/dev-installed ## build sdist and wheel, use the wheel in an empty environment
	$(BIN)/python tools/check_dist.py

dist-full: .venv/dev-installed ## dist with the newest and the lowest versions: downloads PyTorch for CUDA twice
	$(BIN)/python tools/check_dist.py --unpinned

constraints: .venv/dev-installed ## update constraints.txt, keeping versions that still fit (UPGRADE=1: the newest)
	$(BIN)/python tools/constraints.py $(if $(UPGRADE),--upgrade)

release: .venv/dev-installed ## make release VERSION=1.2.3: set the version, build, check, commit, tag
	$(BIN)/python tools/release.py $(VERSION)

pytest: .venv/dev-installed ## run all tests, including slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

other-python: .venv/dev-installed ## run the fast tests on another supported Python that is installed here
	$(BIN)/python tools/other_python.py

browser: .venv/dev-installed ## install Chromium for the tests marked browser, if there is none
	$(BIN)/python tools/chromium.py --install

screenshots: .venv/dev-installed ## take pictures of a page at two sizes, in light and dark: build/screenshots
	$(BIN)/charrnn page nietzsche --out build/screenshots/nietzsche.html --overwrite
	$(BIN)/python tools/screenshots.py build/screenshots/nietzsche.html

bench: .venv/dev-installed ## measure speed, write results/BENCHMARKS.md
	$(BIN)/python benchmarks/run.py

gpu: .venv/dev-installed ## on a machine with a GPU: run the tests marked gpu and measure speed (9 minutes)
	$(BIN)/python tools/gpu_check.py --out build/gpu

reproduce: setup ## train lesson 6's networks (15 minutes), write results/REPRODUCTION.md
	$(BIN)/python tools/reproduction.py
	$(BIN)/python tools/readme.py

readme: setup ## write README.md and its pictures from nbs/index.ipynb
	$(BIN)/python tools/readme.py
	$(BIN)/python tools/readme_picture.py

leaderboard: setup ## train all architectures and the recipe (6 hours), write results/LEADERBOARD.md
	$(BIN)/python tools/leaderboard.py
	$(BIN)/python tools/readme.py

pretrained: setup ## train the two models of the package (20 minutes), write fastai_charrnn/share/pretrained
	$(BIN)/python tools/pretrained.py

soak: .venv/dev-installed ## try to break training, files and calls (15 minutes), write results/RELIABILITY.md
	$(BIN)/python tools/soak.py

clean: ## remove what was built, including .venv
	rm -rf .venv .venv-3.* build dist models *.egg-info .pytest_cache .ruff_cache .hypothesis

outputs: .venv/docs-installed ## execute and store tutorials and index whose outputs are not current
	$(BIN)/python tools/outputs.py

docs: .venv/docs-installed ## build the site in build/docs/html, check its links
	$(BIN)/python tools/docs.py
