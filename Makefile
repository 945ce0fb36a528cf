# Everything that a person types. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
# The lock is whole, so pip looks for no dependencies; a file whose hash is not in it is not installed.
PIP := install --no-input --disable-pip-version-check --no-compile --no-build-isolation --no-deps
LOCKED := $(PIP) --require-hashes
# Two stamps, so that the demo does not wait for linters and test tools.
RUNTIME := .venv/.runtime
DEV := .venv/.dev
# A virtual environment of their own: what these bring has no business among the program's packages.
TOOLS := .venv/tools

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
up: $(RUNTIME) ## Run everything here and keep it running; LIKENESS_PORT=8000, LIKENESS_KEYCLOAK=folder: docs/settings.md
	@$(BIN)/likeness up

.PHONY: drill
drill: $(RUNTIME) ## Restore a backup into an empty site and say what stayed away: ARGS="--backup FOLDER --tombstones FOLDER"
	@$(BIN)/likeness drill $(ARGS)

.PHONY: test
test: $(DEV) debian-packages ## Run the tests: ARGS="tests/batch -k photo"
	@$(BIN)/pytest $(or $(ARGS),-n 2 --dist loadfile --no-loadscope-reorder)

.PHONY: test-engine
test-engine: $(DEV) ## Run the engine's long tests: compiled blocks, packs that do not fit, bases that go on learning
	@$(BIN)/pytest -m engine $(or $(ARGS),-n 2 tests/gpu_cluster)

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

.PHONY: bench-marks
bench-marks: $(DEV) ## Measure the marks of pictures: seen, found again, milliseconds: PHOTOS=folder OUT=marks.json
	@$(BIN)/python -m benchmarks.marks --out "$(or $(OUT),marks.json)" $(if $(PHOTOS),--photos "$(PHOTOS)") $(ARGS)

.PHONY: bench-gpu
bench-gpu: $(DEV) ## Measure training and rendering on a GPU beside diffusers' own script: OUT=gpu.json PEER=path/to/diffusers
	@$(BIN)/python -m benchmarks.gpu --out "$(or $(OUT),gpu.json)" $(if $(PEER),--peer "$(PEER)") $(ARGS)

.PHONY: calibrate
calibrate: $(DEV) ## Measure the judge on your own photographs: PHOTOS=folder, one sub-folder a person, groups.csv; OUT=calibration.json
	@$(BIN)/python -m benchmarks.calibrate --photos "$(or $(PHOTOS),photos)" --out "$(or $(OUT),calibration.json)" $(ARGS)

.PHONY: quality
quality: $(DEV) ## Measure headshots: PEOPLE=8 SEED=1 OUT=quality.json; of photographs: PHOTOS=folder, one sub-folder a person
ifdef PHOTOS
	@$(BIN)/python -m benchmarks.portraits --photos "$(PHOTOS)" --out "$(or $(OUT),quality.json)" $(ARGS)
else
	@$(BIN)/python -m benchmarks.quality --people $(PEOPLE) --seed $(SEED) --out "$(or $(OUT),quality.json)" $(ARGS)
endif

.PHONY: story
story: $(DEV) ## Count uploads until eight photos count, over many orders: PHOTOS=folder, one sub-folder a person; OUT=story.json
	@$(BIN)/python -m benchmarks.story --out "$(or $(OUT),story.json)" $(if $(PHOTOS),--photos "$(PHOTOS)") $(ARGS)

.PHONY: faults
faults: $(DEV) debian-packages ## Kill, cut and starve the parts, then count what was lost
	@$(BIN)/pytest -m faults $(ARGS)

.PHONY: scale
scale: $(DEV) debian-packages ## Make five hundred access packages, and fifty headshot jobs on a real Ray, and look for what they left
	@$(BIN)/pytest -m scale $(ARGS)

.PHONY: test-keycloak
test-keycloak: $(DEV) debian-packages ## Sign in through a real Keycloak, with a browser and two companies' own providers: all of it
	@$(BIN)/pytest -m keycloak tests/keycloak $(ARGS)

.PHONY: fuzz
fuzz: $(DEV) ## Call every operation of the API with made-up data as everybody there is, and look for new examples: EXAMPLES=100
	@LIKENESS_FUZZ="$(or $(EXAMPLES),100)" $(BIN)/pytest -q -rP tests/web/test_fuzz.py $(ARGS)
	@LIKENESS_FUZZ="$(or $(EXAMPLES),100)" $(BIN)/pytest -q -m hypothesis tests/batch tests/kernel

.PHONY: sbom
sbom: $(RUNTIME) $(TOOLS)/.done ## List the packages installed here with their licences (CycloneDX): OUT=sbom.json
	@$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		-o "$(or $(OUT),sbom.json)" $(BIN)/python

.PHONY: lock
lock: $(TOOLS)/.done ## Make the lock anew after a change of constraints.txt or pyproject.toml: WHEELS=folder with torch without CUDA
	@$(TOOLS)/bin/python .ci/lock.py $(TOOLS)/bin/uv $(WHEELS)

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

$(TOOLS)/.done: locks/tools.txt | .venv/bin/python
	@.ci/step "Installing the tools that list and lock packages" bash -c '$(BIN)/python -m venv $(TOOLS) && \
		$(TOOLS)/bin/pip $(LOCKED) -r locks/tools.txt'
	@touch $@

# Hatchling comes first and pinned: an isolated build would fetch whichever release is newest.
# --no-compile: Python compiles what it really imports instead of 17,000 files. It is made to do so once and for all, because
# where PYTHONDONTWRITEBYTECODE is set, as it is in many containers, each studio would compile it again, for ten seconds.
# Ray's processes must all be up within 30 s, which they are not if they are compiled first.
$(RUNTIME): pyproject.toml locks/build.txt locks/torch.txt locks/torch-cpu.txt locks/runtime.txt | .venv/bin/python
	@.ci/step "Installing the build tools" $(BIN)/pip $(LOCKED) -r locks/build.txt
	@.ci/step "Installing torch and what else Likeness uses (about half a minute)" .ci/together \
		".ci/torch $(BIN)/pip $(LOCKED)" \
		".ci/part 1 locks/runtime.txt | $(BIN)/pip $(LOCKED) -r /dev/stdin" \
		".ci/part 2 locks/runtime.txt | $(BIN)/pip $(LOCKED) -r /dev/stdin"
	@.ci/step "Installing Likeness" $(BIN)/pip $(PIP) -e .
	@.ci/only-free .venv/lib/python3.11/site-packages
	@.ci/step "Compiling Ray and what the program imports (about a minute)" .ci/together \
		"$(BIN)/python -m compileall -q -x 'ray/(data|rllib|serve|train|tune)/' .venv/lib/python3.11/site-packages/ray" \
		"env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import likeness.run.embedded, gpu_cluster.cluster.studio'"
	@touch $@

$(DEV): $(RUNTIME) locks/dev.txt
	@.ci/step "Installing the tools for tests and linters" $(BIN)/pip $(LOCKED) -r locks/dev.txt
	@touch $@
