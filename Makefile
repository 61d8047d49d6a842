# make book    the whole book in _build/html: environment, labs, pages
# make test    lint, types, unit and property tests, every lab that no green run vouches for
# All a machine needs is Python >= 3.11 and make.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
PYTHON ?= python3
PY := .venv/bin/python
PYTEST := $(PY) -m pytest -q -n auto --dist worksteal
NBSTRIP := .venv/bin/nbstripout --keep-id --extra-keys "metadata.language_info metadata.widgets"
LIBRARY := $(shell find vae_course -type f -not -name '*.pyc')
LABS := $(wildcard notebooks/*.ipynb)
MASTERS := $(wildcard exercises/*.ipynb)
PAGES := $(shell find book results -type f) _config.yml _toc.yml tools/course_ext.py

.PHONY: help book page test test-all smoke lint labs full paper exercises release site-test serve lab strip lock clean
help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=/path/to/it" if sys.version_info < (3, 11) else 0)'
	@test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install -q --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

_build/vendor/stamp: .venv/stamp package.json package-lock.json tools/vendor.py
	$(PY) tools/vendor.py
	@touch $@

# run_labs.py decides by contents which labs are stale, and touches the stamp if any was run.
_build/labs/class/stamp: .venv/stamp $(LABS) $(LIBRARY) tools/run_labs.py tools/lab_keys.py tools/library_modules.py
	$(PY) tools/run_labs.py --tier class
	@test -e $@ || touch $@

_build/html/stamp: _build/labs/class/stamp _build/vendor/stamp $(PAGES) $(LIBRARY)
	rm -rf _build/html _build/.doctrees
	.venv/bin/jupyter-book build . --all -W -n --keep-going
	@touch $@

book: _build/html/stamp ## the book, in _build/html: all pages, as soon as anything is stale
	@echo "The book is in _build/html/index.html"

page: ## after an edit of a page: only what changed is read again, in seconds
	@test -e _build/html/stamp || $(MAKE) book
	$(PY) tools/page.py

lint: .venv/stamp ## ruff (notebooks too), stripped outputs, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(NBSTRIP) --verify $(LABS) $(MASTERS)
	.venv/bin/mypy

test: lint ## lint, types, unit and property tests; at tier smoke, labs not green at class
	$(PYTEST) --ignore=tests/site tests
	$(PY) tools/run_labs.py --tier smoke

test-all: lint ## the same with the slow tests and every lab at tier smoke: for the weekly run
	$(PYTEST) -m "not scale" --ignore=tests/site tests
	$(PY) tools/run_labs.py --tier smoke --force

smoke: .venv/stamp ## every lab at tier smoke, in seconds
	$(PY) tools/run_labs.py --tier smoke --force

labs: _build/labs/class/stamp ## every stale lab at tier class

full: ## what settles: every lab twice, half-way and whole, to results/full (one: LAB=05)
paper: ## the same at the papers' own sizes, to results/paper; a GPU, or nights
full paper: .venv/stamp
	@test -z "$(LAB)" || ls notebooks/$(LAB)-*.ipynb >/dev/null
	$(PY) tools/run_labs.py --tier $@ $(if $(LAB),$(wildcard notebooks/$(LAB)-*.ipynb))

exercises: .venv/stamp ## student, solution and instructor notebooks, Gradescope zips
	$(PY) tools/make_exercises.py

release: exercises ## two archives to hand out: one for students, one for instructors
	$(PY) tools/make_release.py

site-test: book ## the built site in headless Chromium, offline; the canaries
	$(PYTEST) tests/site tests/labs/test_release.py::test_the_built_site_has_none_of_the_secrets

serve: book ## the book on http://localhost:8000
	$(PY) -m http.server --directory _build/html 8000

lab: .venv/stamp ## the labs in JupyterLab
	.venv/bin/jupyter lab notebooks

strip: .venv/stamp ## drop outputs from the notebooks before a commit
	$(NBSTRIP) $(LABS) $(MASTERS)

lock: .venv/stamp ## write the exact pins of this environment to requirements.txt
	@{ grep '^#' requirements.txt; $(PY) -m pip freeze --all --exclude pip --exclude wheel --exclude-editable | sed 's/^\(torch==[^+]*\)+.*/\1/'; } > _build/requirements.txt
	mv _build/requirements.txt requirements.txt

clean: ## forget everything that was built, except the environment
	rm -rf _build
