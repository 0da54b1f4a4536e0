# make train      install, then train, evaluate and draw on the images that come inside Python packages
# make test       install, then run the core tests (about ten minutes, no root)
# make test-all   make test, then the integrations in environments of their own
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := $(VENV)/extras
INSTALLED := $(VENV)/.installed

.PHONY: train test test-all lint install clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "noisewise needs Python 3.11 or newer; name it with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[embedded,onnx,test]'
	@touch $@

train: $(INSTALLED)
	$(BIN)/python -m noisewise.pipelines.quickstart

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

# BM3D's licence is non-commercial: it is kept out of the environment that the rest is tested in.
test-all: test
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(EXTRAS) bm3d bm4d PyWavelets
	OMP_NUM_THREADS=1 PYTHONPATH=$(EXTRAS) $(BIN)/python -m pytest tests/pipelines/evaluation/test_references.py \
		tests/pipelines/evaluation/test_bm3d_vst.py

lint: $(INSTALLED)
	$(BIN)/ruff check .

clean:
	rm -rf $(VENV) build dist *.egg-info
