# make demo       the whole chain on this machine, from made-up scenes to a published damage map
# make test       every test, with real servers;  make test-fast  those that need no server
# make check      style, types, layers;  make coverage  every test, and which lines none of them runs
# make page       builds the page of `siamese view` from web/, with node 20 or newer
# make lock       renews requirements.lock;  make audit  known vulnerabilities of what it pins
WORKS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
  $$python -c '$(WORKS)' 2>/dev/null && echo $$python && break; done)
DATA ?=
# One more than the cores of a small machine: tests with servers wait as long as they work.
JOBS ?= 3
VENV := .venv
INSTALLED := $(VENV)/.installed
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check
# A machine on which nothing works says why after minutes. Threads that spin or outnumber the cores slow every test beside them.
PYTEST := OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses $(JOBS) --dist loadgroup --no-loadscope-reorder --maxfail 25

.PHONY: demo test test-fast coverage check audit page lock setup clean
.DEFAULT_GOAL := demo

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@test -x $(VENV)/bin/python || $(or $(PYTHON),false) -c '$(WORKS)' || \
	  { echo "make: needs Python 3.11, 3.12 or 3.13; name yours: make PYTHON=…/python3.11"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED)
	@$(VENV)/bin/siamese demo $(if $(DATA),--data $(DATA))

test: $(INSTALLED)
	@$(PYTEST)

test-fast: $(INSTALLED)
	@$(PYTEST) -m "not servers"

coverage: $(INSTALLED)
	@$(PYTEST) --cov

check: $(INSTALLED)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/siamese stages --check
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

audit: $(INSTALLED)
	@$(PIP) install pip-audit
	@$(VENV)/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

# The versions of web/package-lock.json and the same sources give the same bytes; no package runs a script of its own.
page:
	@cd web && npm ci --ignore-scripts --no-audit --no-fund && npx tsc --noEmit && node build.mjs

# One lock for every Python and platform. Versions stay unless pyproject.toml asks for others, or UPGRADE=NAME for one;
# hashes are asked for anew, because a release may have gained a wheel.
lock: $(INSTALLED)
	@$(PIP) install uv
	@sed -i -E '/^    --hash=/d; s/ \\$$//' requirements.lock
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev --extra imagenet --extra int8 \
	  --generate-hashes --no-header $(if $(UPGRADE),--upgrade-package $(UPGRADE)) -o requirements.lock pyproject.toml

clean:
	@test ! -x $(VENV)/bin/siamese || $(VENV)/bin/siamese down
	rm -rf $(VENV) .siamese data
