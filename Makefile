# `make` lists the targets. `make test` is what CI runs; `make demo` shows a move between two real clusters.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
export BUILD := $(shell tests/tools/stage --where)
LAB := PATH=$(BIN):$$PATH ANSIBLE_PIPELINING=true molecule/lab/engine in
export VENV
export ANSIBLE_COLLECTIONS_PATH := $(BUILD)
# Compiled once, and not into the source tree: each worker and each program that a test starts would do it anew, a tenth of the unit tests' time.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(BUILD)/pycache
# Tests on the lab mostly wait for Ganeti's jobs, so twice as many run at a time as two processors could; those that share something take turns, see
# tests/integration/allot.py. Unit tests compute.
WORKERS := 4
UNIT_WORKERS := 3
# A test that hangs shows where, and ends its worker.
HANGING = -o faulthandler_timeout=$(1) -o faulthandler_exit_on_timeout=true
PART :=
ZEROING := $(HOME)/.cache/ganeti.cluster/zeroing
SELECTED = $(if $(PART),$(or $(wildcard tests/integration/test_$(PART).py),tests/integration -k '$(PART)'),tests/integration)

.PHONY: help venv stage lab lab-destroy demo test test-unit test-functional test-couchdb test-etcd test-zeroing zeroing-helper test-dist test-sanity test-lint test-types test-integration \
  bench-move bench-whole-move bench-zeroing bench-ciphers bench-storage bench-storage-lab soak-storage plots docs dist clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done

venv: $(VENV)/.stamp ## Make the virtual environment with all tools

$(VENV)/.stamp: requirements.txt tests/requirements.txt tests/tools/make-venv tests/tools/install-packages
	tests/tools/install-packages
	tests/tools/make-venv $(VENV)
	@touch $@

stage: venv ## Copy the collection to where Ansible finds it
	@tests/tools/stage $(BUILD)

lab: venv ## Make real Ganeti clusters in containers, if they are not up
	molecule/lab/up

lab-destroy: venv ## Remove them
	molecule/lab/down

demo: stage ## Move a running virtual machine between two real clusters, from Ganeti 3.0 to 3.1
	molecule/lab/up alpha beta
	$(LAB) env ANSIBLE_CONFIG=tests/demo/ansible.cfg $(BIN)/ansible-playbook -i molecule/inventory.yml tests/demo/demo.yml

test: venv ## Run everything: lint, types, sanity and unit tests beside the lab's
	@mkdir -p $(BUILD)
	@$(BIN)/python tests/tools/run_all.py $(BUILD) lab,test-integration test-unit,test-functional,test-couchdb,test-etcd,test-zeroing,test-dist,docs,test-lint,test-types,test-sanity

test-unit: venv ## Run the unit tests (a minute)
	@mkdir -p $(BUILD); rm -f $(BUILD)/unit.xml
	$(BIN)/pytest -q $(call HANGING,300) -n $(UNIT_WORKERS) --dist worksteal -m 'not functional' --junit-xml=$(BUILD)/unit.xml tests/unit

test-functional: venv ## Run those of them that start programs, such as sshd, endpoints of a stream and the service (two minutes)
	@mkdir -p $(BUILD); rm -f $(BUILD)/functional.xml
	$(BIN)/pytest -q $(call HANGING,300) -n $(UNIT_WORKERS) --dist worksteal -m functional --junit-xml=$(BUILD)/functional.xml tests/unit

test-couchdb: venv ## Check what tests expect of CouchDB, against COUCHDB_URLS or the stand-in
	@mkdir -p $(BUILD); rm -f $(BUILD)/couchdb.xml
	$(BIN)/pytest -q $(call HANGING,300) --junit-xml=$(BUILD)/couchdb.xml tests/conformance

test-etcd: venv ## Test the storage in etcd against a real etcd, Debian's own
	@mkdir -p $(BUILD); rm -f $(BUILD)/etcd.xml
	$(BIN)/pytest -q $(call HANGING,300) --junit-xml=$(BUILD)/etcd.xml tests/etcd

zeroing-helper: venv ## Make the zeroing helper that tests boot, out of Debian's packages; what is there and fits is kept
	@mkdir -p $(ZEROING)
	flock $(ZEROING)/lock $(BIN)/python roles/zeroing_image/files/build.py $(ZEROING)/image --packages $(ZEROING)/packages

