# make install    create the environment in .venv
# make train      install, then train, evaluate and draw on the images that come inside Python packages
# make test       install, then run the core tests (about ten minutes, no root)
# make test-all   make test, the BM3D reference and the integrations; a test that lacks its tool fails (8 GB in all)
# make test-integrations  MONAI Label, MONAI Deploy and the model zoo, each in its own environment
# make lint       install, then check the code with ruff
# make types      install, then check the types of the public interface with mypy
# make label      serve STUDIES=folder by MONAI Label on 127.0.0.1:8000, in an environment of its own
# make deploy-env create the environment of the MONAI Deploy application (.venv-deploy, 2.5 GB)
# make mlflow-demo  several short trainings in one MLflow store, its pages on 127.0.0.1:5000
# make zoo        self-contained copies of the bundles for MONAI's model zoo, checked without noisewise (build/zoo)
# make sbom       list every package of the environment, with licenses: a CycloneDX file, build/sbom.cdx.json
# make locks      resolve the environments again: the pinned versions and hashes in locks/ (needs uv)
# make clean      remove all environments and builds
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
DEPLOY_VENV ?= .venv-deploy
BIN := $(VENV)/bin
EXTRAS := $(VENV)/extras
INSTALLED := $(VENV)/.installed
DEPLOY_INSTALLED := $(DEPLOY_VENV)/.installed
LABEL_VENV ?= .venv-label
SBOM_VENV ?= .venv-sbom
LABEL_INSTALLED := $(LABEL_VENV)/.installed

# Packages are installed in the versions, and from files with the hashes, that locks/ states; PyTorch first and without
# a hash, since each machine has its own build of it. `make LOCKED=no ...` installs the newest versions instead.
LOCKED ?= yes
locked = --require-hashes --no-deps --requirement locks/$(1).txt

# Each target is declared phony beside its rule: one that lost its rule is an error, not nothing to do.
.PHONY: help
help:
	@sed -n 's/^# \(make .*\)/\1/p' $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt locks/core.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "noisewise needs Python 3.11 or newer; name it with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
ifeq ($(LOCKED),yes)
	$(BIN)/python -m pip install --quiet $(call locked,core)
endif
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded,fast,onnx,test]'
	@touch $@

.PHONY: train
train: $(INSTALLED)
	$(BIN)/python -m noisewise.pipelines.cli.quickstart

# A folder's tests share a process, as many processes at a time as there are cores, those that take longest first. So
# the thread pools of engines and codecs stay apart from what other folders fork. A process that a signal ended is
# started once more, and the report says so; failed tests never are. Status 5 of pytest means that there was no test to
# run or that all were skipped; with --no-skips, tests/conftest.py turns it into a failure.
LONGEST := tests/pipelines/training/ tests/pipelines/tracking/ tests/bundles/ tests/pipelines/denoising/ \
	tests/pipelines/engines/
TEST_FILES = $(filter-out $(ELSEWHERE),$(sort $(shell find tests -name 'test_*.py')))
TEST_GROUPS = $(LONGEST) $(filter-out $(LONGEST),$(sort $(dir $(TEST_FILES))))
PROCESSES := $(shell getconf _NPROCESSORS_ONLN)
# A folder's report in one piece, where this version of make can.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: test
test: $(INSTALLED)
	@$(MAKE) --no-print-directory --keep-going --jobs $(PROCESSES) $(SYNC) ELSEWHERE='$(ELSEWHERE)' test-groups

.PHONY: test-groups
test-groups: $(TEST_GROUPS:%=pytest@%)

$(TEST_GROUPS:%=pytest@%): pytest@%:
	@for attempt in 1 2; do \
	    OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(filter $*test_%,$(TEST_FILES)); \
	    status=$$?; \
	    test $$status -gt 128 || break; \
	    echo "$*: a signal ended the tests' process: $$((status - 128))"; \
	done; \
	test $$status -eq 0 -o $$status -eq 5

# What the core's environment lacks is tested in others: test-all leaves it out of `test`, where it would be skipped.
BM3D_TESTS := $(addprefix tests/pipelines/evaluation/references/,test_references.py test_bm3d_vst.py)
OTHER_TESTS := $(BM3D_TESTS) $(wildcard tests/pipelines/monai_label/test_*.py tests/pipelines/monai_deploy/test_*.py)
test-all: ELSEWHERE = $(OTHER_TESTS)
test-all: export PYTEST_ADDOPTS ?= --no-skips
.PHONY: test-all
test-all: test test-bm3d test-integrations

