# Two commands do everything on a fresh machine with Python 3.11: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The interpreter the virtual environment is made with, and options handed to every `pip install`.
PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := pyproject.toml README.md LICENSE \
  $(shell find core hosts nodes ocio training -type f -not -path '*/__pycache__/*')

.PHONY: help demo test bench soak ofx-melt docs site picture develop dist clean

help: ## Say what there is to make.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

demo: $(VENV)/.for-demo ## Relight a photograph under three light rigs; look at demo/contact_sheet.png.
	$(BIN)/relume demo

test: $(VENV)/.for-test ## Lint, check types, and test the built wheel.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(PYTEST_FLAGS)

bench: $(VENV)/.for-test ## Print the tables of speed, memory and quality.
	$(BIN)/python bench/run.py

soak: $(VENV)/.for-test ## Run for a long time: memory of 1,000 frames, and workers that are killed.
	$(BIN)/python bench/soak.py

# About 1 GB of Debian sid, outside of the repository; needs root for debootstrap.
MELT ?= /var/tmp/relume-melt

ofx-melt: $(VENV)/.for-test ## Test the OpenFX bundle in melt, a host nobody here wrote.
	tests/hosts/ofx/melt.sh $(MELT)
	RELUME_MELT=$(MELT)/melt $(BIN)/pytest tests/hosts/ofx/test_ofx_melt.py

docs: $(VENV)/.for-test ## Write again what the documentation derives from the code and the weights.
	$(BIN)/python -m relume.hosts.reference docs/nodes
	$(BIN)/python bench/quality.py --write README.md docs/quality.md

site: $(VENV)/.for-test ## Build the documentation as a site; open site/index.html.
	$(BIN)/mkdocs build --strict

picture: demo ## Write again the pictures that the demo's photograph makes.
	$(BIN)/python docs/pictures/make.py demo/contact_sheet.png docs/pictures/contact_sheet.jpg
	$(BIN)/python docs/pictures/how_relighting_works.py docs/pictures

develop: $(VENV)/.pip ## Install in place, so that edits are live; a new file needs it again.
	rm -f $(VENV)/.for-*
	$(PIP) install $(PIP_FLAGS) -e '.[demo,dev,docs,farm,training,view]' -C editable_mode=strict

dist: $(VENV)/.for-test ## Build the source archive, and a wheel from it.
	$(BIN)/python -m build --outdir dist/release

clean: ## Remove what was built; the virtual environment stays.
	rm -rf build/lib build/bdist.* dist demo relume.egg-info site
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -f $(VENV)/.for-*

$(VENV)/.pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "relume needs Python 3.11 or newer, and $(PYTHON) is not:" \
	    "install it, or name another with 'make PYTHON=python3.11'." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "Python's venv module is not installed:" \
	    "run 'sudo apt-get install python3-venv' and then make again." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install $(PIP_FLAGS) --quiet --upgrade pip
	touch $@

# The wheel is what users get, so it is what runs here. What an older build left behind would slip
# into it unseen.
dist/.built: $(SOURCES) | $(VENV)/.pip
	rm -rf build/lib build/bdist.* dist/*.whl
	$(PIP) wheel $(PIP_FLAGS) --quiet --no-deps --wheel-dir dist .
	touch $@

$(VENV)/.for-demo: EXTRAS := demo
$(VENV)/.for-test: EXTRAS := cluster,demo,dev,docs,farm,onnx,training,view

# pip leaves a package of the same version alone, hence the second line.
$(VENV)/.for-demo $(VENV)/.for-test: dist/.built
	$(PIP) install $(PIP_FLAGS) "$$(echo dist/relume-*.whl)[$(EXTRAS)]"
	$(PIP) install --quiet --force-reinstall --no-deps dist/relume-*.whl
	touch $@
