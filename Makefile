# Everything that a person types. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
PIP := $(BIN)/pip install --no-input --disable-pip-version-check --no-compile --no-build-isolation -c constraints.txt
# Two stamps, so that the demo does not wait for linters and test tools.
RUNTIME := .venv/.runtime
DEV := .venv/.dev

PEOPLE ?= 8
SEED ?= 1

.PHONY: help
help: ## Show this list
	@echo "Likeness: AI headshots for a whole company. Everything below sets itself up on first use."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNTIME) ## Whole journey of a small company, on this machine: ARGS="--employees 4"
	@$(BIN)/likeness demo $(ARGS)

.PHONY: up
up: $(RUNTIME) ## Run everything here and keep it running; LIKENESS_PORT=8000 and others: docs/settings.md
	@$(BIN)/likeness up

.PHONY: test
test: $(DEV) debian-packages ## Run the tests: ARGS="tests/batch -k photo"
	@$(BIN)/pytest $(or $(ARGS),-n 2 --dist loadfile)

.PHONY: lint
lint: $(DEV) ## Check style, types, floors and the chart
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@.ci/lint-chart

.PHONY: bench
bench: $(DEV) ## Measure speed against the figures to meet
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-training
bench-training: $(DEV) ## Measure training beside diffusers' own script: OUT=training.json PEER=path/to/diffusers
	@$(BIN)/python -m benchmarks.training --out "$(or $(OUT),training.json)" $(if $(PEER),--peer "$(PEER)") $(ARGS)

.PHONY: bench-cutout
bench-cutout: $(DEV) ## Measure studio portraits: PHOTOS=folder, one sub-folder a person; OUT=cutout.json
	@$(BIN)/python -m benchmarks.cutout --out "$(or $(OUT),cutout.json)" $(if $(PHOTOS),--photos "$(PHOTOS)") $(ARGS)

.PHONY: quality
quality: $(DEV) ## Measure headshots: PEOPLE=8 SEED=1 OUT=quality.json; of photographs: PHOTOS=folder, one sub-folder a person
ifdef PHOTOS
	@$(BIN)/python -m benchmarks.portraits --photos "$(PHOTOS)" --out "$(or $(OUT),quality.json)" $(ARGS)
else
	@$(BIN)/python -m benchmarks.quality --people $(PEOPLE) --seed $(SEED) --out "$(or $(OUT),quality.json)" $(ARGS)
endif

.PHONY: faults
faults: $(DEV) debian-packages ## Kill, cut and starve the parts, then count what was lost
	@$(BIN)/pytest -m faults $(ARGS)

.PHONY: screenshots
screenshots: $(DEV) debian-packages ## Take a picture of every page: OUT=folder
	@$(BIN)/python -m tests.browser.shoot "$(or $(OUT),screenshots)" $(ARGS)

.PHONY: clean
clean: ## Remove everything that make put here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis set-up.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What follows is not typed by anybody: the targets above ask for it.

.PHONY: install
install: $(DEV)

.PHONY: debian-packages
debian-packages:
	@.ci/debian-packages

.venv/bin/python:
	@python=$$(.ci/python) && .ci/step "Making a virtual environment with $$python" "$$python" -m venv .venv

# Hatchling comes first and pinned: an isolated build would fetch whichever release is newest.
# --no-compile: Python compiles what it really imports instead of 17,000 files. It is made to do so once and for all, because
# where PYTHONDONTWRITEBYTECODE is set, as it is in many containers, each studio would compile it again, for ten seconds.
# torch is asked for by its exact version, because a bare `torch` may pull gigabytes of CUDA onto a machine without a GPU.
$(RUNTIME): pyproject.toml constraints.txt | .venv/bin/python
	@.ci/step "Installing the build tools" $(PIP) hatchling editables setuptools
	@.ci/step "Installing Likeness (about a minute)" $(PIP) torch==2.13.0 -e .
	@.ci/step "Compiling Ray, whose processes must all be up within 30 s" $(BIN)/python -m compileall -q \
		-x 'ray/(data|rllib|serve|train|tune)/' .venv/lib/python3.11/site-packages/ray
	@.ci/step "Compiling what the program imports" env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import likeness.embedded, gpu_cluster.studio'
	@.ci/step "Compiling what cuts people out (about a minute)" $(BIN)/python -c 'import gpu_cluster.cutout.portrait'
	@touch $@

$(DEV): $(RUNTIME)
	@.ci/step "Installing the tools for tests and linters" $(PIP) torch==2.13.0 -e '.[dev]'
	@touch $@