# BM3D's license is non-commercial: it is kept out of the environment that the rest is tested in.
.PHONY: test-bm3d
test-bm3d: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --upgrade --target $(EXTRAS) \
		$(if $(filter yes,$(LOCKED)),$(call locked,bm3d),--no-deps bm3d bm4d PyWavelets)
	OMP_NUM_THREADS=1 PYTHONPATH=$(EXTRAS) $(BIN)/python -m pytest $(BM3D_TESTS)

.PHONY: test-integrations
test-integrations: test-label test-deploy zoo

.PHONY: mlflow-demo
mlflow-demo: $(INSTALLED)
	$(BIN)/noisewise mlflow-demo --output runs/mlflow_demo

.PHONY: zoo
zoo: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m noisewise.pipelines.zoo --output build/zoo --environment .venv-zoo \
		--constraints constraints.txt --schema tests/bundles/meta_schema_20240725.json

# MONAI Label needs older numpy and pydicom than the core: noisewise is installed without its dependencies. MONAI Label
# requires SAM-2, whose build would fetch a torch of its own (gigabytes of CUDA) and compile a kernel that nothing here
# calls; pip hands on constraints to such builds by its environment alone (newer ones by the second name).
.PHONY: label-env
label-env: $(LABEL_INSTALLED)

$(LABEL_INSTALLED): export SAM2_BUILD_CUDA := 0
$(LABEL_INSTALLED): export PIP_CONSTRAINT := constraints.txt
$(LABEL_INSTALLED): export PIP_BUILD_CONSTRAINT := constraints.txt
$(LABEL_INSTALLED): pipelines/monai_label/requirements.txt constraints.txt
	$(PYTHON) -m venv $(LABEL_VENV)
	$(LABEL_VENV)/bin/python -m pip install --quiet torch --requirement pipelines/monai_label/requirements.txt
	$(LABEL_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

# Before the environment is installed, which takes minutes.
ifneq ($(filter label,$(MAKECMDGOALS)),)
ifeq ($(strip $(STUDIES)),)
$(error name the folder of the images: make label STUDIES=folder)
endif
endif

.PHONY: label
label: $(LABEL_INSTALLED)
	$(LABEL_VENV)/bin/python -m noisewise.pipelines.monai_label.serve '$(STUDIES)'

.PHONY: test-label
test-label: $(LABEL_INSTALLED)
	OMP_NUM_THREADS=1 $(LABEL_VENV)/bin/python -m pytest tests/pipelines/monai_label

.PHONY: deploy-env
deploy-env: $(DEPLOY_INSTALLED)

$(DEPLOY_INSTALLED): pyproject.toml constraints.txt pipelines/monai_deploy/requirements.txt
	$(PYTHON) -m venv $(DEPLOY_VENV)
	$(DEPLOY_VENV)/bin/python -m pip install --quiet --constraint constraints.txt \
		--requirement pipelines/monai_deploy/requirements.txt 'pytest>=8' --editable .
	@touch $@

.PHONY: test-deploy
test-deploy: $(DEPLOY_INSTALLED)
	OMP_NUM_THREADS=1 $(DEPLOY_VENV)/bin/python -m pytest tests/pipelines/monai_deploy

.PHONY: lint
lint: $(INSTALLED)
	$(BIN)/ruff check .

.PHONY: types
types: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_typing.py

# The tool has an environment of its own, since it lists all that lies beside it.
.PHONY: sbom
sbom: $(INSTALLED)
	$(PYTHON) -m venv $(SBOM_VENV)
	$(SBOM_VENV)/bin/python -m pip install --quiet $(call locked,sbom)
	mkdir -p build
	$(SBOM_VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/sbom.cdx.json $(BIN)/python

UV ?= uv
LOCK := $(UV) pip compile --quiet --upgrade --config-file locks/uv.toml --constraint constraints.txt
.PHONY: locks
locks:
	$(LOCK) --extra embedded --extra fast --extra onnx --extra test pyproject.toml --output-file locks/core.txt
	printf 'bm3d\nbm4d\nPyWavelets\n' | $(LOCK) --no-emit-package numpy --no-emit-package scipy - --output-file locks/bm3d.txt
	printf 'cyclonedx-bom>=7\n' | $(LOCK) - --output-file locks/sbom.txt

.PHONY: clean
clean:
	rm -rf $(VENV) $(LABEL_VENV) $(DEPLOY_VENV) $(SBOM_VENV) .venv-zoo build dist *.egg-info