test-zeroing: zeroing-helper ## Boot the zeroing helper under emulation on real file systems, as root
	@mkdir -p $(BUILD); rm -f $(BUILD)/zeroing.xml
	$(BIN)/pytest -q $(call HANGING,900) --junit-xml=$(BUILD)/zeroing.xml tests/zeroing

test-dist: venv ## Check the archive: what is in it, and how it works with the oldest and the newest ansible-core
	@mkdir -p $(BUILD); rm -f $(BUILD)/dist.xml
	$(BIN)/pytest -q $(call HANGING,300) --junit-xml=$(BUILD)/dist.xml tests/archive

test-sanity: stage ## Run ansible-test's sanity tests
	tests/tools/sanity $(VENV) $(BUILD)

test-lint: stage ## Run ansible-lint, ruff, shellcheck, reuse, Galaxy's importer and the checks of docs and changelog
	$(BIN)/ruff check
	$(BIN)/reuse lint --lines
	$(BIN)/shellcheck -x $$(grep -rlIE '^#!.*\b(ba)?sh\b' .ci docs molecule roles tests)
	cd $(BUILD)/ansible_collections/ganeti/cluster && PATH=$(BIN):$$PATH && ansible-lint --offline --profile production && \
	  antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs=all --skip-rstcheck . && antsibull-changelog lint
	tests/tools/galaxy-import

test-types: stage ## Run mypy, strictly
	$(BIN)/mypy

test-integration: lab stage zeroing-helper ## Run the tests on the lab, or a part: PART=move is test_move.py, PART=killed are those whose names have the word
	@rm -f $(BUILD)/integration.xml
	$(LAB) $(BIN)/pytest -q -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --durations=20 $(call HANGING,1800) --junit-xml=$(BUILD)/integration.xml $(SELECTED)
	$(if $(PART),,$(BIN)/python tests/tools/support_matrix.py --check $(BUILD)/integration.xml)

bench-move: lab ## Measure the stream against Ganeti's pipeline, nbdcopy and cp (half an hour; BENCH=--help lists options)
	$(LAB) $(BIN)/python benchmarks/bench_move.py $(BENCH)

bench-whole-move: lab stage ## Measure whole moves and their downtime, Ganeti's own beside them (a quarter of an hour)
	$(LAB) $(BIN)/python benchmarks/bench_whole_move.py $(BENCH)

bench-zeroing: lab stage zeroing-helper ## Measure moves of an aged disk: as it is, zeroed before, without its free space (45 minutes where the machine is busy)
	$(LAB) $(BIN)/python benchmarks/bench_zeroing.py $(BENCH)

bench-ciphers: lab ## Measure the stream by cipher and compression tool, beside the design document's figures (a quarter of an hour)
	$(LAB) $(BIN)/python benchmarks/bench_ciphers.py $(BENCH)

bench-storage: venv ## Measure the storage in CouchDB; COUCHDB_URLS names two real servers
	$(BIN)/python benchmarks/bench_storage.py $(BENCH)

bench-storage-lab: lab stage ## Measure it on real Ganeti (40 minutes; takes the lab's clusters apart); COUCHDB_RELEASE is a real CouchDB's directory
	$(LAB) $(BIN)/python benchmarks/bench_storage_lab.py $(BENCH)

soak-storage: stage ## Let the storage run through faults drawn from seeds; SOAK='--seed 7 --runs 20 --report docs', COUCHDB_RELEASE as above, or STORAGE=etcd
	PYTHONPATH=$(BUILD) $(BIN)/python tests/soak/soak_storage.py $(or $(SOAK),--seed 1 --rounds 5)

plots: venv ## Draw the plots of docs/ anew from the results that are there
	$(BIN)/python benchmarks/redraw.py

docs: stage ## Build the documentation's site; a warning or a link that leads nowhere is an error
	docs/site/build $(VENV) $(BUILD)

dist: stage ## Build the collection's archive
	$(BIN)/ansible-galaxy collection build --force --output-path dist $(BUILD)/ansible_collections/ganeti/cluster

clean: ## Remove the virtual environment, the staged copy, archives and caches; not the lab
	rm -rf $(VENV) $(BUILD) dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
