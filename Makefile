# One command a task. Targets that need Python parts call `install` themselves.
VENV := .venv
PY := $(VENV)/bin/python
SHELL := /bin/bash

.PHONY: install install-dev demo test check bench dense lock peers clean

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: setup.cfg requirements.lock
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	touch $@

demo: install
	$(PY) -m callcenter demo

# Programs from Debian that the tests and the dense build need; installs them where it may.
peers:
	tools/peers.sh

dense: install-dev peers
	wheel=$$(PYTHON=$(PY) tools/dense/build.sh) && \
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/dense "$$wheel"
	$(PY) -m callcenter doctor || true

test: install-dev peers
	@if [ ! -d $(VENV)/dense ]; then $(MAKE) --no-print-directory dense || [ -z "$$CI" ]; fi
	$(PY) -m pytest

check: install-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: install
	$(PY) -m callcenter bench all

# Fresh lock files from setup.cfg.
lock:
	tools/lock.sh

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
